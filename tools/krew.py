"""The archives and the manifest by which krew installs `kubectl drift`.

    python -m tools.krew --wheel dist/driftd-0.1.0-py3-none-any.whl --url https://… --homepage https://… --out dist

An archive has everything but Python: driftd's wheel, its locked dependencies for each Python that driftd supports, and
a launcher. Extension modules have the version of their Python in their names, so one folder serves all of them.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PROGRAM = "kubectl-drift"
_LAUNCHER = """\
#!/bin/sh
# driftd as a plugin of kubectl's. It has everything but Python, of which it takes the first that will do.
here=$(dirname "$(readlink -f "$0")")
for python in python3 {candidates}; do
	if "$python" -c 'import sys; sys.exit(sys.version_info[:2] not in {versions})' 2>/dev/null; then
		export PYTHONPATH="$here/lib"
		exec "$python" -P -c 'from driftd.__main__ import kubectl_plugin; kubectl_plugin()' "$@"
	fi
done
echo "kubectl drift needs Python {oldest} to {newest} on the PATH" >&2
exit 2
"""
_DESCRIPTION = (
    "Compares what Argo CD, Flux and Helm deploy, or the manifests of a Git repository, with what is live. "
    "Names every field that differs, who changed it and when, and the line of Git that it contradicts. It only reads."
)
_CAVEATS = (
    f"It needs Python {PYTHONS[0]} to {PYTHONS[-1]} and git on the PATH, and kustomize or helm for folders of theirs."
)


_OF_THIS_INSTALLATION = ("RECORD", "direct_url.json", "uv_cache.json", ".lock")
"""What tells of the machine and the time of an installation, or hashes what does. Nothing reads it at run time."""


class ArchiveError(Exception):
    """An archive cannot be made. The text has the reason."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform by krew's names, and the one whose wheels run there by uv's."""

    os: str
    arch: str
    wheels: str

    @property
    def archive(self) -> str:
        return f"{PROGRAM}-{self.os}-{self.arch}.tar.gz"


PLATFORMS = (
    Platform("linux", "amd64", "x86_64-manylinux_2_28"),
    Platform("linux", "arm64", "aarch64-manylinux_2_28"),
    Platform("darwin", "amd64", "x86_64-apple-darwin"),
    Platform("darwin", "arm64", "aarch64-apple-darwin"),
)


def build(platform: Platform, pythons: Sequence[str], wheel: Path, out: Path) -> Path:
    """The archive for one platform, the same to the byte for the same input.

    Raises: ArchiveError: a dependency has no wheel for it, or two Pythons want different files in one place.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / PROGRAM
        for python in pythons:
            folder = Path(scratch) / python
            install(platform, python, folder, wheel)
            _merge(folder, root / "lib")
        launcher = root / PROGRAM
        launcher.write_text(_launcher(pythons))
        launcher.chmod(0o755)
        shutil.copy(ROOT / "LICENSE", root)
        out.mkdir(parents=True, exist_ok=True)
        _pack(root, out / platform.archive)
    return out / platform.archive


def install(platform: Platform, python: str, folder: Path, wheel: Path | None, *options: str) -> None:
    """Installs the locked dependencies, by their hashes, and the wheel into a folder.

    Raises: ArchiveError: uv failed; the text has what it says.
    """
    target = ("--target", folder, "--python-platform", platform.wheels, "--python-version", python, *options)
    _uv("--require-hashes", "--only-binary", ":all:", "--requirement", ROOT / "requirements.lock", *target)
    if wheel is not None:
        _uv("--no-deps", wheel, *target)
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for file in [*folder.glob("*.dist-info/*"), folder / ".lock"]:
        if file.name in _OF_THIS_INSTALLATION:
            file.unlink(missing_ok=True)


def manifest(version: str, archives: dict[Platform, Path], url: str, homepage: str) -> str:
    """The manifest for archives that are downloaded from `url`. Source: krew's "Writing Krew plugin manifests"."""
    platforms = [
        {
            "selector": {"matchLabels": {"os": platform.os, "arch": platform.arch}},
            "uri": f"{url}/{archive.name}",
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "bin": PROGRAM,
        }
        for platform, archive in archives.items()
    ]
    document = {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "drift"},
        "spec": {
            "version": f"v{version}",
            "homepage": homepage,
            "shortDescription": "Show what differs from Git, and who did it",
            "description": _DESCRIPTION,
            "caveats": _CAVEATS,
            "platforms": platforms,
        },
    }
    return yaml.safe_dump(document, sort_keys=False)


def _uv(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # uv, of the lock file
    if done.returncode != 0:
        raise ArchiveError(done.stderr.strip())


def _launcher(pythons: Sequence[str]) -> str:
    versions = ", ".join(f"({python.replace('.', ', ')})" for python in pythons)
    return _LAUNCHER.format(
        candidates=" ".join(f"python{python}" for python in reversed(pythons)),
        versions=f"({versions},)",
        oldest=pythons[0],
        newest=pythons[-1],
    )


def _merge(folder: Path, into: Path) -> None:
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        target = into / file.relative_to(folder)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
        elif not _describes_a_wheel(target) and file.read_bytes() != target.read_bytes():
            raise ArchiveError(f"{file.relative_to(folder)} is not the same for every Python: make archives for each")


def _describes_a_wheel(file: Path) -> bool:
    """Whether it tells of a wheel, and so of the Python that this is for; nothing that runs reads the difference."""
    return any(folder.name.endswith(".dist-info") for folder in file.parents)


def _pack(root: Path, archive: Path) -> None:
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for file in sorted(path for path in root.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(file.relative_to(root).as_posix())
            entry.mode = 0o755 if file.name == PROGRAM else 0o644
            content = file.read_bytes()
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--url", required=True, help="where the archives will be")
    parser.add_argument("--homepage", required=True)
    parser.add_argument("--out", type=Path, default=Path("dist"))
    options = parser.parse_args()
    version = options.wheel.name.split("-")[1]
    try:
        archives = {platform: build(platform, PYTHONS, options.wheel, options.out) for platform in PLATFORMS}
    except ArchiveError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    (options.out / "drift.yaml").write_text(manifest(version, archives, options.url, options.homepage))
    return 0


if __name__ == "__main__":
    sys.exit(main())
