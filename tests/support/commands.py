"""Commands of driftd in the tests' own process: faster than a process for each."""

from __future__ import annotations

from collections.abc import Sequence
from unittest import mock

from typer.testing import CliRunner, Result

from driftd.cli.main import app


def invoke(arguments: Sequence[str]) -> Result:
    """Runs a command. It does not limit the memory of its process, which here is the tests', and has more of it."""
    with mock.patch("driftd.process.limits.limit_own_memory"):
        return CliRunner().invoke(app, list(arguments))
