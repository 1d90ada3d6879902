"""A second process that parses a share of the files: Python runs on one core, and a cold look has nothing to wait for.

What goes over is the bytes of files, what comes back is manifests. Whatever it does not answer is parsed here. What
was measured, and what is not done there, is in docs/adr/0016.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process

from driftd.render.manifests import read_manifests
from driftd.render.options import Objects
from driftd.render.parsed import EachForItself, Pending
from driftd.render.tree import TreeFile

_AT_A_TIME = 50
"""So many files are one task, some milliseconds."""

_AHEAD = 16
"""So many tasks are over there at once, a tenth of a second's work: handing on takes a while when this side is busy."""

_Files = Sequence[tuple[str, bytes]]
_Answer = Future[Sequence[Objects | None]]


class ParsesBeside(EachForItself):
    """A parser that hands on what the other process has time for, and parses the rest itself. For one thread."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool
        self._there: list[_Part] = []

    def parse(self, files: Mapping[TreeFile, bytes]) -> Pending:
        contents = [(file.path, data) for file, data in files.items()]
        parts = [_Part(contents[at : at + _AT_A_TIME]) for at in range(0, len(contents), _AT_A_TIME)]
        for part in parts:
            self._there = [one for one in self._there if not one.is_done]
            if len(self._there) < _AHEAD and part.hand_on(self._pool):
                self._there.append(part)
            else:
                part.parse()

        def found() -> Mapping[str, Objects]:
            self._take_back()
            return {path: objects for part in parts for path, objects in part.found().items()}

        return found

    def _take_back(self) -> None:
        """Parses what the other process has not begun with: it goes from the first to the last, this one comes back."""
        while self._there and self._there[-1].take_back():
            self._there.pop().parse()


class _Part:
    """Some files, parsed here or over there."""

    def __init__(self, files: _Files) -> None:
        self._files = files
        self._answer: _Answer | None = None
        self._found: Mapping[str, Objects] | None = None

    @property
    def is_done(self) -> bool:
        return self._answer is not None and self._answer.done()

    def hand_on(self, pool: ProcessPoolExecutor) -> bool:
        """Whether somebody is there to take it."""
        try:
            self._answer = pool.submit(_parsed, self._files)
        except BrokenProcessPool:
            return False
        return True

    def take_back(self) -> bool:
        """Whether nobody has begun with it."""
        return self._answer is not None and self._answer.cancel()

    def parse(self) -> None:
        self._found = {path: read_manifests(data, path) for path, data in self._files}

    def found(self) -> Mapping[str, Objects]:
        """What each file declares, once that is known."""
        if self._found is None:
            try:
                told = self._answer.result() if self._answer is not None else [None] * len(self._files)
            except BrokenProcessPool:
                told = [None] * len(self._files)
            self._found = {
                path: read_manifests(data, path) if objects is None else objects
                for (path, data), objects in zip(self._files, told, strict=True)
            }
        return self._found


@contextmanager
def parsing_beside() -> Iterator[ParsesBeside | None]:
    """Such a parser, to be entered before anything starts a thread.

    None where there is one core for all, and where the process cannot be had safely: it is forked, and a process with
    threads must not be.
    """
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2 or threading.active_count() > 1:
        yield None
        return
    pool = ProcessPoolExecutor(1, mp_context=get_context("fork"), initializer=_begin)
    try:
        pool.submit(_parsed, ())  # it is forked now
        yield ParsesBeside(pool)
    finally:
        pool.shutdown(cancel_futures=True)


# What follows runs over there.


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who presses Ctrl-C ends the other one, and with it this one
    gc.disable()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
    os._exit(1)


def _parsed(files: _Files) -> Sequence[Objects | None]:
    """What files declare; None for one with mistakes, since errors do not travel as they are."""
    found = [read_manifests(data, path) for path, data in files]
    return [None if objects.errors else objects for objects in found]
