"""Sets of real manifests, each unpacked into a Git repository of its own."""

from __future__ import annotations

import os
import subprocess
import tarfile
from itertools import groupby
from pathlib import Path

PACKED = Path(__file__).resolve().parent.parent / "corpora"
NAMES = ("kapp-examples", "kube-prometheus")


def corpus(name: str, into: Path) -> Path:
    """Unpack the corpus `name` (see `tests/corpora/README.md`) into the folder `into` and commit it there.

    Returns: `into`, a Git repository with one commit on the branch `main`.
    """
    with tarfile.open(PACKED / f"{name}.tar.gz") as packed:
        packed.extractall(into, filter="data")
    commit(into, "Declare the corpus")
    return into


def layers(repository: Path) -> list[list[Path]]:
    """The corpus' folders in groups that apply one after the other: CRDs, namespaces, accounts, the rest."""
    folders = sorted(folder for folder in repository.iterdir() if folder.name[0].isdigit())
    return [list(group) for _, group in groupby(folders, key=lambda folder: folder.name[0])]


def commit(repository: Path, subject: str) -> str:
    """Commit everything in this folder, made a repository where it is none yet; returns the commit's hash."""
    git = ["git", "-c", "user.name=Ann Author", "-c", "user.email=ann@example.com", "-c", "core.autocrlf=false"]
    if not (repository / ".git").exists():
        _run([*git, "init", "--quiet", "--initial-branch=main"], repository)
    _run([*git, "add", "--all", "--force"], repository)
    _run([*git, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", subject], repository)
    return _run([*git, "rev-parse", "HEAD"], repository).strip()


def _run(command: list[str], folder: Path) -> str:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout
