"""A row that cannot be read spoils itself and nothing else: it is set aside, and the history says so."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import store_world as world

from driftd.model.command import Command, CommandKind, CommandState
from driftd.model.drift import Status
from driftd.model.errors import ManifestsNotKept, StoreError
from driftd.model.incident import IncidentEvent, IncidentType
from driftd.model.operation import Operation
from driftd.model.packing import EMPTY_DICTIONARY
from driftd.model.plan import Action, Applied, Hold, Outcome, Trigger
from driftd.model.resource import ResourceRef
from driftd.service.queries import Queries
from driftd.service.views import HistoryFilter
from driftd.store import HistoryKind, Store, VerdictFilter
from tests.support.incidents import save_incident

SHAPES = [b"\x00", b"", "text", 7, zlib.compress(b"{}"), zlib.compress(b"[1]"), zlib.compress(b"{")]
"""What may stand in a column of documents: no zlib, another type, JSON of another shape, no JSON."""


@pytest.fixture(params=SHAPES, ids=repr)
def shape(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def on_disk(tmp_path: Path):
    store = await Store.open(f"sqlite:///{tmp_path / 'history.db'}")
    yield store
    await store.close()


def corrupt(folder: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(folder / "history.db")) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


async def told(store: Store, number: int) -> None:
    about = world.incident(number, app=f"app-{number}")
    await save_incident(store, about, world.notification(about, IncidentEvent.OPENED), ["slack"])


async def test_an_unreadable_message_has_failed_and_the_others_of_its_channel_go_on(on_disk: Store, tmp_path, shape):
    """It is counted, and its app's history has it."""
    for number in (1, 2, 3):
        await told(on_disk, number)
    corrupt(tmp_path, "UPDATE notifications SET document = ? WHERE id = 'incident-1-1'", shape)
    now = world.T0 + world.MINUTE
    claimed = [*await on_disk.claim_deliveries(now, limit=1), *await on_disk.claim_deliveries(now, limit=5)]
    assert [delivery.notification.id for delivery in claimed] == ["incident-2-1", "incident-3-1"]
    backlog = (await on_disk.backlog())["slack"]
    assert (backlog.pending, backlog.failed) == (2, 1)
    entry = (await on_disk.history("app-1"))[0]
    assert entry.kind is HistoryKind.DELIVERY
    assert "cannot be read" in entry.summary


async def test_a_delivery_with_columns_of_another_type_has_failed(on_disk: Store, tmp_path):
    """Times and numbers, too."""
    for number in (1, 2, 3):
        await told(on_disk, number)
    corrupt(tmp_path, "UPDATE deliveries SET accepted = 'soon' WHERE notification = 'incident-1-1'")
    corrupt(tmp_path, "UPDATE deliveries SET attempts = 'many' WHERE notification = 'incident-2-1'")
    claimed = await on_disk.claim_deliveries(world.T0 + world.MINUTE)
    assert [delivery.notification.id for delivery in claimed] == ["incident-3-1"]


async def test_an_unreadable_incident_is_set_aside_by_the_next_pass(on_disk: Store, tmp_path, shape):
    """Another one may be opened; the rest of the app's incidents is found."""
    drift, health = world.incident(1), world.incident(2, about=IncidentType.UNHEALTHY)
    for about in (drift, health):
        await save_incident(on_disk, about, None, [])
    corrupt(tmp_path, "UPDATE incidents SET document = ? WHERE id = 'incident-1'", shape)
    assert [incident.id for incident in await on_disk.incidents(limit=1)] == ["incident-2"]
    assert [incident.id for incident in await on_disk.open_incidents("web")] == ["incident-2"]
    assert [incident.id for incident in await on_disk.record_report(world.report())] == ["incident-2"]
    assert "set aside" in (await on_disk.history("web"))[0].summary
    await save_incident(on_disk, world.incident(3), None, [])
    assert {incident.id for incident in await on_disk.open_incidents("web")} == {"incident-2", "incident-3"}


async def test_an_unreadable_command_has_failed_and_the_others_are_carried_out(on_disk: Store, tmp_path, shape):
    """Whoever waits for it is told."""
    for name in ("one", "two"):
        await on_disk.submit_command(Command(name, "web", CommandKind.SYNC, "ada", world.T0))
    corrupt(tmp_path, "UPDATE commands SET document = ? WHERE id = 'one'", shape)
    assert [command.id for command in await on_disk.pending_commands(["web"])] == ["two"]
    with closing(sqlite3.connect(tmp_path / "history.db")) as connection:
        ((state, error),) = connection.execute("SELECT state, error FROM commands WHERE id = 'one'")
    assert state == CommandState.FAILED
    assert "cannot be read" in error


async def test_an_unreadable_verdict_is_unknown(on_disk: Store, tmp_path, shape):
    """Never in sync; a pass that begins anew writes it again."""
    report = world.report(world.verdict("a"), world.verdict("b"))
    await on_disk.record_report(report)
    corrupt(tmp_path, "UPDATE verdicts SET document = ? WHERE name = 'a'", shape)
    corrupt(tmp_path, "UPDATE reports SET frame = ?", shape)
    page = await on_disk.verdicts(VerdictFilter())
    assert [(one.verdict.ref.name, one.verdict.status) for one in page] == [
        ("a", Status.UNKNOWN),
        ("b", Status.IN_SYNC),
    ]
    last = await on_disk.last_report("web")
    assert last is not None
    assert last.undecided
    again = await Store.open(f"sqlite:///{tmp_path / 'history.db'}")
    await again.record_report(report)
    assert await again.last_report("web") == report
    await again.close()


async def test_an_unreadable_revision_or_hold_does_not_fail_its_app(on_disk: Store, tmp_path, shape):
    """The app stays held, and the rest of what is known of the revision is used."""
    for number in (1, 2):
        await on_disk.record_revision("web", world.revision(number), *world.declared(number))
    good, bad = world.revision(1), world.revision(2)
    hold = Hold("web", good.sha, bad.sha, world.declared(2)[0], "not healthy", "driftd", world.T0)
    await on_disk.set_hold(hold)
    corrupt(tmp_path, "UPDATE holds SET document = ?", shape)
    corrupt(tmp_path, "UPDATE revisions SET document = ? WHERE sha = ?", shape, good.sha)
    state = await on_disk.app_state("web", good.sha)
    assert state.record is not None
    assert (state.record.revision.sha, state.record.digest) == (good.sha, world.declared(1)[0])
    assert state.hold is not None
    assert (state.hold.revision, state.hold.bad_digest) == (good.sha, hold.bad_digest)


async def test_an_entry_of_the_history_without_its_details_has_its_summary(on_disk: Store, tmp_path, shape):
    """The other entries are complete."""
    await on_disk.record_report(world.report(world.verdict("a")))
    await on_disk.record_report(world.report(world.verdict("a", Status.MISSING), minute=1))
    corrupt(tmp_path, "UPDATE history SET details = ? WHERE id = (SELECT max(id) FROM history)", shape)
    newest, oldest = await on_disk.history("web")
    assert "missing" in newest.summary
    assert oldest.details["in_sync"]


async def test_a_failed_pass_is_said_beside_the_last_report_until_the_next_one(on_disk: Store):
    """Its verdicts stay as they were, and nobody takes them for what is now."""
    await on_disk.record_report(world.report(world.verdict("a")))
    await on_disk.record_failed_pass("web", "the last pass failed: it crashed")
    last = await on_disk.last_report("web")
    assert last is not None
    assert not last.in_sync
    assert (await on_disk.app_summaries())["web"].error == "the last pass failed: it crashed"
    await on_disk.record_report(world.report(world.verdict("a"), minute=1))
    assert (await on_disk.app_summaries())["web"].error is None


async def test_a_store_that_cannot_be_written_says_so_until_it_can(on_disk: Store, monkeypatch):
    """Not only at the next write that happens to fit."""
    clock = [1000.0]
    monkeypatch.setattr("driftd.store.database.monotonic", lambda: clock[0])
    database = on_disk._database
    await database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1"))  # SQLite's own "disk full"
    with pytest.raises(Exception, match="full"):
        await on_disk.record_report(world.report(*[world.verdict(str(n)) for n in range(2000)]))
    assert on_disk.write_error is not None
    assert "full" in on_disk.write_error
    await on_disk.acquire_lease("web", "me", timedelta(seconds=15))
    assert on_disk.write_error is not None
    await database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000"))
    clock[0] += 30
    await on_disk.record_report(world.report(world.verdict("a")))
    assert on_disk.write_error is None


@pytest.mark.parametrize("damage", ["list", "object", "content", "missing"])
async def test_damaged_manifests_are_set_aside_and_can_be_stored_anew(on_disk: Store, tmp_path, damage: str):
    """Nothing of them is believed; each app that declared them has it in its history, once."""
    digest, manifests = world.declared(1)
    for app in ("web", "shop"):
        await on_disk.record_revision(app, world.revision(1), digest, manifests)
    if damage == "list":
        corrupt(tmp_path, "UPDATE manifest_sets SET document = ?", b"\x00")
    elif damage == "object":
        corrupt(tmp_path, "UPDATE manifests SET packed = ?", b"\x00")
    elif damage == "content":
        corrupt(tmp_path, "UPDATE manifests SET packed = ?", EMPTY_DICTIONARY.pack(b'{"kind": "Secret"}'))
    else:
        corrupt(tmp_path, "DELETE FROM manifests")
    with pytest.raises(ManifestsNotKept, match="damaged"):
        await on_disk.manifests(digest)
    with pytest.raises(ManifestsNotKept, match="not kept"):
        await on_disk.manifests(digest)
    for app in ("web", "shop"):
        assert [entry.summary for entry in await on_disk.history(app) if "damaged" in entry.summary] == [
            "00000000: its stored manifests were damaged, and have been set aside"
        ]
    await on_disk.restore_manifests(digest, manifests)
    assert [one.body for one in await on_disk.manifests(digest)] == [one.body for one in manifests]


async def test_a_damaged_list_of_manifests_does_not_keep_the_store_from_being_pruned(on_disk: Store, tmp_path, shape):
    """Only the damaged one loses its objects."""
    for number in (1, 2):
        await on_disk.record_revision("web", world.revision(number), *world.declared(number))
    corrupt(tmp_path, "UPDATE manifest_sets SET document = ? WHERE digest = ?", shape, world.declared(1)[0])
    await on_disk.record_revision("gone", world.revision(3), *world.declared(3))
    corrupt(tmp_path, "DELETE FROM revisions WHERE app = 'gone'")
    assert (await on_disk.prune()).manifest_sets >= 1
    assert len(await on_disk.manifests(world.declared(2)[0])) == 1


async def test_an_incident_is_told_without_the_messages_that_cannot_be_read(on_disk: Store, tmp_path, shape):
    """`driftd incident` shows the others."""
    about = world.incident(1)
    for number, event in ((1, IncidentEvent.OPENED), (2, IncidentEvent.CHANGED)):
        await save_incident(on_disk, about, world.notification(about, event, number), ["slack"])
    corrupt(tmp_path, "UPDATE notifications SET document = ? WHERE id = 'incident-1-1'", shape)
    assert [told.notification.event for told in await on_disk.notifications("incident-1")] == [IncidentEvent.CHANGED]


async def test_what_answers_leave_out_is_counted_and_named(on_disk: Store, tmp_path: Path, shape: Any) -> None:
    """An incident and a message: the others are there, and nothing is missing in silence."""
    for number in (1, 2, 3):
        await told(on_disk, number)
    corrupt(tmp_path, "UPDATE incidents SET document = ? WHERE id = 'incident-1'", shape)
    corrupt(tmp_path, "UPDATE notifications SET document = ? WHERE id = 'incident-2-1'", shape)
    found = await on_disk.incidents()
    assert {one.id for one in found} == {"incident-3", "incident-2"}
    assert found.unreadable == ("incident incident-1",)
    assert (await on_disk.open_incidents("app-1")).unreadable == ("incident incident-1",)
    assert (await on_disk.notifications("incident-2")).unreadable == ("message incident-2-1",)
    with pytest.raises(StoreError, match="incident incident-1: its record cannot be read"):
        await on_disk.incident("incident-1")
    assert list(on_disk.unreadable) == ["incident incident-1", "message incident-2-1"]


async def test_an_unreadable_write_or_entry_is_said_in_the_history(on_disk: Store, tmp_path: Path, shape: Any) -> None:
    """The summary of an entry stands; how many of its writes are missing is said with it."""
    plan, refs = "p" * 32, [ResourceRef("apps", "Deployment", "web", name) for name in ("a", "b")]
    planned = [
        Operation(ref.name * 32, "web", "prod", plan, Trigger.HEAL, "f" * 40, "driftd", ref, "apps/v1", (), world.T0)
        for ref in refs
    ]
    await on_disk.record_plan(planned)
    applied = tuple([Applied(ref, Outcome.CONFIGURED) for ref in refs])
    await on_disk.record_action(Action("web", Trigger.HEAL, "f" * 40, "driftd", world.T0, world.T0, applied), plan)
    corrupt(tmp_path, "UPDATE operations SET document = ? WHERE name = 'a'", shape)
    queries = Queries(on_disk)
    [line] = await queries.history(HistoryFilter(), 10)
    assert line.detail.endswith("(1 write cannot be read)")
    assert [one["name"] for one in line.objects] == ["b"]
    assert (await queries.operations()).unreadable == (f"write {planned[0].id}",)
    assert (await on_disk.open_plans("web"))[0].unreadable == (f"write {planned[0].id}",)
    corrupt(tmp_path, "UPDATE history SET details = ?", b"")
    [line] = await queries.history(HistoryFilter(), 10)
    assert line.detail.endswith("(the details cannot be read)")
    assert len(on_disk.unreadable) == 2
