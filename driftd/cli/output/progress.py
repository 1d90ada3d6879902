"""What is being done, on standard error, while a person waits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from driftd.cli.output.visible import one_line


class Progress(Protocol):
    """Where long work says how far it is."""

    def step(self, text: str, total: int | None = None) -> None:
        """The work has come to its next step, of `total` parts where that is known."""

    def advance(self, parts: int = 1) -> None:
        """So many more parts of the current step are done."""


class _Silent:
    def step(self, text: str, total: int | None = None) -> None:
        pass

    def advance(self, parts: int = 1) -> None:
        pass


class _Bar:
    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, count="")
        self._total: int | None = None
        self._done = 0

    def step(self, text: str, total: int | None = None) -> None:
        self._total, self._done = total, 0
        self._bar.reset(self._task, total=total, description=one_line(text), count=self._count())

    def advance(self, parts: int = 1) -> None:
        self._done += parts
        self._bar.update(self._task, advance=parts, count=self._count())

    def _count(self) -> str:
        return f"{self._done}/{self._total}" if self._total is not None else str(self._done or "")


@contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Progress]:
    """A line that says what is being done, gone when the work is; nothing at all where `stream` is no terminal."""
    stream = stream or sys.stderr
    console = Console(file=stream, stderr=stream is sys.stderr)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Silent()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}", markup=False),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar)
