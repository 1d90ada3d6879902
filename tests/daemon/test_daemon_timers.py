"""The timers."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from driftd.daemon.timers import Timers


class Fetches:
    """Answers fetches, and keeps when they came."""

    def __init__(self, *answers: float | None) -> None:
        self.answers = list(answers)
        self.times: list[float] = []
        self.asked: list[str] = []

    async def __call__(self, name: str) -> float | None:
        assert name == "shop"
        self.times.append(asyncio.get_running_loop().time())
        return self.answers.pop(0) if self.answers else None

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.times) < count:  # noqa: ASYNC110  # what it waits for has no event
                await asyncio.sleep(0.01)


async def test_a_source_is_fetched_at_once_and_then_on_its_interval() -> None:
    """The first one does not wait."""
    fetches = Fetches()
    scheduler = Timers(fetches, fetches.asked.append)
    scheduler.every_source("shop", timedelta(seconds=0.2))
    scheduler.start()
    await fetches.reach(3)
    scheduler.stop()
    count = len(fetches.times)
    await asyncio.sleep(0.4)
    assert len(fetches.times) <= count + 1


async def test_a_fetch_that_failed_is_tried_again_when_it_asked_for_it() -> None:
    """Long before the interval is over, and once."""
    fetches = Fetches(0.05, 0.05)
    scheduler = Timers(fetches, fetches.asked.append)
    scheduler.every_source("shop", timedelta(hours=1))
    scheduler.start()
    await fetches.reach(3)
    await asyncio.sleep(0.2)
    scheduler.stop()
    assert len(fetches.times) == 3


async def test_a_hangup_fetches_now() -> None:
    """Without waiting for the interval."""
    fetches = Fetches()
    scheduler = Timers(fetches, fetches.asked.append)
    scheduler.every_source("shop", timedelta(hours=1))
    scheduler.start()
    await fetches.reach(1)
    scheduler.fetch_now()
    await fetches.reach(2)
    scheduler.stop()


async def test_an_app_has_its_pass_on_its_interval() -> None:
    """Although nothing happened."""
    fetches = Fetches()
    scheduler = Timers(fetches, fetches.asked.append)
    scheduler.every_app("web", timedelta(seconds=0.1))
    scheduler.start()
    async with asyncio.timeout(5):
        while fetches.asked != ["web", "web"]:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
    scheduler.stop()
