"""A tier that did not run cannot pass for one that passed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tally import add_up

ROOT = Path(__file__).parents[2]
PARTS = {"controlplane": "real", "postgresql": "unit"}


def run(folder: Path, test: str) -> tuple[int, str, dict[str, dict[str, int]]]:
    """Exit code, output and tally of a pytest run over one file that needs the control plane's tier."""
    (folder / "test_it.py").write_text(f"import pytest\npytestmark = pytest.mark.controlplane\n{test}\n")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = controlplane\n")
    tally = folder / "out" / "tally.json"
    options = ["-p", "tests.support.tally", "-p", "no:cacheprovider", "--require-controlplane", f"--tally={tally}"]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), "-c", str(folder / "pytest.ini")]
    done = subprocess.run([*command, str(folder / "test_it.py")], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr, json.loads(tally.read_text())


def test_a_tier_that_ran_passes_and_is_counted(tmp_path: Path) -> None:
    """The count is in the summary and in the file."""
    code, output, tally = run(tmp_path, "@pytest.mark.parametrize('n', [1, 2])\ndef test_it(n): pass")
    assert code == 0, output
    assert "On the real control plane: 2 passed, 0 failed, 0 skipped" in output
    assert tally["controlplane"] == {"passed": 2, "failed": 0, "skipped": 0}


@pytest.mark.parametrize(
    "test",
    [
        "",
        "@pytest.mark.skip\ndef test_it(): pass",
        "def test_one(): pass\ndef test_it(): pytest.skip('no control plane')",
        "@pytest.fixture\ndef cluster(): pytest.skip('no control plane')\ndef test_it(cluster): pass",
        "@pytest.mark.xfail\ndef test_it(): raise AssertionError",
    ],
    ids=["no test", "marked", "in the test", "in a fixture", "expected to fail"],
)
def test_a_tier_without_tests_or_with_skipped_ones_fails(tmp_path: Path, test: str) -> None:
    """However the skipping was done."""
    code, output, _ = run(tmp_path, test)
    assert code == 1, output
    assert "none may be skipped" in output


def test_an_error_in_a_fixture_counts_as_failed(tmp_path: Path) -> None:
    """Set-up and teardown are part of a test."""
    code, _, tally = run(tmp_path, "@pytest.fixture\ndef cluster(): raise OSError\ndef test_it(cluster): pass")
    assert code == 1
    assert tally["all"] == {"passed": 0, "failed": 1, "skipped": 0}


def tallies(folder: Path, **files: dict[str, int]) -> list[Path]:
    """One file for each tier: `real` is the control plane's, and all tests of `unit` are on PostgreSQL."""
    none = {"passed": 0, "failed": 0, "skipped": 0}
    paths = []
    for name, counts in files.items():
        path = folder / f"{name}.json"
        parts = {part: none | (counts if name == tier else {}) for part, tier in PARTS.items()}
        path.write_text(json.dumps({"all": none | counts, **parts}))
        paths.append(path)
    return paths


def test_the_closing_line_adds_up_all_tiers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Skipped tests are in it where there are any."""
    assert add_up(tallies(tmp_path, unit={"passed": 5}, other={"skipped": 1}, real={"passed": 2})) == 0
    assert capsys.readouterr().out == "7 passed, 0 failed, 1 skipped\n"
    assert add_up(tallies(tmp_path, unit={"passed": 5, "failed": 1}, real={"passed": 2})) == 1
    assert capsys.readouterr().out == "7 passed, 1 failed\n"


def test_a_tier_that_is_missing_or_empty_or_skipped_fails_the_run(tmp_path: Path) -> None:
    """Though not one test failed."""
    assert add_up([*tallies(tmp_path, unit={"passed": 5}), tmp_path / "real.json"]) == 1
    assert add_up(tallies(tmp_path, unit={"passed": 5}, real={})) == 1
    assert add_up(tallies(tmp_path, unit={}, real={"passed": 5})) == 1
    assert add_up(tallies(tmp_path, unit={"passed": 5}, real={"passed": 5, "skipped": 1})) == 1


def test_a_store_suite_that_did_not_run_on_postgresql_fails_the_run(tmp_path: Path) -> None:
    """Nor may any of its tests be skipped there."""
    assert add_up(tallies(tmp_path, other={"passed": 5}, real={"passed": 5})) == 1
    assert add_up(tallies(tmp_path, unit={"passed": 5, "skipped": 1}, real={"passed": 5})) == 1
