"""Builds the documentation site into build/site/html: `python -m tools.site`, or `make site`.

The pages are laid out as they lie in the repository, so that their links to each other, to the README and to files of
the repository are the same on the site. The builder is strict: a link or an anchor that leads nowhere fails it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "mkdocs.yml"
# Folders and files that have a page on the site, or that pages link to.
SHOWN = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "docs",
    "config",
    "deploy/chart/README.md",
    "driftd/diff/rules/field_managers.toml",
    "tests/corpora/README.md",
    "tests/field_cases/README.md",
)


def build(root: Path = ROOT, into: Path = ROOT / "build" / "site") -> Path:
    """Builds the site of a checkout. Returns the folder with its `index.html`.

    Raises: subprocess.CalledProcessError: the builder has found something wrong, and has said what.
    """
    shutil.rmtree(into, ignore_errors=True)
    for name in SHOWN:
        source, target = root / name, into / "pages" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    shutil.copyfile(root / CONFIG, into / CONFIG)
    subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=into, check=True)
    return into / "html"


if __name__ == "__main__":
    try:
        print(build() / "index.html")
    except subprocess.CalledProcessError:
        sys.exit(1)
