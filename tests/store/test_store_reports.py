"""The last report and the history of verdicts."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import store_world as world
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from driftd.model.drift import Status
from driftd.model.next_deployment import PendingRevision
from driftd.model.plan import Action, Applied, Outcome, Trigger
from driftd.model.report import Report
from driftd.store import HistoryKind, Store
from driftd.store.reports import fingerprint
from driftd.store.schema import history, verdicts

DRIFTED = world.verdict("web", Status.DRIFTED, world.field())


async def test_the_last_report_comes_back_whole(url):
    """After a restart the dashboard shows what was last known, to the field."""
    store = await Store.open(url)
    said = world.report(world.verdict("a"), DRIFTED, replace(world.verdict("b"), status=Status.UNKNOWN, error="no"))
    await store.record_report(said)
    await store.record_report(world.report(app="empty", error="Git was never reached"))
    await store.close()
    store = await Store.open(url)
    assert await store.last_report("web") == said
    assert await store.last_report("empty") == world.report(app="empty", error="Git was never reached")
    assert await store.last_report("other") is None
    await store.close()


async def test_the_history_tells_a_verdict_only_when_it_changes(store: Store):
    """A quiet cluster does not grow the history, however often it is checked."""
    clean, drifted = world.verdict(), DRIFTED
    for minute, v in enumerate((clean, clean, drifted, drifted, clean, clean)):
        await store.record_report(world.report(v, minute=minute))
    entries = await store.history("web")
    assert [e.time for e in entries] == [world.T0 + minute * world.MINUTE for minute in (4, 2, 0)]
    assert [e.summary for e in entries] == [
        "in sync at 00000000: 1 object",
        "1 drifted of 1 object at 00000000",
        "in sync at 00000000: 1 object",
    ]
    assert {e.kind for e in entries} == {HistoryKind.VERDICT}
    fields = entries[1].details["resources"][0]["fields"]
    assert fields[0]["path"] == "spec.template.spec.containers[name=web].image"
    assert (await store.last_report("web")).time == world.T0 + 5 * world.MINUTE


async def test_a_pass_writes_only_the_verdicts_that_changed(store: Store):
    """One changed object of a thousand costs one row, and an unchanged pass none."""

    async def rows() -> list[bytes]:
        query = select(verdicts.c.document).order_by(verdicts.c.position)
        return list(await store._database.read(lambda c: c.execute(query).scalars().all()))

    many = [world.verdict(str(i)) for i in range(1000)]
    await store.record_report(world.report(*many))
    stamp = store._written["web"].stamp
    await store.record_report(world.report(*(replace(v) for v in many), minute=1))
    assert store._written["web"].stamp == stamp
    before = await rows()
    many[500] = replace(DRIFTED)
    await store.record_report(world.report(*many, minute=2))
    after = await rows()
    assert [i for i in range(1000) if after[i] != before[i]] == [500]
    assert len(after) == 1000


def reports() -> st.SearchStrategy[tuple[Report, ...]]:
    live = st.sampled_from([1, 1.0, True, "1", None, [], {}, {"a": [1]}])
    one = st.one_of(
        st.sampled_from("abc").map(world.verdict),
        live.map(lambda value: world.verdict("d", Status.DRIFTED, world.field(value))),
        st.just(world.verdict("e", Status.MISSING)),
    )
    minute = st.integers(0, 100)
    report = st.builds(lambda vs, m: world.report(*vs, minute=m), st.lists(one, max_size=6), minute)
    return st.lists(report, min_size=1, max_size=5).map(tuple)


@settings(max_examples=40, deadline=None)
@given(said=reports(), takes_turns=st.booleans())
async def test_whatever_was_said_before_the_last_report_is_the_last_report(said, takes_turns):
    """Writing the changes only, by one process or by two in turn, gives what writing everything would give."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'history.db'}"
        one, two = await Store.open(url), await Store.open(url)
        for number, report in enumerate(said):
            writer = two if takes_turns and number % 2 else one
            await writer.record_report(report)
            assert repr(await one.last_report("web")).replace("TzInfo(0)", "datetime.timezone.utc") == repr(report)
        changes = 1 + sum(fingerprint(a) != fingerprint(b) for a, b in pairwise(said))
        rows = await one._database.read(lambda c: c.execute(select(func.count()).select_from(history)).scalar())
        assert rows == changes
        await one.close()
        await two.close()


async def test_the_history_is_read_page_by_page_newest_first(store: Store):
    """`before` the last entry of a page is the next page; apps do not mix."""
    for number in range(7):
        digest, manifests = world.declared(number)
        await store.record_revision("web", world.revision(number, f"change {number}"), digest, manifests)
    await store.record_revision("other", world.revision(99), *world.declared(99))
    first = await store.history("web", limit=3)
    second = await store.history("web", limit=3, before=first[-1].id)
    third = await store.history("web", limit=3, before=second[-1].id)
    assert [e.summary[-1] for e in (*first, *second, *third)] == list("6543210")


async def test_an_action_says_what_was_written_and_what_failed(store: Store):
    """The entry has the counts, who asked, and each object's outcome."""
    ref = world.verdict().ref
    await store.record_action(
        Action(
            "web",
            Trigger.SYNC,
            "4f0c" * 10,
            "ada",
            world.T0,
            world.T0 + world.MINUTE,
            (Applied(ref, Outcome.CONFIGURED), Applied(ref, Outcome.UNCHANGED), Applied(ref, Outcome.FAILED, "no")),
        )
    )
    [entry] = await store.history("web")
    assert entry.kind is HistoryKind.ACTION
    assert entry.summary == ("sync to 4f0c4f0c by ada: 1 object written, 1 failed: Deployment.apps/web/web: no")
    assert entry.time == world.T0 + world.MINUTE
    assert entry.details["applied"][0] == {"object": "Deployment.apps/web/web", "outcome": "failed", "error": "no"}
    assert entry.details["started"] == "2026-11-22T08:52:11Z"


async def test_what_a_deployer_has_yet_to_deploy_is_kept_with_the_report(store: Store):
    """In the report, and in the line of the app."""
    pending = PendingRevision("Argo CD", "b" * 40, "it is synced by hand", 3)
    said = replace(world.report(world.verdict("a")), pending=pending)
    await store.record_report(said)
    assert await store.last_report("web") == said
    assert (await store.app_summaries(["web"]))["web"].pending == pending
    await store.record_report(world.report(world.verdict("a"), minute=1))
    assert (await store.app_summaries(["web"]))["web"].pending is None
