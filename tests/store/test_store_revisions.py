"""Revisions, their manifests, and holds."""

from __future__ import annotations

from datetime import timedelta

import pytest
import store_world as world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftd.model.drift import Status
from driftd.model.errors import StoreError, Superseded
from driftd.model.packing import DictionaryBuilder
from driftd.model.plan import Hold
from driftd.model.resource import Manifest, Source
from driftd.model.revision import RevisionState
from driftd.store import HistoryKind, Store
from driftd.store.retention import Retention

GOOD, BAD, APPLIED, SEEN = RevisionState.GOOD, RevisionState.BAD, RevisionState.APPLIED, RevisionState.SEEN


async def see(store: Store, number: int, state: RevisionState | None = None) -> str:
    digest, manifests = world.declared(number)
    await store.record_revision("web", world.revision(number), digest, manifests)
    if state is not None:
        await store.set_revision_state("web", world.revision(number).sha, state, time=world.T0)
    return digest


async def test_a_revision_outlives_a_restart_with_what_it_declares(url):
    """Rollback works from the history alone, with Git unreachable."""
    store = await Store.open(url, clock=lambda: world.T0)
    digest = await see(store, 1, GOOD)
    await store.close()
    store = await Store.open(url)
    good = await store.last_good("web")
    assert good is not None
    assert (good.revision, good.state, good.digest) == (world.revision(1), GOOD, digest)
    assert (good.first_seen, good.applied_at, good.decided_at) == (world.T0, world.T0, world.T0)
    assert [(m.ref, m.body, m.source) for m in await store.manifests(digest)] == [
        (m.ref, m.body, m.source) for m in world.declared(1)[1]
    ]
    await store.close()


async def test_of_two_revisions_that_differ_in_little_that_little_can_be_read(store: Store):
    """Both ways; and of a revision that is not kept that is said."""
    digest, manifests = world.declared(1)
    await see(store, 1)
    declared = {one.digest for one in manifests}
    assert await store.difference(digest, declared) == ((), set())
    first, *others = manifests
    (only,), missing = await store.difference(digest, {one.digest for one in others} | {b"other"})
    assert (only.ref, only.body, only.source, missing) == (first.ref, first.body, first.source, {b"other"})
    with pytest.raises(StoreError, match="are not kept"):
        await store.difference("0" * 64, declared)


async def test_recording_a_revision_twice_changes_nothing(store: Store):
    """Every pass may say what Git declares; the history tells it once."""
    await see(store, 1, APPLIED)
    await see(store, 1)
    assert [r.state for r in await store.revisions("web")] == [APPLIED]
    assert [e.summary for e in await store.history("web")] == [
        "00000000 applied",
        "00000000 seen: Give web more replicas",
    ]


async def test_a_revision_that_comes_back_is_current_again_and_keeps_its_state(store: Store):
    """A branch that is reset to an earlier commit finds what was known of it."""
    await see(store, 1, GOOD)
    await see(store, 2, BAD)
    await see(store, 1)
    assert [(r.revision, r.state) for r in await store.revisions("web")] == [
        (world.revision(1), GOOD),
        (world.revision(2), BAD),
    ]


async def test_the_last_good_revision_is_the_latest_that_was_current(store: Store):
    """Not the one that was decided last, never a bad one, and never the one that declares what just failed."""
    assert await store.last_good("web", excluding_digest=None) is None
    await see(store, 1, GOOD)
    second = await see(store, 2, GOOD)
    await see(store, 3, BAD)
    await store.set_revision_state("web", world.revision(1).sha, GOOD, reason="still", time=world.T0 + world.MINUTE)
    good = await store.last_good("web")
    other = await store.last_good("web", excluding_digest=second)
    assert good is not None
    assert other is not None
    assert (good.revision, other.revision) == (world.revision(2), world.revision(1))


async def test_one_commit_that_declares_something_else_is_judged_anew(store: Store):
    """A changed values file of the app's own settings makes a new digest from the same commit; the good one stays."""
    await see(store, 1, GOOD)
    digest, manifests = world.declared(99)
    await store.record_revision("web", world.revision(1), digest, manifests)
    assert [(r.digest, r.state) for r in await store.revisions("web")] == [
        (digest, SEEN),
        (world.declared(1)[0], GOOD),
    ]
    await store.set_revision_state("web", world.revision(1).sha, BAD, time=world.T0)
    good = await store.last_good("web", excluding_digest=digest)
    assert good is not None
    assert good.digest == world.declared(1)[0]


async def test_a_revision_is_found_by_the_start_of_its_name(store: Store):
    """As in git: enough of the name, or an error that says it is not enough."""
    for sha in ("abc1" * 10, "abc2" * 10, "ABCD".lower() * 10):
        digest, manifests = world.declared(1)
        r = world.revision()
        await store.record_revision("web", type(r)(sha, r.author, r.time, r.subject, r.ref), digest, manifests)
    found = await store.revision("web", "ABCD")
    assert found is not None
    assert found.revision.sha == "abcd" * 10
    assert await store.revision("web", "f00") is None
    assert await store.revision("web", "%") is None
    assert await store.revision("web", "") is None
    assert await store.revision("other", "abc1") is None
    with pytest.raises(StoreError, match="3 revisions"):
        await store.revision("web", "abc")


async def test_a_state_for_an_unknown_revision_is_an_error(store: Store):
    """Nothing is said about a revision that nobody recorded."""
    with pytest.raises(StoreError, match="not in the history"):
        await store.set_revision_state("web", "f" * 40, GOOD, time=world.T0)


async def test_manifests_that_are_not_kept_are_an_error(store: Store):
    """Never an empty set, which a rollback would take for "nothing declared"."""
    with pytest.raises(StoreError, match="not kept"):
        await store.manifests("0" * 64)


async def test_a_hold_lasts_until_it_is_released(store: Store):
    """It outlives a restart, is told once in the history, and its release too."""
    hold = Hold("web", "1" * 40, "2" * 40, "d" * 64, "not healthy within 5m", "driftd", world.T0)
    await store.set_hold(hold)
    await store.set_hold(hold)
    assert await store.hold("web") == hold
    assert await store.hold("other") is None
    await store.release_hold("web")
    await store.release_hold("web")
    assert await store.hold("web") is None
    entries = await store.history("web")
    assert [(e.kind, e.summary) for e in entries] == [
        (HistoryKind.HOLD, "no longer held at 11111111: Git has moved on"),
        (HistoryKind.HOLD, "held at 11111111 instead of 22222222 by driftd: not healthy within 5m"),
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_manifests_come_back_as_they_went_in(spec):
    """Whatever JSON a manifest holds, rollback applies exactly that: numbers keep their type, texts every character."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": spec}
    before = Manifest.of(body, Source("a.yaml", 1))
    after = before.packed(DictionaryBuilder())
    assert repr(after.body) == repr(before.body)
    assert after.digest == before.digest


async def test_a_report_counts_only_as_the_app_stood(store: Store, url: str):
    """Whatever is written about its revisions or its hold makes an older mark worthless, and nothing else does."""
    await see(store, 1)
    assert (await store.app_state("web", world.revision(1).sha)).version is None
    await store.record_report(world.report(world.verdict()))
    hold = Hold("web", "1" * 40, "2" * 40, "d" * 64, "not healthy within 5m", "driftd", world.T0)

    later = await Store.open(url, clock=lambda: world.T0 + timedelta(days=100))

    async def forget_the_old() -> None:
        pruned = await later.prune(Retention(good_revisions=2))
        assert (pruned.revisions, pruned.manifest_sets) == (1, 1)

    for change in (
        lambda: store.set_revision_state("web", world.revision(1).sha, GOOD, time=world.T0),
        lambda: store.set_hold(hold),
        lambda: store.release_hold("web"),
        lambda: see(store, 2),
        lambda: see(store, 3),
        forget_the_old,
    ):
        mark = (await store.app_state("web", world.revision(1).sha)).version
        assert mark is not None
        await store.record_report(world.report(world.verdict("a"), world.verdict("b"), minute=1), mark)
        await store.record_report(world.report(world.verdict("a"), minute=2), mark)
        await change()
        before = await store.history("web")
        with pytest.raises(Superseded):
            await store.record_report(world.report(world.verdict("c", Status.MISSING), minute=3), mark)
        last = await store.last_report("web")
        assert last == world.report(world.verdict("a"), minute=2)
        assert await store.history("web") == before
    await later.close()


async def test_two_processes_do_not_take_each_others_rows_for_their_own(url):
    """Each writes what is new since its own last report, unless the other one has written since."""
    one, other = await Store.open(url), await Store.open(url)
    await one.record_report(world.report(world.verdict("a"), world.verdict("b")))
    await other.record_report(world.report(world.verdict("c")))
    await one.record_report(world.report(world.verdict("a"), world.verdict("b"), minute=1))
    for store in (one, other):
        assert await store.last_report("web") == world.report(world.verdict("a"), world.verdict("b"), minute=1)
        await store.close()
