"""Supervision of background tasks: the one way in which the daemon starts what goes on until it stops.

Source: Erlang's supervisors; `wait.BackoffUntil` and `runtime.HandleCrash` of k8s.io/apimachinery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

_MIN_BACKOFF_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 30.0

_STEADY_SECONDS = 60.0
"""A task that has run for so long since it crashed has recovered."""

_MAX_CRASHES = 5
"""Crashes in a row from which on a task counts as failed: starting it again does not help, a new process may."""

log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]
"""What a task does: until it is cancelled, or until it returns because there is nothing left to do."""


class TaskState(StrEnum):
    """What has become of a background task: a crashed one is started again, a stopped one is not."""

    RUNNING = "running"
    CRASHED = "crashed"
    STOPPED = "stopped"


def _unobserved(_task: str, _state: TaskState) -> None:
    """Nobody counts crashes."""


@dataclass(slots=True)
class _Supervised:
    task: asyncio.Task[None]
    crashes: int = 0
    crashed_at: float = 0.0
    error: str = ""


class Supervisor:
    """Owns background tasks, each by its name. One that raises is logged and started again, ever more patiently.

    `on_change` is called with a task's name and its new state.
    """

    def __init__(self, on_change: Callable[[str, TaskState], None] = _unobserved) -> None:
        self._on_change = on_change
        self._supervised: dict[str, _Supervised] = {}

    def start(self, name: str, work: Work) -> None:
        """Starts a task. Raises: ValueError: one of this name is running."""
        if name in self._supervised:
            raise ValueError(f"two background tasks are called {name}")
        task = asyncio.create_task(self._supervise(name, work), name=name)
        self._supervised[name] = _Supervised(task)

    async def stop(self, *names: str) -> None:
        """Cancels these tasks, or all, and waits for them to end; one that is not running counts as ended."""
        running = [name for name in names or list(self._supervised) if name in self._supervised]
        stopped = {name: self._supervised.pop(name) for name in running}
        for supervised in stopped.values():
            supervised.task.cancel()
        await asyncio.gather(*[supervised.task for supervised in stopped.values()], return_exceptions=True)
        for name in stopped:
            self._on_change(name, TaskState.STOPPED)

    async def join(self, *names: str, timeout: float) -> None:  # noqa: ASYNC109  running out of time is no error
        """Waits until these tasks have returned by themselves; what is late is cancelled."""
        tasks = [self._supervised[name].task for name in names if name in self._supervised]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        await self.stop(*names)

    def failed(self) -> list[str]:
        """The tasks that starting again does not mend, as sentences; empty while all is well."""
        now = asyncio.get_running_loop().time()
        return [
            f"the background task {name} has crashed {supervised.crashes} times in a row ({supervised.error})"
            for name, supervised in self._supervised.items()
            if supervised.crashes >= _MAX_CRASHES and now - supervised.crashed_at < _STEADY_SECONDS
        ]

    async def _supervise(self, name: str, work: Work) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._on_change(name, TaskState.RUNNING)
            started = loop.time()
            try:
                await work()
            except asyncio.CancelledError as error:
                current = asyncio.current_task()
                if current is None or current.cancelling():
                    raise
                crash: BaseException = error  # something that it waited for was cancelled, not the task itself
            except Exception as error:  # noqa: BLE001  whatever it is, it must not end in silence
                crash = error
            else:
                return
            supervised = self._supervised.get(name)
            if supervised is None:  # it has been stopped
                return
            if loop.time() - started >= _STEADY_SECONDS:
                supervised.crashes = 0
            supervised.crashes += 1
            supervised.crashed_at = loop.time()
            supervised.error = type(crash).__name__
            log.error("background task crashed", task=name, crashes=supervised.crashes, exc_info=crash)
            self._on_change(name, TaskState.CRASHED)
            await asyncio.sleep(min(_MAX_BACKOFF_SECONDS, _MIN_BACKOFF_SECONDS * 2 ** min(supervised.crashes - 1, 10)))
