"""A tier that did not run does not count as passed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import TIERS
from tests.support.tally import add_up

ROOT = Path(__file__).parents[2]
PARTS = {"controlplane": "real", "postgresql": "unit"}


def run(
    folder: Path, test: str, *require: str, mark: str = "controlplane"
) -> tuple[int, str, dict[str, dict[str, int]]]:
    """Exit code, output and tally of pytest for a file with tests of a tier; `require`: the options that require it."""
    (folder / "test_it.py").write_text(f"import pytest\npytestmark = pytest.mark.{mark}\n{test}\n")
    (folder / "pytest.ini").write_text(f"[pytest]\nmarkers = {mark}\n")
    tally = folder / "out" / "tally.json"
    required = require or ("--require", mark)
    options = ["-p", "tests.support.tally", "-p", "no:cacheprovider", *required, f"--tally={tally}"]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), "-c", str(folder / "pytest.ini")]
    done = subprocess.run([*command, str(folder / "test_it.py")], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr, json.loads(tally.read_text())


def test_a_tier_that_ran_passes_and_is_counted(tmp_path: Path) -> None:
    """The count is in the summary and in the file."""
    code, output, tally = run(tmp_path, "@pytest.mark.parametrize('n', [1, 2])\ndef test_it(n): pass")
    assert code == 0, output
    assert "On the real control plane: 2 passed, 0 failed, 0 skipped" in output
    assert tally["controlplane"] == {"passed": 2, "failed": 0, "skipped": 0}


def test_the_control_plane_is_required_by_an_option_of_its_own(tmp_path: Path) -> None:
    """`--require-controlplane` is `--require controlplane`."""
    assert run(tmp_path, "def test_it(): pass", "--require-controlplane")[0] == 0
    code, output, _ = run(tmp_path, "", "--require-controlplane")
    assert code == 1
    assert "ERROR: tests on the real control plane must run" in output


def test_each_tier_is_counted_and_required_by_its_mark(tmp_path: Path) -> None:
    """Tests of one tier do not count for another."""
    code, output, tally = run(tmp_path, "def test_it(): pass", mark="corpora")
    assert code == 0, output
    assert "On other projects' manifests: 1 passed, 0 failed, 0 skipped" in output
    assert (tally["corpora"]["passed"], tally["controlplane"]["passed"]) == (1, 0)
    code, output, _ = run(tmp_path, "def test_it(): pass", "--require", "controlplane", mark="corpora")
    assert code == 1
    assert "On the real control plane: 0 passed, 0 failed, 0 skipped" in output


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
    """Whichever way they are skipped."""
    code, output, _ = run(tmp_path, test)
    assert code == 1, output
    assert "none may be skipped" in output


def test_an_error_in_a_fixture_counts_as_failed(tmp_path: Path) -> None:
    """Setup and teardown are part of a test."""
    code, _, tally = run(tmp_path, "@pytest.fixture\ndef cluster(): raise OSError\ndef test_it(cluster): pass")
    assert code == 1
    assert tally["all"] == {"passed": 0, "failed": 1, "skipped": 0}


def tallies(folder: Path, **files: dict[str, int]) -> list[Path]:
    """One file per run: one named after a tier has tests of that tier only, others have none."""
    none = {"passed": 0, "failed": 0, "skipped": 0}
    paths = []
    for name, counts in files.items():
        path = folder / f"{name}.json"
        tiers = {mark: none | (counts if name == mark else {}) for mark in TIERS}
        path.write_text(json.dumps({"all": none | counts, **tiers}))
        paths.append(path)
    return paths


def test_the_closing_line_adds_up_all_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Including skipped tests, if there are any."""
    files = tallies(tmp_path, unit={"passed": 5, "skipped": 1}, controlplane={"passed": 2})
    assert add_up(files, ["controlplane"]) == 0
    assert capsys.readouterr().out == "7 passed, 0 failed, 1 skipped\n"
    files = tallies(tmp_path, unit={"passed": 5, "failed": 1}, controlplane={"passed": 2})
    assert add_up(files, ["controlplane"]) == 1
    assert capsys.readouterr().out == "7 passed, 1 failed\n"


@pytest.mark.parametrize("mark", TIERS)
def test_a_required_tier_that_is_missing_or_empty_or_skipped_fails_the_run(tmp_path: Path, mark: str) -> None:
    """Even if no test failed."""
    assert add_up(tallies(tmp_path, unit={"passed": 5}, **{mark: {"passed": 5}}), [mark]) == 0
    assert add_up([*tallies(tmp_path, unit={"passed": 5}), tmp_path / "missing.json"], [mark]) == 1
    assert add_up(tallies(tmp_path, unit={"passed": 5}), [mark]) == 1
    assert add_up(tallies(tmp_path, unit={"passed": 5}, **{mark: {}}), [mark]) == 1
    assert add_up(tallies(tmp_path, unit={}, **{mark: {"passed": 5}}), [mark]) == 1
    assert add_up(tallies(tmp_path, unit={"passed": 5}, **{mark: {"passed": 5, "skipped": 1}}), [mark]) == 1


def test_ci_requires_every_tier() -> None:
    """A new tier has to be required in `.ci/run`."""
    command = (ROOT / ".ci" / "run").read_text()
    assert [mark for mark in TIERS if f"--require {mark}" not in command] == []
