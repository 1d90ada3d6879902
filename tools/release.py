"""What a release is made of besides the image: the chart and install.yaml, with the image by its digest.

python -m tools.release version v0.1.0
python -m tools.release manifests --image registry.example.com/driftd --digest sha256:… --out dist
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

from driftd import __version__

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ReleaseError(Exception):
    """The release cannot be made. The text has the reason."""


def check_version(tag: str) -> None:
    """Raises: ReleaseError: the tag is not that of the version in the sources."""
    if tag != f"v{__version__}":
        raise ReleaseError(f"the tag {tag} is not v{__version__}, the version of driftd/__init__.py")


def manifests(image: str, digest: str, out: Path) -> None:
    """Writes `install.yaml` and the folder `driftd` of the chart, both with this image.

    Raises: ReleaseError: the digest is none, or the sources do not have the image where it is expected.
    """
    if not _DIGEST.fullmatch(digest):
        raise ReleaseError(f"{digest!r} is not a digest: sha256: and 64 hexadecimal digits")
    out.mkdir(parents=True, exist_ok=True)
    install = (DEPLOY / "install.yaml").read_text()
    (out / "install.yaml").write_text(_replaced(install, f"image: driftd:{__version__}", f"image: {image}@{digest}"))
    chart = out / "driftd"
    shutil.rmtree(chart, ignore_errors=True)
    shutil.copytree(DEPLOY / "chart", chart)
    values = (chart / "values.yaml").read_text()
    values = _replaced(values, "  repository: driftd\n", f"  repository: {image}\n")
    values = _replaced(values, '  digest: ""\n', f"  digest: {digest}\n")
    (chart / "values.yaml").write_text(values)


def _replaced(text: str, before: str, after: str) -> str:
    if text.count(before) != 1:
        raise ReleaseError(f"{before.strip()!r} is expected once, and is there {text.count(before)} times")
    return text.replace(before, after)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("version").add_argument("tag")
    making = commands.add_parser("manifests")
    making.add_argument("--image", required=True)
    making.add_argument("--digest", required=True)
    making.add_argument("--out", type=Path, default=Path("dist"))
    options = parser.parse_args()
    try:
        if options.command == "version":
            check_version(options.tag)
        else:
            manifests(options.image, options.digest, options.out)
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
