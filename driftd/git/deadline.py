"""How long an operation may take, and the way to end it early: Git is killed, with every process that it started."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from driftd.model.errors import GitError

T = TypeVar("T")


class TimedOut(GitError):
    """The operation took longer than it may."""


class Deadline:
    """The time that one operation has, in seconds. Safe to use from several threads."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._cancelled = False
        self._running: set[int] = set()
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Starts the time again: what went before was waiting, not work."""
        self._end = time.monotonic() + self.seconds

    def check(self) -> None:
        """Raises: TimedOut: the time is over, or the operation was given up."""
        if self._cancelled or time.monotonic() >= self._end:
            raise TimedOut("given up" if self._cancelled else f"took longer than {self.seconds:g} s")

    def cancel(self) -> None:
        """Ends the operation now, from whichever thread."""
        with self._lock:
            self._cancelled = True
            for group in self._running:
                _kill(group)

    @contextmanager
    def over(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Watches a process that leads its own process group: all of the group is killed when the time is over, and
        when this ends before the process has.

        Raises: TimedOut: as `check`.
        """
        group = process.pid
        with self._lock:
            self._running.add(group)
            if self._cancelled:
                _kill(group)
        timer = threading.Timer(max(0.0, self._end - time.monotonic()), _kill, (group,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._running.discard(group)
            if process.returncode != 0:
                _kill(group)
                process.wait()
        if process.returncode == -signal.SIGKILL:
            self.check()


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended by itself
    except PermissionError:
        return  # nothing but processes that are already dead is left of it, as macOS says it


async def in_thread(executor: Executor, seconds: float, work: Callable[[Deadline], T]) -> T:
    """Runs blocking work in a thread. When the caller is cancelled the work is ended first, so that nothing stays
    behind."""
    deadline = Deadline(seconds)
    job = executor.submit(work, deadline)
    waiter = asyncio.wrap_future(job)
    try:
        return await asyncio.shield(waiter)
    except asyncio.CancelledError:
        if not job.cancel():
            deadline.cancel()
            await asyncio.wait({waiter})
            if not waiter.cancelled():
                waiter.exception()  # looked at, so that asyncio does not complain about it
        raise
