"""Incidents and the outbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import store_world as world

from driftd.model.drift import Status
from driftd.model.errors import StoreError
from driftd.model.incident import IncidentEvent, IncidentType
from driftd.model.revision import RevisionState
from driftd.store import Backlog, HistoryKind, Retention, Store
from tests.support.incidents import save_incident

OPENED, CHANGED, RESOLVED = IncidentEvent.OPENED, IncidentEvent.CHANGED, IncidentEvent.RESOLVED
LATER = world.T0 + timedelta(hours=1)


async def tell(store: Store, event: IncidentEvent, number: int, *channels: str, incident: int = 1) -> None:
    about = world.incident(incident, app=f"app-{incident}", resolved=event is RESOLVED)
    await save_incident(store, about, world.notification(about, event, number), channels or ("slack",))


async def test_an_incident_outlives_a_restart_and_is_open_until_resolved(url):
    """What is wrong is still known as wrong after a crash."""
    store = await Store.open(url)
    about = world.incident()
    await save_incident(store, about, None, ())
    await store.close()
    store = await Store.open(url)
    assert await store.open_incidents("web") == [about]
    assert await store.open_incidents() == [about]
    assert await store.open_incidents("other") == []
    await save_incident(store, world.incident(resolved=True), None, ())
    assert await store.open_incidents("web") == []
    await store.close()


async def test_an_app_has_one_open_incident_of_a_type(store: Store):
    """Two processes that find the same drift do not open two incidents; another type or a later one is fine."""
    await save_incident(store, world.incident(1), None, ())
    second = world.incident(2)
    with pytest.raises(StoreError, match="already open"):
        await save_incident(store, second, world.notification(second, OPENED), ["slack"])
    assert await store.claim_deliveries(LATER) == []
    await save_incident(store, world.incident(3, about=IncidentType.UNHEALTHY), None, ())
    await save_incident(store, world.incident(1, resolved=True), None, ())
    await save_incident(store, second, None, ())


async def test_a_notification_accepted_before_a_crash_is_delivered_after_it(url):
    """Incident and deliveries are one transaction: a new process finds both, with the same id."""
    store = await Store.open(url)
    await tell(store, OPENED, 1, "slack", "audit")
    await store.close()
    store = await Store.open(url)
    taken = await store.claim_deliveries(LATER)
    assert [(d.channel, d.notification.id, d.attempts, d.receipt) for d in taken] == [
        ("slack", "incident-1-1", 0, None),
        ("audit", "incident-1-1", 0, None),
    ]
    assert taken[0].notification == world.notification(world.incident(app="app-1"), OPENED)
    await store.close()


async def test_the_same_notification_is_queued_once(store: Store):
    """A pass that is repeated after a crash does not tell the same thing twice."""
    await tell(store, OPENED, 1, "slack", "slack")
    await tell(store, OPENED, 1, "slack")
    assert len(await store.claim_deliveries(LATER)) == 1
    assert [e.summary for e in await store.history("app-1")] == ["drift opened: 1 object"]


async def test_a_later_message_waits_for_the_earlier_one_of_its_incident_and_channel(store: Store):
    """ "Resolved" never overtakes "opened"; other incidents and channels do not wait."""
    await tell(store, OPENED, 1, "slack", "audit")
    await tell(store, RESOLVED, 2, "slack", "audit")
    await tell(store, OPENED, 1, incident=2)
    first = await store.claim_deliveries(LATER)
    assert [(d.channel, d.notification.id) for d in first] == [
        ("slack", "incident-1-1"),
        ("audit", "incident-1-1"),
        ("slack", "incident-2-1"),
    ]
    assert await store.next_due("audit") == LATER + timedelta(seconds=60)
    await store.delivered(first[0], "C1/17.1", LATER)
    [second] = await store.claim_deliveries(LATER)
    assert (second.channel, second.notification.event, second.receipt) == ("slack", RESOLVED, "C1/17.1")


async def test_a_receipt_is_handed_on_past_messages_that_had_none(store: Store):
    """Every later message of an incident updates the one that a channel first gave a receipt for, or the newest."""
    for number, (event, receipt) in enumerate([(OPENED, "first"), (CHANGED, None), (RESOLVED, None)]):
        await tell(store, event, number)
        [delivery] = await store.claim_deliveries(LATER)
        assert delivery.receipt == (None if number == 0 else "first")
        await store.delivered(delivery, receipt, LATER)


async def test_what_one_process_has_taken_no_other_gets_until_the_lease_ends(url):
    """Two processes on one outbox do not send twice; a crash while sending delays by the lease at most."""
    one, two = await Store.open(url), await Store.open(url)
    await tell(one, OPENED, 1)
    assert len(await one.claim_deliveries(LATER)) == 1
    assert await two.claim_deliveries(LATER) == []
    [again] = await two.claim_deliveries(LATER + timedelta(seconds=60))
    assert again.notification.id == "incident-1-1"
    await one.close()
    await two.close()


async def test_a_failed_try_is_due_again_when_it_says(store: Store):
    """The tries are counted; giving up is told in the history and lets the next message pass."""
    await tell(store, OPENED, 1)
    await tell(store, RESOLVED, 2)
    [delivery] = await store.claim_deliveries(LATER)
    await store.delivery_failed(delivery, "HTTP 500", retry_at=LATER + world.MINUTE, now=LATER)
    assert await store.claim_deliveries(LATER) == []
    assert await store.backlog() == {"slack": Backlog(2, 0, world.T0)}
    [delivery] = await store.claim_deliveries(LATER + world.MINUTE)
    assert delivery.attempts == 1
    await store.delivery_failed(delivery, "HTTP 400", retry_at=None, now=LATER)
    [after] = await store.claim_deliveries(LATER + world.MINUTE)
    assert (after.notification.event, after.receipt) == (RESOLVED, None)
    assert await store.backlog() == {"slack": Backlog(1, 1, world.T0)}
    entry = (await store.history("app-1"))[0]
    assert entry.kind is HistoryKind.DELIVERY
    assert entry.summary == "drift opened: 1 object: not delivered to slack, given up after 2 attempts: HTTP 400"


async def test_pruning_keeps_the_way_back_and_what_is_not_finished(url):
    """Old rows go; the current revision, the last good ones, open incidents and undelivered messages stay."""
    clock = [world.T0]

    def seconds() -> float:
        return (clock[0] - world.T0).total_seconds()

    store = await Store.open(url, clock=lambda: clock[0], monotonic=seconds)
    digests = []
    for number in range(30):
        digest, manifests = world.declared(number)
        digests.append(digest)
        await store.record_revision("web", world.revision(number), digest, manifests)
        if number % 2 == 0:
            await store.set_revision_state("web", world.revision(number).sha, RevisionState.GOOD, time=world.T0)
    await tell(store, OPENED, 1)
    [delivery] = await store.claim_deliveries(LATER)
    await store.delivered(delivery, "receipt", world.T0)
    await tell(store, OPENED, 1, incident=2)
    [delivery] = await store.claim_deliveries(LATER)
    await store.delivered(delivery, "receipt", world.T0)
    await tell(store, RESOLVED, 2, incident=2)
    await tell(store, OPENED, 1, incident=3)
    [*_, delivery] = await store.claim_deliveries(LATER, lease=timedelta())
    await store.delivered(delivery, None, world.T0)
    await save_incident(store, world.incident(3, app="app-3", resolved=True), None, ())

    clock[0] = world.T0 + timedelta(days=365)
    pruned = await store.prune(Retention(good_revisions=3))
    assert (pruned.manifest_sets, pruned.revisions, pruned.deliveries, pruned.incidents) == (26, 26, 1, 1)
    assert pruned.history > 0
    assert [r.digest for r in await store.revisions("web")] == [digests[n] for n in (29, 28, 26, 24)]
    for kept in (29, 28, 26, 24):
        assert await store.manifests(digests[kept])
    assert await store.history("web") == []
    assert [i.id for i in await store.open_incidents()] == ["incident-1"]
    [waiting] = await store.claim_deliveries(clock[0])
    assert (waiting.notification.event, waiting.receipt) == (RESOLVED, "receipt")
    await tell(store, RESOLVED, 2)
    [resolved] = await store.claim_deliveries(clock[0])
    assert resolved.receipt == "receipt"
    await store.close()


@pytest.mark.parametrize("days", [365, -365])
async def test_a_clock_that_is_set_by_a_year_and_back_costs_no_history(url, days: int):
    """Neither what there was before, nor what was recorded meanwhile."""
    minutes, ahead = 0, timedelta()
    store = await Store.open(
        url, clock=lambda: world.T0 + minutes * world.MINUTE + ahead, monotonic=lambda: minutes * 60.0
    )
    for ahead in (timedelta(), timedelta(days=days), timedelta()):
        for _ in range(3):
            minutes += 1
            report = world.report(world.verdict("web", Status.IN_SYNC if minutes % 2 else Status.MISSING))
            await store.record_report(replace(report, time=world.T0 + minutes * world.MINUTE + ahead))
        await store.prune()
    assert len(await store.history("web")) == 9
    await store.close()


async def test_a_long_absence_costs_a_days_worth_of_history_at_each_pruning(url):
    """So a process that starts while the clock is wrong deletes little."""
    store = await Store.open(url)
    for day in range(10):
        status = Status.IN_SYNC if day % 2 else Status.MISSING
        report = replace(world.report(world.verdict("web", status)), time=world.T0 + day * timedelta(days=1))
        await store.record_report(report)
    await store.close()
    for left in (9, 8, 7):
        store = await Store.open(url, clock=lambda: world.T0 + timedelta(days=365))
        await store.prune()
        assert len(await store.history("web")) == left
        await store.close()


async def test_pruning_bounds_a_flapping_apps_history(store: Store):
    """The newest entries stay, however fast they came; a quiet app beside it keeps all of its own."""
    for number in range(20):
        await tell(store, OPENED, number)
    await tell(store, OPENED, 1, incident=2)
    pruned = await store.prune(Retention(history_entries=5))
    assert pruned.history == 15
    assert [e.details["notification"] for e in await store.history("app-1")] == [
        f"incident-1-{n}" for n in (19, 18, 17, 16, 15)
    ]
    assert len(await store.history("app-2")) == 1


async def test_an_incident_keeps_every_word_of_its_verdicts(store: Store):
    """Values of any JSON type come back as they were."""
    fields = tuple(world.field(value) for value in (1, 1.0, True, None, "1", {"a": [None, 2**70]}))
    about = replace(world.incident(), resources=(world.verdict("x", world.Status.DRIFTED, *fields),))
    await save_incident(store, about, None, ())
    [back] = await store.open_incidents()
    assert [repr(f.live) for f in back.resources[0].fields] == [repr(f.live) for f in fields]


async def test_incidents_are_listed_newest_first_with_those_that_are_over(store: Store):
    """By app, type, and whether they are open; those updated since a moment; page by page."""
    for number in range(4):
        about = replace(
            world.incident(number, app="web" if number % 2 else "shop", resolved=number > 1),
            type=IncidentType.UNHEALTHY if number == 3 else IncidentType.DRIFT,
            first_seen=world.T0 + number * world.MINUTE,
            updated=world.T0 + (9 - number) * world.MINUTE,
        )
        await save_incident(store, about, None, ())

    async def numbers(**criteria: object) -> list[int]:
        return [int(i.id.removeprefix("incident-")) for i in await store.incidents(**criteria)]  # type: ignore[arg-type]

    assert await numbers() == [3, 2, 1, 0]
    assert await numbers(app="web") == [3, 1]
    assert await numbers(type=IncidentType.DRIFT) == [2, 1, 0]
    assert await numbers(open=True) == [1, 0]
    assert await numbers(open=False, app="web") == [3]
    assert await numbers(since=world.T0 + 8 * world.MINUTE) == [1, 0]
    assert await numbers(limit=2, before="incident-3") == [2, 1]
    assert await numbers(before="nobody") == []


async def test_an_incident_is_found_by_the_beginning_of_its_id(store: Store):
    """Open or over; where several begin so, more of it is asked for."""
    for number in (1, 2):
        await save_incident(store, world.incident(number, resolved=True), None, ())
    assert await store.incident("incident-1") == world.incident(1, resolved=True)
    assert await store.incident("Incident-2") == world.incident(2, resolved=True)
    assert await store.incident("nothing") is None
    assert await store.incident("") is None
    with pytest.raises(StoreError, match="could be several incidents"):
        await store.incident("inc")
