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

    def step(self, text: str, total: int | None = None) -> None:
        """Starts the next step, of `total` parts where that is known."""

    def advance(self, parts: int = 1) -> None:
        """Counts parts of the current step as done."""


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
    """A line of progress, erased at the end; nothing where `stream` is no terminal."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _Silent()
        return
    from rich import progress as rich  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415  # only a terminal needs it

    console = Console(file=stream, stderr=stream is sys.stderr)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Silent()
        return
    columns = (
        rich.SpinnerColumn(),
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(bar_width=24),
        rich.TextColumn("{task.fields[count]}", markup=False),
        rich.TimeElapsedColumn(),
    )
    with rich.Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar)
