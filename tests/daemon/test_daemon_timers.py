"""The timers."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
import time_machine

from driftd.daemon.timers import Timers
from driftd.process.supervisor import Supervisor


class Fetches:
    """Returns retry delays to fetches, and records their times; `passes` are the apps with a requested pass."""

    def __init__(self, *delays: float | None) -> None:
        self.delays = list(delays)
        self.times: list[float] = []
        self.passes: list[str] = []

    async def __call__(self, name: str) -> float | None:
        assert name == "shop"
        self.times.append(asyncio.get_running_loop().time())
        return self.delays.pop(0) if self.delays else None

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.times) < count:  # noqa: ASYNC110  # what it waits for has no event
                await asyncio.sleep(0.01)


async def test_a_source_is_fetched_at_once_and_then_on_its_interval() -> None:
    """The first fetch does not wait."""
    fetches = Fetches()
    timers = Timers(fetches, fetches.passes.append, Supervisor())
    timers.every_source("shop", timedelta(seconds=0.2))
    timers.start()
    await fetches.reach(3)
    await timers.stop()
    count = len(fetches.times)
    await asyncio.sleep(0.4)
    assert len(fetches.times) <= count + 1


async def test_stopping_during_a_fetch_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """What is cancelled on purpose has not failed."""
    begun = asyncio.Event()

    async def slow(_: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    timers = Timers(slow, lambda _: None, Supervisor())
    timers.every_source("shop", timedelta(hours=1))
    timers.start()
    await begun.wait()
    await timers.stop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_failed_fetch_is_retried_after_its_delay() -> None:
    """Long before the interval is over, and once."""
    fetches = Fetches(0.05, 0.05)
    timers = Timers(fetches, fetches.passes.append, Supervisor())
    timers.every_source("shop", timedelta(hours=1))
    timers.start()
    await fetches.reach(3)
    await asyncio.sleep(0.2)
    await timers.stop()
    assert len(fetches.times) == 3


async def test_a_hangup_fetches_now() -> None:
    """Without waiting for the interval."""
    fetches = Fetches()
    timers = Timers(fetches, fetches.passes.append, Supervisor())
    timers.every_source("shop", timedelta(hours=1))
    timers.start()
    await fetches.reach(1)
    timers.fetch_now()
    await fetches.reach(2)
    timers.fetch_source_now("shop")
    await fetches.reach(3)
    timers.fetch_source_now("no longer there")
    await timers.stop()


async def test_an_app_has_a_pass_at_its_interval() -> None:
    """Without any event."""
    fetches = Fetches()
    timers = Timers(fetches, fetches.passes.append, Supervisor())
    timers.every_app("web", timedelta(seconds=0.1))
    timers.start()
    async with asyncio.timeout(5):
        while fetches.passes != ["web", "web"]:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
    await timers.stop()


@pytest.mark.parametrize("set_by", [timedelta(hours=-5), timedelta(hours=5)])
async def test_a_clock_that_is_set_neither_delays_nor_hastens_a_run(set_by: timedelta) -> None:
    """What is due in an hour stays due in an hour."""
    with time_machine.travel(time.time(), tick=True) as clock:
        timers = Timers(Fetches(), lambda _: None, Supervisor())
        timers.every_app("web", timedelta(hours=1))
        timers.start()
        (before,) = [job.next_run_time for job in timers._scheduler.get_jobs()]
        clock.shift(0.5)
        timers.follow_clock()
        assert [job.next_run_time for job in timers._scheduler.get_jobs()] == [before]
        clock.shift(set_by)
        timers.follow_clock()
        (after,) = [job.next_run_time for job in timers._scheduler.get_jobs()]
        assert abs(after - before - set_by) < timedelta(seconds=2)
        await timers.stop()


@pytest.mark.parametrize("set_by", [timedelta(days=-400), timedelta(days=400), timedelta(days=20_000)])
async def test_after_a_jump_of_the_clock_runs_go_on_at_their_interval(set_by: timedelta) -> None:
    """Also where it comes between two looks at the clock: no run is repeated for each one that seems to be missed."""
    with time_machine.travel(0.0 if set_by > timedelta(0) else time.time(), tick=True) as clock:
        fetches = Fetches()
        timers = Timers(fetches, fetches.passes.append, Supervisor())
        timers.every_source("shop", timedelta(seconds=0.05))
        timers.start()
        await fetches.reach(1)
        clock.shift(set_by)
        before = len(fetches.times)
        timers._scheduler.wakeup()
        await asyncio.sleep(0.1)
        timers.follow_clock()
        await fetches.reach(before + 3)
        assert len(fetches.times) < before + 10
        await timers.stop()


async def test_a_run_that_was_scheduled_while_the_clock_was_ahead_is_not_put_off() -> None:
    """The clock was set and set back between two looks at it: it seems not to have been set at all."""
    with time_machine.travel(time.time(), tick=True) as clock:
        fetches = Fetches()
        timers = Timers(fetches, fetches.passes.append, Supervisor())
        timers.every_source("shop", timedelta(seconds=0.05))
        timers.start()
        await fetches.reach(1)
        clock.shift(timedelta(hours=1))
        timers._scheduler.wakeup()
        await fetches.reach(len(fetches.times) + 1)
        clock.shift(timedelta(hours=-1))
        await asyncio.sleep(0.1)
        before = len(fetches.times)
        timers.follow_clock()
        await fetches.reach(before + 2)
        await timers.stop()


async def test_a_scheduler_that_woke_while_the_clock_was_back_does_not_sleep_on() -> None:
    """It found nothing due then; its jobs are where they should be, but nobody runs them."""
    with time_machine.travel(time.time(), tick=True) as clock:
        fetches = Fetches()
        timers = Timers(fetches, fetches.passes.append, Supervisor())
        timers.every_source("shop", timedelta(seconds=0.05))
        timers.start()
        await fetches.reach(1)
        clock.shift(timedelta(hours=-1))
        await asyncio.sleep(0.2)
        clock.shift(timedelta(hours=1))
        before = len(fetches.times)
        await asyncio.sleep(0.2)
        assert len(fetches.times) == before, "it sleeps"
        timers.follow_clock()
        await fetches.reach(before + 2)
        await timers.stop()
