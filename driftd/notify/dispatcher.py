"""Delivers the notifications in the outbox: one worker per channel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from driftd.model.backoff import bounded, exponential_delay
from driftd.model.errors import NotifyError, StoreError
from driftd.notify.channel import Channel
from driftd.notify.http_poster import MAX_RETRY_AFTER
from driftd.process.supervisor import Supervisor
from driftd.store import Delivery, Store

log = structlog.get_logger(__name__)

_LEASE = timedelta(seconds=60)
"""How long a claimed delivery is reserved: longer than the longest send (three requests of 10 s each)."""


_ORPHAN_CHECK_SECONDS = 300

_ORPHANS_TASK = "undeliverable messages"

_MAX_CHANNEL_PAUSE = timedelta(minutes=1)

_SEND_GRACE_SECONDS = 10.0
"""Seconds that what is being sent has to be answered and recorded, when the dispatcher closes."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """When failed deliveries are retried: after `initial_delay`, doubled with each failure up to `max_delay`.

    Each delay is shortened at random by up to a half. `give_up_after` counts from when the notification was accepted;
    `min_attempts` are made in any case: a clock that was set ahead must not cost a message.
    `poll_interval` is how often the outbox is checked for entries of other processes.
    """

    initial_delay: timedelta = timedelta(seconds=2)
    max_delay: timedelta = timedelta(minutes=10)
    give_up_after: timedelta = timedelta(hours=24)
    min_attempts: int = 12
    poll_interval: timedelta = timedelta(seconds=10)

    def delay(self, attempts: int) -> timedelta:
        """The delay after `attempts` failures (from 1)."""
        initial, cap = self.initial_delay.total_seconds(), self.max_delay.total_seconds()
        return timedelta(seconds=exponential_delay(attempts, initial, cap, jitter=True))

    def is_over(self, age: timedelta, attempts: int) -> bool:
        """Whether a delivery of this age, after `attempts` failures, is given up."""
        return age >= self.give_up_after and attempts >= self.min_attempts


@dataclass(slots=True)
class _ChannelWorker:
    """The state of one channel's deliveries, which do not wait for those of other channels."""

    channel: Channel
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    failures: int = 0
    paused_until: float | None = None
    """On the monotonic clock."""


class Dispatcher:
    """Passes deliveries from the store to their channels until they are delivered or given up.

    At least once: after a crash between a send and its record, the delivery is repeated under the same id. Each
    channel receives the messages of an incident in order.
    """

    def __init__(
        self,
        store: Store,
        channels: Sequence[Channel],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        schedule: RetrySchedule | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        names = [channel.name for channel in channels]
        if len(set(names)) != len(names):
            raise ValueError(f"two channels have one name: {sorted(names)}")
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._schedule = schedule or RetrySchedule()
        self._began = (clock(), monotonic())
        self._workers = [_ChannelWorker(channel) for channel in channels]
        self._sending: set[asyncio.Task[bool]] = set()
        self._closing = False

    def start(self, supervisor: Supervisor) -> None:
        """Starts to deliver, with a task per channel: one channel's trouble is only its own."""
        for worker in self._workers:
            supervisor.start(_task_name(worker), partial(self._run_worker, worker))
        supervisor.start(_ORPHANS_TASK, self._expire_orphaned_deliveries)

    async def stop(self, supervisor: Supervisor) -> None:
        """Ends the tasks that `start` began; what is being sent goes on until `close`."""
        await supervisor.stop(*map(_task_name, self._workers), _ORPHANS_TASK)

    def wake(self) -> None:
        """Checks the outbox now, after something was added. To be called on the event loop."""
        for worker in self._workers:
            worker.wakeup.set()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 (running out of time is no error)
        """Deliver everything due within `timeout` seconds, whether or not it was started.

        Returns: whether nothing is left. Otherwise the rest stays in the outbox for the next start.
        """
        tasks = [asyncio.create_task(self._deliver_due(worker)) for worker in self._workers]
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=timeout)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        backlog = await self._store.backlog()
        return not any(
            worker.channel.name in backlog and backlog[worker.channel.name].pending for worker in self._workers
        )

    async def close(self) -> None:
        """Claim nothing more, give what is being sent its time, and close the channels.

        A delivery that was cut off between its send and its record would be sent again.
        """
        self._closing = True
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=_SEND_GRACE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for worker in self._workers:
            await worker.channel.close()

    async def _run_worker(self, worker: _ChannelWorker) -> None:
        while True:
            worker.wakeup.clear()
            try:
                await self._deliver_due(worker)
                wait = await self._idle_time(worker)
            except StoreError as e:
                log.warning("outbox cannot be used", channel=worker.channel.name, error=str(e))
                wait = self._schedule.poll_interval
            try:
                async with asyncio.timeout(wait.total_seconds()):
                    await worker.wakeup.wait()
            except TimeoutError:
                continue

    async def _idle_time(self, worker: _ChannelWorker) -> timedelta:
        """How long until something may be due: not before a pause ends, and never longer than the poll interval."""
        due = await self._store.next_due(worker.channel.name)
        if due is None:
            return self._schedule.poll_interval
        wait = max(timedelta(), due - self._clock(), self._pause_left(worker))
        return min(wait, self._schedule.poll_interval)

    def _pause_left(self, worker: _ChannelWorker) -> timedelta:
        if worker.paused_until is None:
            return timedelta()
        return max(timedelta(), timedelta(seconds=worker.paused_until - self._monotonic()))

    async def _deliver_due(self, worker: _ChannelWorker) -> None:
        """Deliver one by one until nothing is due or the channel has to pause."""
        while not self._closing:
            # In a task that outlives this one: who stops waiting does not cut off what is being sent.
            sending = asyncio.create_task(self._deliver_next(worker), name=f"send/{worker.channel.name}")
            self._sending.add(sending)
            sending.add_done_callback(self._sent)
            if not await asyncio.shield(sending):
                return

    def _sent(self, sending: asyncio.Task[bool]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled() and isinstance(error := sending.exception(), StoreError):
            log.debug("outbox cannot be used", error=str(error))  # the worker says it, unless it has been cancelled

    async def _deliver_next(self, worker: _ChannelWorker) -> bool:
        """Whether something was due."""
        async with worker.lock:
            now = self._clock()
            if self._closing or self._pause_left(worker):
                return False
            due = await self._store.claim_deliveries(now, limit=1, channel=worker.channel.name, lease=_LEASE)
            if not due:
                return False
            await self._deliver(worker, due[0])
            return True

    async def _deliver(self, worker: _ChannelWorker, delivery: Delivery) -> None:
        try:
            receipt = await worker.channel.send(delivery.notification, delivery.receipt)
        except NotifyError as e:
            await self._record_failure(worker, delivery, e)
        except Exception as e:  # a defect for one message must not stop the others
            name = worker.channel.name
            log.exception("channel crashed", channel=name, notification=delivery.notification.id)
            await self._record_failure(worker, delivery, NotifyError(f"{name}: {type(e).__name__}"))
        else:
            worker.failures, worker.paused_until = 0, None
            await self._record(lambda: self._store.delivered(delivery, receipt, self._clock()))
            log.info("delivered", **_log_fields(delivery))

    async def _record_failure(self, worker: _ChannelWorker, delivery: Delivery, error: NotifyError) -> None:
        now = self._clock()
        delay = self._schedule.delay(delivery.attempts + 1)
        asked = None
        if error.retry_after is not None:
            asked = timedelta(seconds=bounded(error.retry_after, MAX_RETRY_AFTER))
            delay = max(delay, asked)
        retry_at: datetime | None = now + delay
        if error.permanent or self._schedule.is_over(self._age(delivery), delivery.attempts + 1):
            retry_at = None
        if not error.permanent:
            worker.failures += 1
            pause = min(self._schedule.delay(worker.failures), _MAX_CHANNEL_PAUSE)
            worker.paused_until = self._monotonic() + (pause if asked is None else asked).total_seconds()
        await self._record(lambda: self._store.delivery_failed(delivery, str(error), retry_at=retry_at, now=now))
        if retry_at is None:
            log.error("delivery given up", **_log_fields(delivery), error=str(error))
        else:
            log.warning("delivery failed", **_log_fields(delivery), error=str(error), retry_at=retry_at.isoformat())

    def _age(self, delivery: Delivery) -> timedelta:
        """How long ago a delivery was accepted, whether somebody has set the clock before that or since.

        So it is the lesser one by the clock as it is and as it would be had nobody set it since the start.
        """
        began, since = self._began
        unset = began + timedelta(seconds=self._monotonic() - since)
        ages = [moment - delivery.accepted for moment in (self._clock(), unset)]
        return min((age for age in ages if age >= timedelta()), default=timedelta())

    async def _record(self, write: Callable[[], Awaitable[None]]) -> None:
        """Record the result of a delivery, with retries without limit: unrecorded, it would be sent again."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreError), wait=wait_random_exponential(multiplier=0.5, max=15)
        ):
            with attempt:
                await write()

    async def _expire_orphaned_deliveries(self) -> None:
        """Give up deliveries to channels that are no longer configured, which would otherwise stay for ever."""
        configured = {worker.channel.name for worker in self._workers}
        while True:
            try:
                for name in (await self._store.backlog()).keys() - configured:
                    await self._give_up_orphaned_deliveries(name)
            except StoreError as e:
                log.warning("outbox cannot be used", error=str(e))
            await asyncio.sleep(_ORPHAN_CHECK_SECONDS)

    async def _give_up_orphaned_deliveries(self, channel: str) -> None:
        now = self._clock()
        for delivery in await self._store.claim_deliveries(now, limit=100, channel=channel):
            if self._age(delivery) >= self._schedule.give_up_after:
                error = "no channel of this name is configured any more"
                await self._store.delivery_failed(delivery, error, retry_at=None, now=now)
                log.error("delivery given up", **_log_fields(delivery), error=error)


def _task_name(worker: _ChannelWorker) -> str:
    return f"channel {worker.channel.name}"


def _log_fields(delivery: Delivery) -> dict[str, object]:
    incident = delivery.notification.incident
    return {
        "channel": delivery.channel,
        "notification": delivery.notification.id,
        "what": str(delivery.notification.event),
        "incident": incident.id,
        "app": incident.app,
        "attempts": delivery.attempts + 1,
    }
