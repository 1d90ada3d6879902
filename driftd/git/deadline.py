"""Time limits and cancellation of operations: both kill Git with every process that it started."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from driftd.model.errors import GitError
from driftd.process.groups import kill_group

T = TypeVar("T")


class TimedOut(GitError):
    """The operation exceeded its deadline, or was cancelled."""


class Deadline:
    """The time limit of one operation, in seconds. Thread-safe."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._cancelled = False
        self._process_groups: set[int] = set()
        self._lock = threading.Lock()

    def restart(self) -> None:
        """Starts the time limit anew: waiting for a lock does not count."""
        self._end = time.monotonic() + self.seconds

    def check(self) -> None:
        """Raises: TimedOut: the deadline has passed, or the operation was cancelled."""
        if self._cancelled or time.monotonic() >= self._end:
            raise TimedOut("given up" if self._cancelled else f"took longer than {self.seconds:g} s")

    def cancel(self) -> None:
        """Cancels the operation, from any thread."""
        with self._lock:
            self._cancelled = True
            for group in self._process_groups:
                kill_group(group)

    @contextmanager
    def guard(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Bounds a process that leads its own process group: the group is killed at the deadline, and when the block
        is left before the process has ended.

        Raises: TimedOut: as `check`.
        """
        group = process.pid
        with self._lock:
            self._process_groups.add(group)
            if self._cancelled:
                kill_group(group)
        timer = threading.Timer(max(0.0, self._end - time.monotonic()), kill_group, (group,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._process_groups.discard(group)
            if process.returncode != 0:
                kill_group(group)
                process.wait()
        if process.returncode == -signal.SIGKILL:
            self.check()


async def run_in_thread(executor: Executor, seconds: float, work: Callable[[Deadline], T]) -> T:
    """Runs blocking work in a thread. A cancelled caller waits until the work has been cancelled too."""
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
                waiter.exception()  # retrieved, so that asyncio does not log it as never retrieved
        raise
