"""Delivers the outbox."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from driftd.model.errors import NotifyError, StoreError
from driftd.notify.channel import Channel
from driftd.store import Delivery, Store

log = structlog.get_logger(__name__)

_LEASE = timedelta(seconds=60)
"""How long a delivery is ours alone: longer than the longest send (three requests of 10 s each)."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a delivery that failed is tried again: after `first`, then twice as long each time, up to `longest`.

    Each wait is shortened by up to a half at random, so that many do not come back at once. `give_up` counts from when
    the notification was accepted. `poll` is how soon what another process put into the outbox is found.
    """

    first: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(minutes=10)
    give_up: timedelta = timedelta(hours=24)
    poll: timedelta = timedelta(seconds=10)

    def delay(self, attempts: int) -> timedelta:
        """The wait after so many failures (from 1)."""
        full: timedelta = min(self.longest, self.first * 2.0 ** min(attempts - 1, 30))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, keeps no secret)


@dataclass(slots=True)
class _Lane:
    """One channel's way: whatever happens on it, the others do not wait."""

    channel: Channel
    waker: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    failures: int = 0
    paused_until: datetime | None = None


class Dispatcher:
    """Takes deliveries from the store and hands each to its channel, until it is delivered or given up.

    At least once: a crash between a channel's yes and the record of it makes the delivery come again, under the same
    id. Of one incident, a channel gets the messages in order.
    """

    def __init__(
        self,
        store: Store,
        channels: Sequence[Channel],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        schedule: Schedule | None = None,
    ) -> None:
        names = [channel.name for channel in channels]
        if len(set(names)) != len(names):
            raise ValueError(f"two channels have one name: {sorted(names)}")
        self._store = store
        self._clock = clock
        self._schedule = schedule or Schedule()
        self._lanes = [_Lane(channel) for channel in channels]

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._serve(lane), name=f"notify-{lane.channel.name}")
            group.create_task(self._look_after_strays(), name="notify-strays")

    def wake(self) -> None:
        """Something was put into the outbox: look now. To be called from the event loop."""
        for lane in self._lanes:
            lane.waker.set()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 (a bound on work that is then left for later, not an error)
        """Finish what is under way and deliver what is due, for at most so many seconds; beside `run` or without it.

        Returns: whether nothing is left. What is left stays in the outbox for the next start.
        """
        tasks = [asyncio.create_task(self._empty(lane)) for lane in self._lanes]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        backlog = await self._store.backlog()
        return not any(lane.channel.name in backlog and backlog[lane.channel.name].pending for lane in self._lanes)

    async def close(self) -> None:
        """Close the channels."""
        for lane in self._lanes:
            await lane.channel.close()

    async def _serve(self, lane: _Lane) -> None:
        while True:
            lane.waker.clear()
            try:
                await self._empty(lane)
                wait = await self._idle_time(lane)
            except StoreError as e:
                log.warning("outbox cannot be used", channel=lane.channel.name, error=str(e))
                wait = self._schedule.poll
            try:
                async with asyncio.timeout(wait.total_seconds()):
                    await lane.waker.wait()
            except TimeoutError:
                continue

    async def _idle_time(self, lane: _Lane) -> timedelta:
        now = self._clock()
        moments = [now + self._schedule.poll]
        due = await self._store.next_due(lane.channel.name)
        if due is not None:
            moments.append(max(due, lane.paused_until or due))
        return max(timedelta(), min(moments) - now)

    async def _empty(self, lane: _Lane) -> None:
        """Deliver one by one until nothing is due, or the channel asks for a pause."""
        while True:
            async with lane.turn:
                now = self._clock()
                if lane.paused_until is not None and now < lane.paused_until:
                    return
                due = await self._store.claim_deliveries(now, limit=1, channel=lane.channel.name, lease=_LEASE)
                if not due:
                    return
                await self._deliver(lane, due[0])

    async def _deliver(self, lane: _Lane, delivery: Delivery) -> None:
        try:
            receipt = await lane.channel.send(delivery.notification, delivery.receipt)
        except NotifyError as e:
            await self._failed(lane, delivery, e)
        except Exception as e:  # one message that a channel cannot digest must not stop the others
            name = lane.channel.name
            log.exception("channel broke", channel=name, notification=delivery.notification.id)
            await self._failed(lane, delivery, NotifyError(f"{name}: {type(e).__name__}"))
        else:
            lane.failures, lane.paused_until = 0, None
            await self._keep(lambda: self._store.delivered(delivery, receipt, self._clock()))
            log.info("delivered", **_about(delivery))

    async def _failed(self, lane: _Lane, delivery: Delivery, error: NotifyError) -> None:
        now = self._clock()
        delay = self._schedule.delay(delivery.attempts + 1)
        if error.retry_after is not None:
            delay = max(delay, timedelta(seconds=error.retry_after))
        retry_at: datetime | None = now + delay
        if error.permanent or now - delivery.accepted >= self._schedule.give_up:
            retry_at = None
        if not error.permanent:
            lane.failures += 1
            pause = min(self._schedule.delay(lane.failures), timedelta(minutes=1))
            if error.retry_after is not None:
                pause = timedelta(seconds=error.retry_after)
            lane.paused_until = now + pause
        await self._keep(lambda: self._store.delivery_failed(delivery, str(error), retry_at=retry_at, now=now))
        if retry_at is None:
            log.error("delivery given up", **_about(delivery), error=str(error))
        else:
            log.warning("delivery failed", **_about(delivery), error=str(error), retry_at=retry_at.isoformat())

    async def _keep(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write what became of a delivery, however long the database takes: unwritten, it would be sent again."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreError), wait=wait_random_exponential(multiplier=0.5, max=15)
        ):
            with attempt:
                await write()

    async def _look_after_strays(self) -> None:
        """Give up, in time, what waits for a channel that is no longer configured: it would stay for ever."""
        ours = {lane.channel.name for lane in self._lanes}
        while True:
            try:
                for name in (await self._store.backlog()).keys() - ours:
                    await self._give_up_strays(name)
            except StoreError as e:
                log.warning("outbox cannot be used", error=str(e))
            await asyncio.sleep(300)

    async def _give_up_strays(self, channel: str) -> None:
        now = self._clock()
        for stray in await self._store.claim_deliveries(now, limit=100, channel=channel):
            if now - stray.accepted >= self._schedule.give_up:
                error = "no channel of this name is configured any more"
                await self._store.delivery_failed(stray, error, retry_at=None, now=now)
                log.error("delivery given up", **_about(stray), error=error)


def _about(delivery: Delivery) -> dict[str, object]:
    incident = delivery.notification.incident
    return {
        "channel": delivery.channel,
        "notification": delivery.notification.id,
        "what": str(delivery.notification.event),
        "incident": incident.id,
        "app": incident.app,
        "attempts": delivery.attempts + 1,
    }
