"""Progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from driftd.model.text import one_line

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Progress(Protocol):
    """Receives the progress of long work."""

    def step(self, text: str) -> None:
        """Starts the next step."""


class _Silent:
    def step(self, text: str) -> None:
        pass


class _Line:
    def __init__(self, line: RichProgress) -> None:
        self._line = line
        self._task = line.add_task("", total=None)

    def step(self, text: str) -> None:
        self._line.reset(self._task, description=one_line(text))


@contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Progress]:
    """A line of progress, erased at the end; nothing where `stream` is no terminal."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _Silent()
        return
    from rich import progress as rich  # noqa: PLC0415

    from driftd.cli.output.lines import console_for  # noqa: PLC0415  # only a terminal needs it

    console = console_for(stream)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Silent()
        return
    columns = (
        rich.SpinnerColumn(),
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(bar_width=24),
        rich.TimeElapsedColumn(),
    )
    with rich.Progress(*columns, console=console, transient=True) as line:
        yield _Line(line)
