"""The timers: fetches of sources and full passes over apps at intervals, by the monotonic clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from driftd.process.supervisor import Supervisor

Fetch = Callable[[str], Awaitable[float | None]]
"""Fetches a source. Returns: the seconds until the next attempt after a failure, None if it went well."""

RequestPass = Callable[[str], None]

_JITTER = 0.1
"""The fraction of an interval by which runs are spread, so that many sources do not query one server at once."""


class Timers:
    """Timers of one daemon. Somebody who sets the clock neither stops them nor makes them run all at once."""

    def __init__(self, fetch: Fetch, request_pass: RequestPass, supervisor: Supervisor) -> None:
        self._fetch = fetch
        self._request_pass = request_pass
        self._supervisor = supervisor
        self._sources: dict[str, _SourceTimer] = {}
        self._apps: dict[str, timedelta] = {}
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def every_source(self, name: str, interval: timedelta) -> None:
        """Fetches a source at once and then at its interval; after a failure, when the fetch asks for a retry."""
        self._sources[name] = _SourceTimer(name, interval, self._fetch)

    def every_app(self, name: str, interval: timedelta) -> None:
        """Requests a pass over an app at its interval."""
        self._apps[name] = interval

    def fetch_now(self) -> None:
        """Fetches every source as soon as possible, and then at its interval again."""
        for timer in self._sources.values():
            timer.wakeup.set()

    def start(self) -> None:
        for name in self._apps:
            self._await_interval(name)
        for name, timer in self._sources.items():
            self._supervisor.start(_task_name(name), timer.run)

    async def stop(self) -> None:
        """Ends them, and the fetches that are under way."""
        for handle in self._handles.values():
            handle.cancel()
        if self._sources:
            await self._supervisor.stop(*map(_task_name, self._sources))

    def _await_interval(self, app: str) -> None:
        seconds = _jittered(self._apps[app])
        self._handles[app] = asyncio.get_running_loop().call_later(seconds, self._request, app)

    def _request(self, app: str) -> None:
        self._await_interval(app)
        self._request_pass(app)


class _SourceTimer:
    """Fetches one source again and again."""

    def __init__(self, name: str, interval: timedelta, fetch: Fetch) -> None:
        self.wakeup = asyncio.Event()
        self._name = name
        self._interval = interval
        self._fetch = fetch

    async def run(self) -> None:
        while True:
            self.wakeup.clear()
            retry_after = await self._fetch(self._name)
            wait = _jittered(self._interval)
            if retry_after is not None:
                wait = min(wait, retry_after)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.wakeup.wait()


def _task_name(source: str) -> str:
    return f"fetch {source}"


def _jittered(interval: timedelta) -> float:
    return interval.total_seconds() * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  spreads load, keeps no secret
