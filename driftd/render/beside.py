"""A second process that parses a share of the files: Python runs on one core, and a cold look has nothing to wait for.

What goes over is the bytes of files, what comes back is manifests. Whatever it does not answer is parsed here. What
was measured, and what is not done there, is in docs/adr/0016.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process

from driftd.model.resource import Manifest
from driftd.render.manifests import read_manifests
from driftd.render.options import Objects
from driftd.render.parsed import Pending
from driftd.render.tree import TreeFile

_AT_A_TIME = 50
"""So many files are one task, some milliseconds."""

_AHEAD = 4
"""So many tasks are over there at once: while this side is busy, handing on the next one takes some milliseconds."""

_Files = Sequence[tuple[str, bytes]]
_Answer = Future[Sequence[Objects | None]]


class ParsesBeside:
    """A parser that hands on what the other process has time for, and parses the rest itself. For one thread."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool
        self._running: list[_Answer] = []

    def known(self, _file: TreeFile) -> None:
        """Nothing is: it is for one look."""

    def kept(self, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        return tuple(manifests)

    def parse(self, files: Mapping[TreeFile, bytes]) -> Pending:
        contents = [(file.path, data) for file, data in files.items()]
        parts = [contents[at : at + _AT_A_TIME] for at in range(0, len(contents), _AT_A_TIME)]
        pending = [self._there(part) if self._has_time() else _here(part) for part in parts]
        return lambda: {path: objects for each in pending for path, objects in each().items()}

    def _has_time(self) -> bool:
        self._running = [answer for answer in self._running if not answer.done()]
        return len(self._running) < _AHEAD

    def _there(self, files: _Files) -> Pending:
        try:
            answer = self._pool.submit(_parsed, files)
        except BrokenProcessPool:
            return _here(files)
        self._running.append(answer)
        return partial(_told, answer, files)


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


def _here(files: _Files) -> Pending:
    found = {path: read_manifests(data, path) for path, data in files}
    return lambda: found


def _told(answer: _Answer, files: _Files) -> Mapping[str, Objects]:
    try:
        found = answer.result()
    except BrokenProcessPool:
        return _here(files)()
    return {
        path: read_manifests(data, path) if objects is None else objects
        for (path, data), objects in zip(files, found, strict=True)
    }


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
