"""Tests that need what lies beside the checkout and is missing are reported, and fail in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = {
    "corpora": "tests/machinery/test_corpora_support.py::test_definitions_come_before_what_they_define",
    "field_cases": "tests/machinery/test_field_cases_support.py::test_there_are_cases",
}
MISSING = {
    "corpora": ("on other projects' manifests", "has no kapp-examples", "No other projects' manifests to test with"),
    "field_cases": ("on cases from the field", "has no run.py", "No cases from the field to test with"),
}


def collect(mark: str, folder: Path, *options: str, ci: str = "") -> tuple[int, str]:
    """Exit code and output of pytest for one test that needs what is not in this folder."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TESTS[mark], *options]
    without = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
    environment = {**without, f"DRIFTD_{mark.upper()}": str(folder), "CI": ci}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("mark", TESTS)
@pytest.mark.parametrize("processes", ["-n0", "-n1"])
def test_the_summary_reports_what_did_not_run(tmp_path: Path, mark: str, processes: str) -> None:
    """Also with xdist, whose workers collect the tests."""
    title, reason, _ = MISSING[mark]
    code, output = collect(mark, tmp_path, processes)
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED, output
    assert f"NOT RUN: 1 tests {title}: {tmp_path} {reason}" in output


@pytest.mark.parametrize("mark", TESTS)
@pytest.mark.parametrize("required", [False, True], ids=["CI", "required"])
def test_they_fail_in_ci_and_where_they_are_required(tmp_path: Path, mark: str, required: bool) -> None:
    """They are not deselected."""
    options = ("--require", mark) if required else ()
    code, output = collect(mark, tmp_path, "-n0", *options, ci="" if required else "true")
    assert code == pytest.ExitCode.TESTS_FAILED, output
    assert MISSING[mark][2] in output
