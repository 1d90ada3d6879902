"""Resource usage of a command: wall time, CPU time, memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LAUNCHER = Path(__file__).resolve().parent / "launcher.py"

AS_INSTALLED = {"PYTHONDONTWRITEBYTECODE": ""}
"""Enables the bytecode cache, as in an installation: a development machine may disable it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds and bytes, including child processes that the command has waited for.

    `memory` is that of the largest process.
    """

    wall: float
    user: float
    system: float
    memory: int

    @property
    def cpu(self) -> float:
        return self.user + self.system


def median(usages: Sequence[Usage]) -> Usage:
    """The median of each figure."""
    return Usage(
        statistics.median(usage.wall for usage in usages),
        statistics.median(usage.user for usage in usages),
        statistics.median(usage.system for usage in usages),
        int(statistics.median(usage.memory for usage in usages)),
    )


def run(
    command: Sequence[str | Path],
    output: Path,
    *,
    environment: Mapping[str, str] | None = None,
    codes: Collection[int] = (0,),
) -> Usage:
    """Runs a command to its end; its output goes to the file `output`.

    Raises: RuntimeError: its exit code is not one of `codes`; the text has the end of its output.
    """
    done = subprocess.run(  # noqa: S603  # the measured command
        [sys.executable, "-I", "-S", _LAUNCHER, output, *command],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, **AS_INSTALLED, **(environment or {})},
    )
    usage = json.loads(done.stdout)
    if usage["code"] not in codes:
        tail = output.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {usage['code']}:\n{tail}")
    return Usage(usage["wall"], usage["user"], usage["system"], usage["memory"])
