"""The benchmarks that need a real API server, with few objects and without the peers that have to be built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import check, daemon


@pytest.mark.timeout(300)
def test_a_cold_check_is_measured_beside_its_floor_and_kubectl(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them report all objects in sync, and every run has its figures."""
    file = tmp_path / "check.json"
    few = ["--objects", "9", "--kinds", "deployment,service,configmap", "--rounds", "1", "--peers", "kubectl"]
    assert check.main([*few, "--json", str(file)]) == 0
    runs = json.loads(file.read_text())["runs"]
    assert [name.split()[0] for name in runs] == ["driftd", "driftd", "floor:", "kubectl", "kubectl"]
    assert all(run["usage"]["wall"] > 0 and run["served"]["requests"] > 0 for rounds in runs.values() for run in rounds)
    assert "One cold look at 9 objects" in capsys.readouterr().out


@pytest.mark.timeout(300)
def test_the_daemon_is_measured_at_rest_and_at_work(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every write is recorded, and idle requests are counted by URL."""
    file = tmp_path / "daemon.json"
    few = ["--objects", "6", "--rate", "5", "--seconds", "1", "--rest", "5", "--quiet", "1"]
    assert daemon.main([*few, "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert [(latency["writes"], latency["lost"]) for latency in figures["latencies"].values()] == [(5, 0), (5, 0)]
    assert figures["commit"]["from_asking"] > 0
    assert not [request for request in figures["quiet"]["requests"] if not request.startswith("watch ")]
    assert "The daemon at 6 Deployments" in capsys.readouterr().out
