"""`kubectl drift`, which kubectl finds as `kubectl-drift` on the PATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from driftd import __version__
from driftd.cli.kubectl import arguments
from driftd.cli.main import app


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        ([], ["check"]),
        (["-n", "web"], ["check", "-n", "web"]),
        (["application/argocd/guestbook"], ["check", "application/argocd/guestbook"]),
        (["--help"], ["check", "--help"]),
        (["check", "status"], ["check", "status"]),
        (["history", "web"], ["history", "web"]),
        (["config", "validate"], ["config", "validate"]),
        (["--version"], ["--version"]),
    ],
)
def test_kubectl_drift_is_a_check_unless_another_command_is_named(given: list[str], passed_on: list[str]):
    assert arguments(given) == passed_on


def test_every_command_of_driftd_can_be_named():
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert arguments([name]) == [name]


def test_kubectl_finds_the_plugin_and_passes_the_exit_code_on(assets: Path, tmp_path: Path):
    """2: there is no such file."""
    done = _kubectl(assets, tmp_path, "drift", "--config", "nowhere.yaml")
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr
    assert _kubectl(assets, tmp_path, "drift", "--version").stdout == f"driftd {__version__}\n"
    assert _kubectl(assets, tmp_path, "drift", "--help").stdout.strip().startswith("Usage: kubectl drift check")


def _kubectl(assets: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(home)}
    return subprocess.run(
        [assets / "kubectl", *arguments], env=environment, cwd=home, capture_output=True, text=True, check=False
    )
