"""The timers: when sources are fetched, and when an app has a full pass although nothing happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

Fetch = Callable[[str], Awaitable[float | None]]
RequestPass = Callable[[str], None]

_JITTER = 0.1
"""The part of an interval by which runs are spread, so that many sources do not ask one server at once."""


class Timers:
    """Timers of one daemon. Runs that were missed (a suspended machine, a stall) run once as soon as they can."""

    def __init__(self, fetch: Fetch, ask: RequestPass) -> None:
        self._fetch = fetch
        self._ask = ask
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )

    def every_source(self, name: str, interval: timedelta) -> None:
        """Fetches a source now and then on its interval; after a failure earlier, as the fetch itself asks for."""
        self._scheduler.add_job(
            self._run_fetch, _jittered(interval), args=[name], id=f"source/{name}", next_run_time=datetime.now(UTC)
        )

    def every_app(self, name: str, interval: timedelta) -> None:
        """Asks for a pass over an app on its interval."""
        self._scheduler.add_job(self._ask_for, _jittered(interval), args=[name], id=f"app/{name}")

    def fetch_now(self) -> None:
        """Fetches every source as soon as possible, besides its interval."""
        for job in self._scheduler.get_jobs():
            if job.id.startswith("source/"):
                job.modify(next_run_time=datetime.now(UTC))

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def _run_fetch(self, name: str) -> None:
        again = await self._fetch(name)
        if again is not None:
            self._scheduler.add_job(
                self._run_fetch,
                DateTrigger(datetime.now(UTC) + timedelta(seconds=again)),
                args=[name],
                id=f"retry/{name}",
                replace_existing=True,
            )

    async def _ask_for(self, name: str) -> None:
        self._ask(name)


def _jittered(interval: timedelta) -> IntervalTrigger:
    seconds = interval.total_seconds()
    return IntervalTrigger(seconds=seconds, jitter=seconds * _JITTER)
