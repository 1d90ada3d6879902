"""The outbox is delivered once and in order, despite failures."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from itertools import pairwise

import notify_world as world
import pytest
from structlog.testing import capture_logs

from driftd.notify.dispatcher import Dispatcher, RetrySchedule
from driftd.notify.webhook import WebhookChannel
from driftd.store import HistoryKind, Store
from tests.support.incidents import save_incident

DAY = timedelta(days=1)


async def accept(store: Store, *channels: str, number: int = 1, events=(world.OPENED,)) -> None:
    for event in events:
        told = world.notification_of(event, world.incident(number=number))
        await save_incident(store, told.incident, told, channels)


async def test_notifications_accepted_before_a_crash_are_delivered_after_it(url):
    """A new process with the same database sends them, with the same id."""
    store = await Store.open(url)
    await accept(store, "memory")
    await store.close()
    store = await Store.open(url)
    channel = world.RecordingChannel()
    assert await Dispatcher(store, [channel], world.Clock()).drain(5)
    assert [(n.id, receipt) for n, receipt in channel.sent] == [("incident-1-opened", None)]
    await store.close()


async def test_a_repeated_delivery_has_the_same_id_and_body(store: Store, receiver):
    """The receiver can detect it, after an error and after a crash during delivery."""
    clock = world.Clock()
    channel = WebhookChannel(name="audit", url=receiver.url, secret=world.FakeSecret("key"))
    dispatcher = Dispatcher(store, [channel], clock, monotonic=clock.monotonic)
    await accept(store, "audit")
    receiver.next(500)
    assert not await dispatcher.drain(5)
    clock.advance(timedelta(minutes=1))
    [unrecorded] = await store.claim_deliveries(clock.now)
    await channel.send(unrecorded.notification, None)
    clock.advance(timedelta(minutes=1))
    assert await dispatcher.drain(5)
    await dispatcher.close()
    assert [json.loads(r.body)["id"] for r in receiver.requests] == ["incident-1-opened"] * 3
    assert len({r.body for r in receiver.requests}) == 1


async def test_an_incidents_messages_arrive_in_order_with_the_first_receipt(store: Store):
    """Although the first fails at first, "resolved" is last, with the receipt of "opened"."""
    clock, channel = world.Clock(), world.RecordingChannel(errors=world.deque([world.refused()]))
    dispatcher = Dispatcher(store, [channel], clock, monotonic=clock.monotonic)
    await accept(store, "memory", events=(world.OPENED, world.CHANGED, world.RESOLVED))
    assert not await dispatcher.drain(5)
    assert channel.sent == []
    clock.advance(timedelta(minutes=5))
    assert await dispatcher.drain(5)
    assert [(n.event, receipt) for n, receipt in channel.sent] == [
        (world.OPENED, None),
        (world.CHANGED, "receipt-1"),
        (world.RESOLVED, "receipt-2"),
    ]


async def test_a_rate_limit_applies_to_the_whole_channel(store: Store):
    """Nothing is sent to the channel before the time that it requested."""
    clock, channel = world.Clock(), world.RecordingChannel(errors=world.deque([world.refused(after=120)]))
    other = world.RecordingChannel("other")
    dispatcher = Dispatcher(store, [channel, other], clock, monotonic=clock.monotonic)
    for number in (1, 2, 3):
        await accept(store, "memory", "other", number=number)
    await dispatcher.drain(5)
    assert (len(channel.sent), len(other.sent)) == (0, 3)
    clock.advance(timedelta(seconds=119))
    await dispatcher.drain(5)
    assert channel.sent == []
    clock.advance(timedelta(seconds=2))
    assert await dispatcher.drain(5)
    assert len(channel.sent) == 3


async def test_a_hanging_channel_does_not_delay_the_others(store: Store, supervisor):
    """Each channel has its own worker."""
    stuck, free = world.RecordingChannel("stuck", gate=asyncio.Event()), world.RecordingChannel("free")
    dispatcher = Dispatcher(store, [stuck, free])
    dispatcher.start(supervisor)
    for number in (1, 2, 3):
        await accept(store, "stuck", "free", number=number)
        dispatcher.wake()
        await world.until(lambda number=number: len(free.sent) == number)
    assert stuck.sent == []
    stuck.gate.set()
    await world.until(lambda: len(stuck.sent) == 3)
    await supervisor.stop()
    await dispatcher.close()
    assert stuck.closed
    assert free.closed


async def test_notifications_of_other_processes_are_found_by_polling(store: Store, url, supervisor):
    """A command adds a notification to the outbox; the daemon delivers it."""
    channel = world.RecordingChannel()
    dispatcher = Dispatcher(store, [channel], schedule=RetrySchedule(poll_interval=timedelta(milliseconds=20)))
    dispatcher.start(supervisor)
    command = await Store.open(url)
    await accept(command, "memory")
    await command.close()
    await world.until(lambda: channel.sent)
    await supervisor.stop()


async def test_two_dispatchers_on_one_outbox_send_each_message_once(store: Store, url):
    """A claimed delivery is reserved, however long the channel takes."""
    other = await Store.open(url)
    slow, same = world.RecordingChannel(gate=asyncio.Event()), world.RecordingChannel()
    await accept(store, "memory")
    draining = asyncio.create_task(Dispatcher(store, [slow]).drain(20))
    await world.until(lambda: slow.attempts)
    assert not await Dispatcher(other, [same]).drain(5)
    slow.gate.set()
    assert await draining
    assert (len(slow.sent), same.attempts) == (1, 0)
    await other.close()


async def test_after_a_day_a_delivery_is_given_up_and_recorded(store: Store):
    """In the history and in the log; the next message is not affected."""
    clock, channel = world.Clock(), world.RecordingChannel(errors=world.deque([world.refused()] * 1000))
    dispatcher = Dispatcher(store, [channel], clock, monotonic=clock.monotonic)
    await accept(store, "memory")
    started, tries = clock.now, []
    with capture_logs() as logs:
        while (await store.backlog()).get("memory") and (await store.backlog())["memory"].pending:
            before = len(channel.errors)
            await dispatcher.drain(5)
            if len(channel.errors) < before:
                tries.append(clock.now - started)
            clock.advance(timedelta(seconds=1) if len(tries) < 6 else timedelta(minutes=10))
            assert clock.now - started < 2 * DAY
    gaps = [b - a for a, b in pairwise(tries)]
    assert gaps[0] <= timedelta(seconds=2)
    assert max(gaps) <= timedelta(minutes=20)
    assert tries[-1] >= DAY - timedelta(minutes=2)
    entry = (await store.history("web"))[0]
    assert entry.kind is HistoryKind.DELIVERY
    assert entry.summary.endswith(f"given up after {len(tries)} attempts: memory: HTTP 503")
    assert [line["log_level"] for line in logs if line["event"] == "delivery given up"] == ["error"]
    channel.errors.clear()
    await accept(store, "memory", events=(world.RESOLVED,))
    clock.advance(timedelta(minutes=10))
    assert await dispatcher.drain(5)
    assert [n.event for n, _ in channel.sent] == [world.RESOLVED]


async def test_a_clock_that_is_set_back_holds_no_message_back(store: Store):
    """Neither one that was accepted before, nor one whose first attempt had failed, nor the pause of the channel."""
    clock, channel = world.Clock(), world.RecordingChannel(errors=world.deque([world.refused()]))
    dispatcher = Dispatcher(store, [channel], clock, monotonic=clock.monotonic)
    await accept(store, "memory", number=1)
    assert not await dispatcher.drain(5)
    await accept(store, "memory", number=2)
    clock.set(world.T0 - timedelta(hours=5))
    clock.advance(timedelta(minutes=1))
    assert await dispatcher.drain(5)
    assert {n.incident.id for n, _ in channel.sent} == {"incident-1", "incident-2"}


async def test_a_clock_that_is_set_ahead_costs_no_message(store: Store):
    """Nor one that is set back: a message is given up after a day that has passed."""
    for number, days in enumerate((365, -365)):
        clock, channel = world.Clock(), world.RecordingChannel(errors=world.deque([world.refused()] * 40))
        dispatcher = Dispatcher(store, [channel], clock, monotonic=clock.monotonic)
        await accept(store, "memory", number=10 + number)
        clock.set(clock.now + days * DAY)
        await accept(store, "memory", number=20 + number)
        for _ in range(60):
            await dispatcher.drain(5)
            clock.advance(timedelta(minutes=10))
        assert len(channel.sent) == 2
        assert await store.backlog() == {}


async def test_a_permanently_refused_message_is_not_retried(store: Store):
    """And does not delay the messages of other incidents."""
    clock, channel = world.Clock(), world.RecordingChannel(errors=world.deque([world.refused(permanent=True)]))
    await accept(store, "memory", number=1)
    await accept(store, "memory", number=2)
    assert await Dispatcher(store, [channel], clock, monotonic=clock.monotonic).drain(5)
    assert [n.incident.id for n, _ in channel.sent] == ["incident-2"]
    assert (await store.backlog())["memory"].failed == 1


async def test_an_unexpected_error_of_a_channel_is_retried(store: Store):
    """It is logged, and stops nothing."""
    clock, channel = world.Clock(), world.RecordingChannel(errors=world.deque([KeyError("canary")]))
    dispatcher = Dispatcher(store, [channel], clock, monotonic=clock.monotonic)
    await accept(store, "memory")
    assert not await dispatcher.drain(5)
    clock.advance(timedelta(minutes=1))
    assert await dispatcher.drain(5)


async def test_draining_finishes_deliveries_in_flight(store: Store, supervisor, monkeypatch):
    """For at most its timeout; the rest stays in the outbox for the next start."""
    slow = world.RecordingChannel(gate=asyncio.Event())
    dispatcher = Dispatcher(store, [slow])
    dispatcher.start(supervisor)
    await accept(store, "memory", number=1)
    dispatcher.wake()
    await world.until(dispatcher._workers[0].lock.locked)
    draining = asyncio.create_task(dispatcher.drain(10))
    asyncio.get_running_loop().call_later(0.1, slow.gate.set)
    assert await draining
    assert len(slow.sent) == 1

    slow.gate.clear()
    await accept(store, "memory", number=2)
    began = asyncio.get_running_loop().time()
    assert not await dispatcher.drain(0.3)
    assert asyncio.get_running_loop().time() - began < 3
    await supervisor.stop()
    monkeypatch.setattr("driftd.notify.dispatcher._SEND_GRACE_SECONDS", 0.1)
    await dispatcher.close()
    assert (await store.backlog())["memory"].pending == 1


async def test_orphaned_deliveries_are_given_up_after_a_day(store: Store):
    """Otherwise a channel removed from the configuration would fill the outbox."""
    clock = world.Clock()
    dispatcher = Dispatcher(store, [world.RecordingChannel("here")], clock, monotonic=clock.monotonic)
    await accept(store, "gone")
    await dispatcher._give_up_orphaned_deliveries("gone")
    assert (await store.backlog())["gone"].pending == 1
    clock.advance(DAY)
    await dispatcher._give_up_orphaned_deliveries("gone")
    assert (await store.backlog())["gone"].failed == 1


async def test_what_is_being_sent_when_the_dispatcher_closes_is_sent_once(store: Store, supervisor):
    """Its channel takes a while to answer: it gets that time, and the next dispatcher has nothing to repeat."""
    clock, slow = world.Clock(), world.RecordingChannel(gate=asyncio.Event())
    dispatcher = Dispatcher(store, [slow], clock, monotonic=clock.monotonic)
    dispatcher.start(supervisor)
    await accept(store, "memory")
    dispatcher.wake()
    await world.until(lambda: slow.attempts)
    await supervisor.stop()
    asyncio.get_running_loop().call_later(0.1, slow.gate.set)
    await dispatcher.close()
    clock.advance(timedelta(minutes=5))
    assert await Dispatcher(store, [slow], clock, monotonic=clock.monotonic).drain(5)
    assert (slow.attempts, len(slow.sent)) == (1, 1)


@pytest.mark.parametrize("seconds", [1e20, float("inf"), float("nan"), -5.0])
async def test_no_answer_of_a_channel_silences_it_for_long_or_delays_the_others(store: Store, seconds: float):
    """Whatever it asks for, it is tried again within minutes."""
    clock = world.Clock()
    odd, other = world.RecordingChannel(errors=world.deque([world.refused(after=seconds)])), world.RecordingChannel("b")
    dispatcher = Dispatcher(store, [odd, other], clock, monotonic=clock.monotonic)
    await accept(store, "memory", "b")
    await dispatcher.drain(5)
    assert (odd.attempts, len(other.sent)) == (1, 1)
    clock.advance(timedelta(minutes=10, seconds=1))
    assert await dispatcher.drain(5)
    assert len(odd.sent) == 1


async def test_a_channel_that_crashes_is_started_again_beside_the_others(store: Store, supervisor, monkeypatch):
    """A defect in one worker is logged, and neither ends it nor touches the others."""
    monkeypatch.setattr("driftd.process.supervisor._MIN_BACKOFF_SECONDS", 0.01)
    first, second = world.RecordingChannel("first"), world.RecordingChannel("second")
    dispatcher = Dispatcher(store, [first, second])
    claim, crashed = store.claim_deliveries, []

    async def crash_once(*arguments, **options):
        if options["channel"] == "first" and not crashed:
            crashed.append(True)
            raise OverflowError
        return await claim(*arguments, **options)

    monkeypatch.setattr(store, "claim_deliveries", crash_once)
    await accept(store, "first", "second")
    with capture_logs() as logs:
        dispatcher.start(supervisor)
        await world.until(lambda: first.sent and second.sent)
    assert [line["task"] for line in logs if line["event"] == "background task crashed"] == ["channel first"]
    await supervisor.stop()


def test_two_channels_of_one_name_are_refused():
    """Deliveries are stored under the name of their channel."""
    with pytest.raises(ValueError, match="one name"):
        Dispatcher(None, [world.RecordingChannel(), world.RecordingChannel()])


def test_delays_grow_up_to_their_cap():
    """From a second or two to ten minutes, with jitter."""
    schedule = RetrySchedule()
    waits = [schedule.delay(attempts).total_seconds() for attempts in range(1, 60)]
    assert 1 <= waits[0] <= 2
    assert all(300 <= wait <= 600 for wait in waits[10:])
    assert len(set(waits)) > 50
