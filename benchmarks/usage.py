"""What a command takes: seconds by the clock, seconds of CPU, memory."""

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
"""Bytecode is kept, as an installation has it: a machine of developers may say otherwise."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds and bytes; the processes that the command itself has started and waited for are counted in.

    `memory` is that of the largest of them.
    """

    wall: float
    user: float
    system: float
    memory: int

    @property
    def cpu(self) -> float:
        return self.user + self.system


def median(usages: Sequence[Usage]) -> Usage:
    """Each figure's own median."""
    return Usage(
        statistics.median(one.wall for one in usages),
        statistics.median(one.user for one in usages),
        statistics.median(one.system for one in usages),
        int(statistics.median(one.memory for one in usages)),
    )


def run(
    command: Sequence[str | Path],
    output: Path,
    *,
    environment: Mapping[str, str] | None = None,
    codes: Collection[int] = (0,),
) -> Usage:
    """Runs a command to its end; what it prints goes to the file `output`.

    Raises: RuntimeError: it ended with none of `codes`; the end of what it printed is in the text.
    """
    done = subprocess.run(  # noqa: S603  # what is measured
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
