"""`console` blocks, run: each command after a `$`, and below it what it prints, where `…` stands for anything."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_END = "end of the command"


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and the lines that it is to print."""

    command: str
    expected: tuple[str, ...]

    def matches(self, printed: str) -> bool:
        """Whether a command printed what the page shows; without a line in the page, it may print what it likes."""
        if not self.expected:
            return True
        wanted = "\n".join(self.expected)
        pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
        return re.fullmatch(pattern, printed.strip("\n"), re.DOTALL) is not None


def steps(text: str) -> list[Step]:
    """The commands of a block with their output."""
    found: list[Step] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], ()))
        else:
            found[-1] = Step(found[-1].command, (*found[-1].expected, line))
    return found


async def run(commands: list[str], folder: Path, environment: Mapping[str, str]) -> list[str]:
    """What each command prints, output and errors together, all in one shell so that `$?` is that of the last one."""
    script = "\n".join(f'{command}\nstatus=$?; echo "{_END}"; (exit $status)' for command in commands)
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=folder, env=dict(environment),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode().split(f"{_END}\n")[:-1]


async def plays(session: list[Step], folder: Path, environment: Mapping[str, str]) -> None:
    """Types a session into a shell. Raises: AssertionError: a command printed something else than the page shows."""
    printed = await run([step.command for step in session], folder, environment)
    assert len(printed) == len(session), printed
    for step, text in zip(session, printed, strict=True):
        assert step.matches(text), f"$ {step.command}\n{text}"
