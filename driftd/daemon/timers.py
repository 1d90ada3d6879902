"""The timers: fetches of sources and full passes over apps at intervals.

APScheduler counts by the wall clock, and its own interval trigger goes through all the runs that were missed: thirty
million where somebody set the clock by a year. Here each trigger knows when it is due by a clock that nobody can set.
Whenever the wall clock was set, the jobs are moved accordingly.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from driftd.process.clock import boottime
from driftd.process.supervisor import Supervisor

Fetch = Callable[[str], Awaitable[float | None]]
RequestPass = Callable[[str], None]

_CLOCK = "clock"
_CLOCK_POLL_SECONDS = 5.0
_CLOCK_TOLERANCE_SECONDS = 1.0
"""By how much two clocks may come apart before the wall clock counts as set: NTP corrects it little by little."""

_JITTER = 0.1
"""The fraction of an interval by which runs are spread, so that many sources do not query one server at once."""


class Timers:
    """Timers of one daemon. Missed runs (a suspended machine, a stall) run once as soon as possible.

    Somebody who sets the clock neither stops them nor makes them run all at once.
    """

    def __init__(self, fetch: Fetch, request_pass: RequestPass, supervisor: Supervisor) -> None:
        self._fetch = fetch
        self._request_pass = request_pass
        self._supervisor = supervisor
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )

    def every_source(self, name: str, interval: timedelta) -> None:
        """Fetches a source at once and then at its interval; after a failure, when the fetch asks for a retry."""
        self._scheduler.add_job(
            self._run_fetch, _Every(interval), args=[name], id=f"source/{name}", next_run_time=datetime.now(UTC)
        )

    def every_app(self, name: str, interval: timedelta) -> None:
        """Requests a pass over an app at its interval."""
        self._scheduler.add_job(self._run_request, _Every(interval), args=[name], id=f"app/{name}")

    def fetch_now(self) -> None:
        """Fetches every source as soon as possible, in addition to its interval."""
        for job in self._scheduler.get_jobs():
            if job.id.startswith("source/"):
                _run_now(job)

    def fetch_source_now(self, name: str) -> None:
        """Fetches one source as soon as possible, in addition to its interval."""
        job = self._scheduler.get_job(f"source/{name}")
        if job is not None:
            _run_now(job)

    def start(self) -> None:
        self._scheduler.start()
        self._supervisor.start(_CLOCK, self._follow_clock)

    async def stop(self) -> None:
        """Ends them, and the fetches that are under way."""
        await self._supervisor.stop(_CLOCK)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def follow_clock(self) -> None:
        """Moves jobs to where they are due by the wall clock, wherever that was set since they were scheduled.

        It may have been set and set back between two looks: a job was scheduled in between, or the scheduler found none
        due and went to sleep for as long as the clock was set back.
        """
        ahead = _wall_ahead()
        for job in self._scheduler.get_jobs():
            due = datetime.fromtimestamp(job.trigger.due + ahead, UTC)
            if abs((job.next_run_time - due).total_seconds()) >= _CLOCK_TOLERANCE_SECONDS:
                job.modify(next_run_time=due)
        if self._scheduler.running:
            self._scheduler.wakeup()

    async def _follow_clock(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_POLL_SECONDS)
            self.follow_clock()

    async def _run_fetch(self, name: str) -> None:
        try:
            retry_after = await self._fetch(name)
        except asyncio.CancelledError:
            if self._scheduler.running:
                raise
            return  # the timers have been stopped: to the scheduler, cancelled work would be an error
        if retry_after is not None:
            self._scheduler.add_job(
                self._run_fetch,
                _Once(retry_after),
                args=[name],
                id=f"retry/{name}",
                replace_existing=True,
            )

    async def _run_request(self, name: str) -> None:
        self._request_pass(name)


def _wall_ahead() -> float:
    """How far the wall clock is ahead of one that nobody can set, in seconds."""
    return time.time() - boottime()


def _run_now(job: Job) -> None:
    job.trigger.due = boottime()
    job.modify(next_run_time=datetime.now(UTC))


class _Every(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Fires at an interval from the last run, spread by the jitter. `due` is its next time in seconds of `boottime`."""

    def __init__(self, interval: timedelta) -> None:
        self._seconds = interval.total_seconds()
        self.due = boottime()

    def __str__(self) -> str:
        return f"every {self._seconds:g} s"

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:  # noqa: ARG002
        """One interval from now, whatever was missed."""
        delay = self._seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # no secret
        self.due = boottime() + delay
        return now + timedelta(seconds=delay)


class _Once(BaseTrigger):  # type: ignore[misc]  # as above
    """Fires once, after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.due = boottime() + seconds

    def __str__(self) -> str:
        return f"once, after {self._seconds:g} s"

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return None if previous_fire_time is not None else now + timedelta(seconds=self._seconds)
