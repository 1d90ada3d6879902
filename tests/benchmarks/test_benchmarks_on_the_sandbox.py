"""The benchmarks that need no control plane, with few objects."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import compare, growth, usage
from benchmarks.world import Repository, declare, declared_objects


@pytest.mark.timeout(300)
def test_the_growth_of_one_cluster_and_of_several_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every figure of a line is present, for one cluster and for two, and no write is lost."""
    file = tmp_path / "growth.json"
    few = ["--objects", "12", "--clusters", "2x5", "--rate", "10", "--seconds", "1", "--rest", "1", "--quiet", "0.5"]
    assert growth.main([*few, "--json", str(file)]) == 0
    single, double = json.loads(file.read_text())["sizes"]
    assert single["check"]["wall"] > 0
    assert double["check"] is None
    for line in (single, double):
        assert line["memory"]["now"] > 2**20
        assert (line["latencies"]["writes"], line["latencies"]["lost"]) == (10, 0)
    assert "2 x 5" in capsys.readouterr().out


@pytest.mark.timeout(300)
def test_the_cost_of_a_verdict_is_measured_for_every_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each row is present, and its verdicts are the expected ones."""
    file = tmp_path / "compare.json"
    assert compare.main(["--objects", "3", "--rounds", "1", "--json", str(file)]) == 0
    costs = json.loads(file.read_text())["costs"]
    assert {cost["kind"] for cost in costs} == {"Deployment", "Service", "ConfigMap", "Shop"}
    assert all(cost["verdict"] > 0 for cost in costs)
    assert "Microseconds" in capsys.readouterr().out


def test_the_usage_of_a_command_excludes_the_process_that_started_it(tmp_path: Path) -> None:
    """Its memory is its own, however large the measuring process is."""
    ballast = bytearray(300 * 2**20)
    ballast[:: 2**12] = b"x" * len(ballast[:: 2**12])
    measured = usage.run([sys.executable, "-c", "print('done')"], tmp_path / "output")
    assert measured.memory < len(ballast) / 2
    assert (tmp_path / "output").read_text() == "done\n"


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    """The error has its output."""
    with pytest.raises(RuntimeError, match="ended with 3:\nno such luck"):
        usage.run([sys.executable, "-c", "import sys; print('no such luck'); sys.exit(3)"], tmp_path / "output")


def test_every_object_has_a_file_of_its_own(tmp_path: Path) -> None:
    """The repository has one manifest per object, without placeholders."""
    repository = Repository(tmp_path / "repository")
    objects = list(declared_objects(60, ("deployment", "service", "configmap")))
    assert repository.make(iter(objects)) == 60
    texts = {path: path.read_text() for path in repository.folder.rglob("*.yaml")}
    assert len(texts) == 60
    assert not [path for path, text in texts.items() if "NAME" in text]


def test_a_change_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    """An empty commit would be an error in the benchmark."""
    obj = declare("service", "shop", "web")
    repository = Repository(tmp_path / "repository")
    repository.make(iter([obj]))
    with pytest.raises(ValueError, match="does not hold"):
        repository.change(obj, "no such text", "another")
