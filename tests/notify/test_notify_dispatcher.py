"""The outbox is delivered: once, in order, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from itertools import pairwise

import notify_world as world
import pytest
from structlog.testing import capture_logs

from driftd.notify.dispatcher import Dispatcher, Schedule
from driftd.notify.webhook import WebhookChannel
from driftd.store import HistoryKind, Store
from tests.support.incidents import save_incident

DAY = timedelta(days=1)


async def accept(store: Store, *channels: str, number: int = 1, events=(world.OPENED,)) -> None:
    for event in events:
        told = world.told(event, world.incident(number=number))
        await save_incident(store, told.incident, told, channels)


async def test_what_was_accepted_before_a_crash_is_delivered_after_it(url):
    """A new process on the same file sends what the old one could not, with the same id."""
    store = await Store.open(url)
    await accept(store, "memory")
    await store.close()
    store = await Store.open(url)
    channel = world.Memory()
    assert await Dispatcher(store, [channel], world.Clock()).drain(5)
    assert [(n.id, receipt) for n, receipt in channel.sent] == [("incident-1-opened", None)]
    await store.close()


async def test_a_delivery_that_is_repeated_carries_the_same_id_and_body(store: Store, receiver):
    """The receiver can tell a repetition, after an error as after a crash in mid-delivery."""
    clock = world.Clock()
    channel = WebhookChannel(name="audit", url=receiver.url, secret=world.FakeSecret("key"))
    dispatcher = Dispatcher(store, [channel], clock)
    await accept(store, "audit")
    receiver.next(500)
    assert not await dispatcher.drain(5)
    clock.pass_by(timedelta(minutes=1))
    [unrecorded] = await store.claim_deliveries(clock.now)
    await channel.send(unrecorded.notification, None)
    clock.pass_by(timedelta(minutes=1))
    assert await dispatcher.drain(5)
    await dispatcher.close()
    assert [json.loads(r.body)["id"] for r in receiver.requests] == ["incident-1-opened"] * 3
    assert len({r.body for r in receiver.requests}) == 1


async def test_an_incidents_messages_arrive_in_order_and_know_the_first_one(store: Store):
    """Though the first fails at first, "resolved" comes last, with the receipt of "opened"."""
    clock, channel = world.Clock(), world.Memory(troubles=world.deque([world.refused()]))
    dispatcher = Dispatcher(store, [channel], clock)
    await accept(store, "memory", events=(world.OPENED, world.CHANGED, world.RESOLVED))
    assert not await dispatcher.drain(5)
    assert channel.sent == []
    clock.pass_by(timedelta(minutes=5))
    assert await dispatcher.drain(5)
    assert [(n.event, receipt) for n, receipt in channel.sent] == [
        (world.OPENED, None),
        (world.CHANGED, "receipt-1"),
        (world.RESOLVED, "receipt-2"),
    ]


async def test_a_rate_limit_is_honoured_for_the_whole_channel(store: Store):
    """Not this message alone: nothing is sent to the channel before the time it asked for."""
    clock, channel = world.Clock(), world.Memory(troubles=world.deque([world.refused(after=120)]))
    other = world.Memory("other")
    dispatcher = Dispatcher(store, [channel, other], clock)
    for number in (1, 2, 3):
        await accept(store, "memory", "other", number=number)
    await dispatcher.drain(5)
    assert (len(channel.sent), len(other.sent)) == (0, 3)
    clock.pass_by(timedelta(seconds=119))
    await dispatcher.drain(5)
    assert channel.sent == []
    clock.pass_by(timedelta(seconds=2))
    assert await dispatcher.drain(5)
    assert len(channel.sent) == 3


async def test_one_channel_that_hangs_does_not_delay_the_others(store: Store):
    """Each channel has its own way, also while the daemon runs."""
    stuck, free = world.Memory("stuck", gate=asyncio.Event()), world.Memory("free")
    dispatcher = Dispatcher(store, [stuck, free])
    running = asyncio.create_task(dispatcher.run())
    for number in (1, 2, 3):
        await accept(store, "stuck", "free", number=number)
        dispatcher.wake()
        await world.until(lambda number=number: len(free.sent) == number)
    assert stuck.sent == []
    stuck.gate.set()
    await world.until(lambda: len(stuck.sent) == 3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await dispatcher.close()
    assert stuck.closed
    assert free.closed


async def test_what_another_process_accepts_is_found_without_a_call(store: Store, url):
    """A command puts a notification into the outbox; the daemon delivers it."""
    channel = world.Memory()
    dispatcher = Dispatcher(store, [channel], schedule=Schedule(poll=timedelta(milliseconds=20)))
    running = asyncio.create_task(dispatcher.run())
    command = await Store.open(url)
    await accept(command, "memory")
    await command.close()
    await world.until(lambda: channel.sent)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_two_dispatchers_on_one_outbox_send_each_message_once(store: Store, url):
    """What one has in its hands, the other does not take, however long the channel needs."""
    other = await Store.open(url)
    slow, same = world.Memory(gate=asyncio.Event()), world.Memory()
    await accept(store, "memory")
    draining = asyncio.create_task(Dispatcher(store, [slow]).drain(20))
    await world.until(lambda: slow.asked)
    assert not await Dispatcher(other, [same]).drain(5)
    slow.gate.set()
    assert await draining
    assert (len(slow.sent), same.asked) == (1, 0)
    await other.close()


async def test_after_a_day_a_delivery_is_given_up_with_a_clear_record(store: Store):
    """The tries grow rarer; the end stands in the history and in the log, and the next message passes."""
    clock, channel = world.Clock(), world.Memory(troubles=world.deque([world.refused()] * 1000))
    dispatcher = Dispatcher(store, [channel], clock)
    await accept(store, "memory")
    started, tries = clock.now, []
    with capture_logs() as logs:
        while (await store.backlog()).get("memory") and (await store.backlog())["memory"].pending:
            before = len(channel.troubles)
            await dispatcher.drain(5)
            if len(channel.troubles) < before:
                tries.append(clock.now - started)
            clock.pass_by(timedelta(seconds=1) if len(tries) < 6 else timedelta(minutes=10))
            assert clock.now - started < 2 * DAY
    gaps = [b - a for a, b in pairwise(tries)]
    assert gaps[0] <= timedelta(seconds=2)
    assert max(gaps) <= timedelta(minutes=20)
    assert tries[-1] >= DAY - timedelta(minutes=2)
    entry = (await store.history("web"))[0]
    assert entry.kind is HistoryKind.DELIVERY
    assert entry.summary.endswith(f"given up after {len(tries)} attempts: memory: HTTP 503")
    assert [line["log_level"] for line in logs if line["event"] == "delivery given up"] == ["error"]
    channel.troubles.clear()
    await accept(store, "memory", events=(world.RESOLVED,))
    clock.pass_by(timedelta(minutes=10))
    assert await dispatcher.drain(5)
    assert [n.event for n, _ in channel.sent] == [world.RESOLVED]


async def test_a_message_that_is_refused_for_good_is_not_tried_again(store: Store):
    """And it does not hold up the messages of other incidents for a moment."""
    clock, channel = world.Clock(), world.Memory(troubles=world.deque([world.refused(permanent=True)]))
    await accept(store, "memory", number=1)
    await accept(store, "memory", number=2)
    assert await Dispatcher(store, [channel], clock).drain(5)
    assert [n.incident.id for n, _ in channel.sent] == ["incident-2"]
    assert (await store.backlog())["memory"].failed == 1


async def test_a_channel_that_breaks_is_an_error_like_any_other(store: Store):
    """A bug in one channel is logged and tried again; it stops nothing."""
    clock, channel = world.Clock(), world.Memory(troubles=world.deque([KeyError("canary")]))
    dispatcher = Dispatcher(store, [channel], clock)
    await accept(store, "memory")
    assert not await dispatcher.drain(5)
    clock.pass_by(timedelta(minutes=1))
    assert await dispatcher.drain(5)


async def test_stopping_finishes_what_is_under_way_and_leaves_the_rest_for_the_next_start(store: Store, url):
    """drain() waits for a delivery in flight, but never longer than it was allowed to."""
    slow = world.Memory(gate=asyncio.Event())
    dispatcher = Dispatcher(store, [slow])
    running = asyncio.create_task(dispatcher.run())
    await accept(store, "memory", number=1)
    dispatcher.wake()
    await world.until(dispatcher._lanes[0].turn.locked)
    draining = asyncio.create_task(dispatcher.drain(10))
    asyncio.get_running_loop().call_later(0.1, slow.gate.set)
    assert await draining
    assert len(slow.sent) == 1

    slow.gate.clear()
    await accept(store, "memory", number=2)
    began = asyncio.get_running_loop().time()
    assert not await dispatcher.drain(0.3)
    assert asyncio.get_running_loop().time() - began < 3
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await store.backlog())["memory"].pending == 1


async def test_what_waits_for_a_channel_that_is_gone_is_given_up_in_time(store: Store):
    """A channel that was taken out of the configuration does not fill the outbox for ever."""
    clock = world.Clock()
    dispatcher = Dispatcher(store, [world.Memory("here")], clock)
    await accept(store, "gone")
    await dispatcher._give_up_strays("gone")
    assert (await store.backlog())["gone"].pending == 1
    clock.pass_by(DAY)
    await dispatcher._give_up_strays("gone")
    assert (await store.backlog())["gone"].failed == 1


def test_two_channels_of_one_name_are_refused():
    """A delivery is stored under its channel's name."""
    with pytest.raises(ValueError, match="one name"):
        Dispatcher(None, [world.Memory(), world.Memory()])


def test_waits_grow_and_stay_bounded():
    """From a second or two to ten minutes at the most, never at the same moment for all."""
    schedule = Schedule()
    waits = [schedule.delay(attempts).total_seconds() for attempts in range(1, 60)]
    assert 1 <= waits[0] <= 2
    assert all(300 <= wait <= 600 for wait in waits[10:])
    assert len(set(waits)) > 50
