"""Prerequisites of make's targets."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("target", ["venv", "demo", "unit", "controlplane", "demo-test", "bench"])
def test_driftd_is_compiled_before_it_is_run(target: str) -> None:
    """An installed package has bytecode; a checkout has none, and may not be able to write it later."""
    make = shutil.which("make")
    assert make is not None
    plan = subprocess.run(
        [make, "--dry-run", "--always-make", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, compiling, _ = plan.stdout.partition("-m compileall")
    assert "--editable" in before
    assert compiling
    assert "pytest" not in before
    assert "driftd demo" not in before
    assert "-m benchmarks" not in before
