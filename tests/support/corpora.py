"""Other projects' manifests, which are not part of the checkout, each set copied into a Git repository.

They are read from the folder `DRIFTD_CORPORA`, by default `../shared/corpora` next to the checkout. Without it, the
tests that need them are deselected, which the summary reports; with CI=true or `--require corpora` they fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from itertools import groupby
from pathlib import Path

import pytest

from tests.support import CORPORA, TIERS
from tests.support.deselection import deselect_unless_required

VARIABLE = "DRIFTD_CORPORA"
NAMES = ("kapp-examples", "kube-prometheus")
EXAMPLES = ("argocd-example-apps", "flux2-kustomize-helm-example")
DEFINITIONS = ("argo-cd", "flux")

_DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "corpora"


def corpora_folder() -> Path:
    """The folder with the corpora; it may be missing."""
    return Path(os.environ.get(VARIABLE) or _DEFAULT)


def missing(folder: Path) -> str | None:
    """The reason why the corpora cannot be used; None if they are complete."""
    absent = [name for name in (*NAMES, *EXAMPLES) if not (folder / name).is_dir()]
    absent += [f"../crds/{name}" for name in DEFINITIONS if not (definitions_folder(folder) / name).is_dir()]
    return f"{folder} has no {' and no '.join(absent)} (set {VARIABLE} to a folder that has)" if absent else None


def definitions_folder(corpora: Path) -> Path:
    """The folder with the definitions of the kinds of Argo CD and Flux, a folder for each."""
    return corpora.parent / "crds"


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder with other projects' manifests (see `tests/corpora/README.md`). Marks the tests that use it."""
    folder = corpora_folder()
    reason = missing(folder)
    if reason is not None:
        pytest.fail(f"No other projects' manifests to test with: {reason}", pytrace=False)
    return folder


def corpus(source: Path, into: Path) -> Path:
    """Copy the corpus in the folder `source` into the folder `into` and commit it there.

    Returns: `into`, a Git repository with one commit on the branch `main`.
    """
    for file in sorted(source.rglob("*")):
        if file.is_file():
            target = into / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)  # without its mode: the source may be read-only
    commit(into, "Declare the corpus")
    return into


def layers(repository: Path) -> list[list[Path]]:
    """The corpus' folders in groups that apply one after the other: CRDs, namespaces, accounts, the rest."""
    folders = sorted(folder for folder in repository.iterdir() if folder.name[0].isdigit())
    return [list(group) for _, group in groupby(folders, key=lambda folder: folder.name[0])]


def commit(repository: Path, subject: str) -> str:
    """Commit everything in a folder, which is made a repository if necessary; returns the commit's hash."""
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


def pytest_configure(config: pytest.Config) -> None:
    deselect_unless_required(config, CORPORA, TIERS[CORPORA].title, missing(corpora_folder()))
