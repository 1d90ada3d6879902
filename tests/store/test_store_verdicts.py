"""Verdicts as rows: what can be asked of them, and what a report writes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import store_world as world
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select, text

from driftd.model.drift import FieldOwner, Status, Verdict
from driftd.model.errors import StoreError
from driftd.model.health import HealthState
from driftd.model.report import Report
from driftd.model.resource import ResourceRef
from driftd.store import Store, VerdictFilter
from driftd.store.schema import verdicts

DRIFTED = world.verdict("web", Status.DRIFTED, world.field())


def of(kind: str, name: str, namespace: str | None = "web", status: Status = Status.IN_SYNC, **more: object) -> Verdict:
    group = "apps" if kind == "Deployment" else ""
    verdict = Verdict(ResourceRef(group, kind, namespace, name), "v1", status)
    return replace(verdict, **more)  # type: ignore[arg-type]


async def names(store: Store, **criteria: object) -> list[str]:
    found = await store.verdicts(VerdictFilter(**criteria))  # type: ignore[arg-type]
    return [f"{one.app}/{one.verdict.ref.name}" for one in found]


async def test_verdicts_are_found_by_everything_that_they_say(store: Store):
    """Status, group, kind, namespace, name, manager and health, alone and together, over all apps or in one."""
    late = replace(world.field(manager="helm"), by=FieldOwner("helm", "Apply", time=world.T0 + world.MINUTE))
    await store.record_report(
        world.report(
            of("Deployment", "a", status=Status.DRIFTED, fields=(late, world.field(manager="kubectl-edit"))),
            of("Deployment", "b", "other", status=Status.DRIFTED, fields=(world.field(manager="kubectl-edit"),)),
            of("Deployment", "c", health=HealthState.DEGRADED, health_message="1 of 3 pods"),
            of("Namespace", "d", None),
        )
    )
    gone = of("Service", "e", status=Status.MISSING, by=FieldOwner("kubectl", "Delete", user="eve"))
    await store.record_report(world.report(gone, of("Service", "f", health=HealthState.HEALTHY), app="shop"))
    assert await names(store) == ["shop/e", "shop/f", "web/a", "web/b", "web/c", "web/d"]
    assert await names(store, app="web") == ["web/a", "web/b", "web/c", "web/d"]
    assert await names(store, statuses=frozenset({Status.DRIFTED, Status.MISSING})) == ["shop/e", "web/a", "web/b"]
    assert await names(store, group="", kind="Service") == ["shop/e", "shop/f"]
    assert await names(store, group="") == ["shop/e", "shop/f", "web/d"]
    assert await names(store, kind="Deployment", namespace="web", statuses=frozenset({Status.DRIFTED})) == ["web/a"]
    assert await names(store, name="c") == ["web/c"]
    assert await names(store, manager="helm") == ["web/a"]
    assert await names(store, manager="kubectl") == ["shop/e"]
    assert await names(store, health=frozenset({HealthState.DEGRADED, HealthState.PROGRESSING})) == ["web/c"]
    [ailing] = await store.verdicts(VerdictFilter(name="c"))
    assert (ailing.verdict.health, ailing.verdict.health_message) == (HealthState.DEGRADED, "1 of 3 pods")
    assert await names(store, app="nobody") == []


async def test_pages_go_on_behind_the_last_verdict(store: Store):
    """Whatever the pages' size, each verdict comes once, in the order of the report."""
    for app in ("a", "b"):
        await store.record_report(world.report(*(world.verdict(str(i)) for i in range(7)), app=app))
    for criteria in (VerdictFilter(), VerdictFilter(app="b")):
        whole = await store.verdicts(criteria)
        paged, cursor = [], None
        while page := await store.verdicts(criteria, limit=3, after=cursor):
            paged += page
            cursor = page[-1].cursor
        assert paged == whole
    with pytest.raises(StoreError, match="not the cursor"):
        await store.verdicts(VerdictFilter(), after="nonsense")


async def test_a_verdict_says_since_when_it_has_its_status(url: str):
    """Through passes that change something else, through other processes, and wherever its object moves to."""

    async def since(name: str) -> int:
        [found] = await store.verdicts(VerdictFilter(name=name))
        return int((found.since - world.T0) / world.MINUTE)

    store = await Store.open(url)
    a, b, c = (world.verdict(name) for name in "abc")
    await store.record_report(world.report(a, b, c))
    await store.record_report(world.report(a, replace(DRIFTED, ref=b.ref), c, minute=1))
    await store.record_report(world.report(a, replace(DRIFTED, ref=b.ref, fields=()), c, minute=2))
    assert [await since(name) for name in "abc"] == [0, 1, 0]
    moved = (world.verdict("new"), c, replace(DRIFTED, ref=b.ref), world.verdict("last"))
    await store.record_report(world.report(*moved, minute=3))
    assert [await since(name) for name in ("b", "c", "new", "last")] == [1, 0, 3, 3]
    await store.close()
    store = await Store.open(url)
    await store.record_report(world.report(b, *moved[1:2], world.verdict("new"), minute=4))
    assert [await since(name) for name in ("b", "c", "new")] == [4, 0, 3]
    assert await names(store, app="web") == ["web/b", "web/c", "web/new"]
    await store.close()


async def test_an_object_that_is_declared_between_others_costs_one_row(store: Store):
    """Rows behind it are not written again, nor are those behind an object that is gone."""

    async def rows() -> dict[str, int]:
        query = select(verdicts.c.name, verdicts.c.position)
        return dict(list(await store._database.read(lambda c: c.execute(query).all())))

    many = [world.verdict(f"{number:03}") for number in range(300)]
    await store.record_report(world.report(*many))
    before = await rows()
    many.insert(100, world.verdict("new"))
    await store.record_report(world.report(*many, minute=1))
    after = await rows()
    assert {name: position for name, position in after.items() if name != "new"} == before
    del many[200]
    await store.record_report(world.report(*many, minute=2))
    assert (await rows()).keys() == {verdict.ref.name for verdict in many}
    assert await store.last_report("web") == world.report(*many, minute=2)


async def test_where_there_is_no_room_left_all_rows_are_laid_out_anew(store: Store):
    """However often objects are declared in the same place, the order is that of the report."""
    many = [world.verdict("first"), world.verdict("last")]
    await store.record_report(world.report(*many))
    for number in range(30):
        many.insert(1, world.verdict(f"{number}"))
        await store.record_report(world.report(*many, minute=number + 1))
    assert await store.last_report("web") == world.report(*many, minute=30)
    [first] = await store.verdicts(VerdictFilter(name="last"))
    assert first.since == world.T0


def passes() -> st.SearchStrategy[list[list[tuple[str, Status]]]]:
    statuses = st.sampled_from([Status.IN_SYNC, Status.DRIFTED, Status.MISSING])
    one = st.lists(st.tuples(st.sampled_from("abcdefgh"), statuses), max_size=8, unique_by=lambda pair: pair[0])
    return st.lists(one, min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(said=passes(), restarts=st.sets(st.integers(0, 5)))
async def test_rows_say_what_a_walk_over_all_reports_says(said, restarts):
    """Status and since of each object, as if every report had been kept; whatever moves, and whoever writes."""
    store = await Store.open("sqlite://")
    expected: dict[str, tuple[Status, int]] = {}
    for minute, pairs in enumerate(said):
        if minute in restarts:
            store._written.clear()  # as another process would begin
        await store.record_report(world.report(*(world.verdict(n, s) for n, s in pairs), minute=minute))
        expected = {
            name: (status, expected[name][1] if expected.get(name, ("",))[0] == status else minute)
            for name, status in pairs
        }
        found = await store.verdicts(VerdictFilter(app="web"))
        assert [one.verdict.ref.name for one in found] == [name for name, _ in pairs]
        assert {
            one.verdict.ref.name: (one.verdict.status, (one.since - world.T0) // world.MINUTE) for one in found
        } == expected
    await store.close()


async def test_a_summary_counts_without_reading_verdicts(store: Store):
    """By status and by health, with what the report says of the app as a whole."""
    await store.record_report(
        world.report(
            of("Deployment", "a", health=HealthState.HEALTHY), of("Deployment", "b", health=HealthState.PROGRESSING),
            of("Deployment", "c", status=Status.DRIFTED, health=HealthState.HEALTHY), of("Service", "d"),
        )
    )  # fmt: skip
    await store.record_report(world.report(app="empty", error="Git was never reached"))
    summaries = await store.app_summaries()
    assert list(summaries) == ["empty", "web"]
    web = summaries["web"]
    assert (web.cluster, web.revision, web.time, web.error) == ("prod", world.revision().sha, world.T0, None)
    assert web.statuses == {Status.IN_SYNC: 3, Status.DRIFTED: 1}
    assert web.health == {HealthState.HEALTHY: 2, HealthState.PROGRESSING: 1}
    assert (summaries["empty"].error, summaries["empty"].statuses) == ("Git was never reached", {})
    assert list(await store.app_summaries(["web", "nobody"])) == ["web"]


async def test_whatever_a_manifest_is_called_its_verdict_is_stored(store: Store):
    """Git may declare names that no API server takes; they are found by what is kept of them."""
    odd = Verdict(ResourceRef("x\x00y", "K" * 3000, None, "n" * 300), "x/v1", Status.UNKNOWN, error="Invalid")
    report = Report("web", "prod", None, (odd,), world.T0)
    await store.record_report(report)
    assert await store.last_report("web") == report
    [found] = await store.verdicts(VerdictFilter(kind="K" * 3000, name="n" * 300))
    assert found.verdict == odd
    await store.record_report(replace(report, time=world.T0 + timedelta(hours=1)))
    [again] = await store.verdicts(VerdictFilter())
    assert again.since == world.T0


async def test_the_question_of_a_page_is_answered_by_an_index(url: str, store: Store):
    """All drifted Deployments of a namespace: no row of another status, kind or namespace is read."""
    query = (
        "EXPLAIN {} SELECT app, position, document FROM verdicts WHERE status = 'drifted' AND kind = 'Deployment' "
        "AND namespace = 'web' ORDER BY app, position LIMIT 100"
    )
    engine = create_engine(url)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET enable_seqscan = off"))
        plan = str(connection.execute(text(query.format("QUERY PLAN" if url.startswith("sqlite") else ""))).all())
    engine.dispose()
    assert "verdicts_by_kind" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
