"""Other projects' manifests are complete, are copied into Git repositories, and are reported if missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.corpora import NAMES, commit, corpus, layers

ROOT = Path(__file__).parents[2]


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


def collect(*options: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of pytest for one test that needs the manifests."""
    test = f"{__file__}::{test_definitions_come_before_what_they_define.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test, *options]
    without = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**without, **environment}
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("processes", ["-n0", "-n1"])
def test_without_the_manifests_the_summary_reports_what_did_not_run(tmp_path: Path, processes: str) -> None:
    """Also with xdist, whose workers collect the tests."""
    code, output = collect(processes, DRIFTD_CORPORA=str(tmp_path))
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED, output
    assert f"NOT RUN: 1 tests on other projects' manifests: {tmp_path} has no kapp-examples" in output


@pytest.mark.parametrize(("options", "ci"), [((), "true"), (("--require", "corpora"), "")], ids=["CI", "required"])
def test_without_the_manifests_the_tests_fail_in_ci_and_where_they_are_required(
    tmp_path: Path, options: tuple[str, ...], ci: str
) -> None:
    """They are not deselected."""
    code, output = collect("-n0", *options, DRIFTD_CORPORA=str(tmp_path), CI=ci)
    assert code == pytest.ExitCode.TESTS_FAILED, output
    assert "No other projects' manifests to test with" in output
