"""Other projects' manifests are complete, and are copied into Git repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.corpora import NAMES, commit, corpus, layers


@pytest.mark.parametrize(("name", "objects"), [("kapp-examples", 249), ("kube-prometheus", 129)])
def test_a_corpus_becomes_a_repository_with_one_commit(corpora: Path, tmp_path: Path, name: str, objects: int) -> None:
    """With one file per object, and nothing uncommitted."""
    repository = corpus(corpora / name, tmp_path / "repository")
    files = subprocess.run(
        ["git", "ls-files"], cwd=repository, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert len(files) == objects
    log = subprocess.run(["git", "rev-list", "main"], cwd=repository, check=True, capture_output=True, text=True)
    assert len(log.stdout.split()) == 1


def test_definitions_come_before_what_they_define(corpora: Path, tmp_path: Path) -> None:
    """CRDs and namespaces are applied first."""
    for name in NAMES:
        first, second, *_ = layers(corpus(corpora / name, tmp_path / name))
        assert ([folder.name for folder in first], [folder.name for folder in second]) == (
            ["0-customresourcedefinition"],
            ["1-namespace"],
        )


def test_a_change_is_another_commit(corpora: Path, tmp_path: Path) -> None:
    """A test can commit further changes and deletions."""
    repository = corpus(corpora / "kapp-examples", tmp_path / "repository")
    next(repository.glob("*/*.yaml")).unlink()
    assert commit(repository, "Remove one") == commit_at(repository, "main")
    assert commit_at(repository, "main~1") != commit_at(repository, "main")


def commit_at(repository: Path, revision: str) -> str:
    done = subprocess.run(["git", "rev-parse", revision], cwd=repository, check=True, capture_output=True, text=True)
    return done.stdout.strip()
