"""Enrichment in the background delays no verdict, and is done when people are notified."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from driftd.attribution import enricher
from driftd.attribution.enricher import GitEnricher
from driftd.detect.assessor import Assessment
from driftd.git.mirror import Mirror
from driftd.live.mapping import MappedManifest
from driftd.model.drift import Status, Verdict
from driftd.model.errors import GitError
from driftd.reconcile.controller import Controller
from tests.reconcile.test_reconcile_controller import in_sync, status
from tests.support import samples
from tests.support.world import World, config_map, deployment, until


class SlowHistory:
    """Blocks every blame until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.released = asyncio.Event()
        self.calls = 0
        blame = Mirror.blame

        async def slow(mirror: Mirror, *args: Any) -> Any:
            self.calls += 1
            await self.released.wait()
            return await blame(mirror, *args)

        monkeypatch.setattr(Mirror, "blame", slow)


async def deployed(world: World, engine: Controller) -> None:
    for kind, text in (("Deployment", deployment()), ("ConfigMap", config_map(a="1"))):
        await world.apply(kind, text)
    await until(lambda: in_sync(engine), "the first pass")


async def recorded(world: World) -> Sequence[Verdict]:
    report = await world.store.last_report("web")
    return report.drifted if report else ()


async def test_drift_is_recorded_before_its_line_in_git_is_known(
    observed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notifications wait for enrichment; while Git is slow, other drift is still detected."""
    history = SlowHistory(monkeypatch)
    async with observed.engine() as engine:
        await deployed(observed, engine)
        await observed.edit("ConfigMap", {"data": {"a": "2"}})
        await until(lambda: history.calls, "the blame")
        await until(lambda: recorded(observed), "the record")
        await observed.edit("Deployment", {"spec": {"replicas": 5}})
        await until(lambda: status(engine, "Deployment/web") is Status.DRIFTED, "the other drift")
        assert await observed.incident_events() == []
        history.released.set()
        await until(observed.incident_events, "the message")
    for verdict in await recorded(observed):
        assert [field.git is not None and field.git.commit for field in verdict.fields] == [observed.repository.head]
    assert await observed.incident_events() == ["drift opened"]


async def test_notifications_do_not_wait_for_ever(observed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Git's history does not come in time, they are sent without it."""
    history = SlowHistory(monkeypatch)
    monkeypatch.setattr(enricher, "NOTIFY_AFTER", enricher.NOTIFY_AFTER / 10)
    monkeypatch.setattr("driftd.reconcile.reconciler.NOTIFY_AFTER", enricher.NOTIFY_AFTER)
    async with observed.engine() as engine:
        await deployed(observed, engine)
        await observed.edit("ConfigMap", {"data": {"a": "2"}})
        await until(observed.incident_events, "the message")
        await until(lambda: history.calls, "the blame, which has not been answered yet")
        assert not history.released.is_set()


async def test_a_history_that_cannot_be_read_costs_no_verdict(observed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """People are notified of the drift without attribution."""

    async def broken(*_args: Any) -> Any:
        raise GitError("the mirror is damaged")

    monkeypatch.setattr("driftd.attribution.git_attribution.GitAttribution.enrich", broken)
    async with observed.engine() as engine:
        await deployed(observed, engine)
        await observed.edit("ConfigMap", {"data": {"a": "2"}})
        await until(observed.incident_events, "the message")
    assert [verdict.status for verdict in await recorded(observed)] == [Status.DRIFTED]


async def test_every_one_of_many_drifted_objects_is_attributed(
    observed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches, in the order in which they were enqueued."""
    monkeypatch.setattr(enricher, "_BATCH_SIZE", 3)
    await observed.commit({f"{n}.yaml": config_map(f"c-{n}", a="1") for n in range(20)})
    async with observed.engine() as engine:
        await until(lambda: status(engine, "ConfigMap/c-19") is Status.MISSING, "the first pass")
        for n in range(20):
            await observed.apply("ConfigMap", config_map(f"c-{n}", a="2"), name=f"c-{n}")

        async def complete() -> bool:
            drifted = [v for v in await recorded(observed) if v.ref.name.startswith("c-")]
            lines = [field.git for verdict in drifted for field in verdict.fields]
            return len(lines) == 20 and all(line is not None and line.commit for line in lines)

        await until(complete, "all lines")


async def test_drift_that_a_commit_does_not_touch_has_the_line_of_the_new_history(observed: World) -> None:
    """The file is the same again, by another commit: the verdict stands, and its line has the new author."""
    async with observed.engine() as engine:
        await deployed(observed, engine)
        await observed.edit("ConfigMap", {"data": {"a": "2"}})
        await until(observed.incident_events, "the message")
        for value in ("3", "1"):
            observed.repository.write({"app/config.yaml": config_map(a=value)}).commit(f"Set {value}")
        await engine.fetch("shop")

        async def renewed() -> bool:
            lines = [field.git for verdict in await recorded(observed) for field in verdict.fields]
            return [line.commit for line in lines if line is not None] == [observed.repository.head]

        await until(renewed, "the line's new author")


class TimedEnrichment:
    """An attribution, a verdict cache and a reader in one, which records when enrichments start."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.starts: list[float] = []

    def version_of(self, _item: Any) -> str:
        return "1"

    async def read(self, _items: Any) -> dict[Any, Any]:
        return {}

    async def enrich_all(self, _revision: Any, assessments: Sequence[Assessment]) -> list[Verdict]:
        self.starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.seconds)
        return [assessment.verdict for assessment in assessments]

    def enrich(self, cached: Verdict, enriched: Verdict) -> None:
        assert cached == enriched


def started(timed: TimedEnrichment, slot: asyncio.Lock, done: asyncio.Event) -> GitEnricher:
    git_enricher = GitEnricher(timed.enrich_all, cast("Any", timed), done.set, slot)
    item = MappedManifest(cast("Any", object()), cast("Any", object()))
    git_enricher.enqueue(samples.revision(), [Assessment(item, samples.drifted())], ["1"], cast("Any", timed))
    return git_enricher


@pytest.mark.parametrize(("seconds", "gap"), [(0.05, 0.15), (30.0, 0.3)])
async def test_apps_take_turns_but_wait_for_nobodys_remote(
    monkeypatch: pytest.MonkeyPatch, seconds: float, gap: float
) -> None:
    """After each batch the passes have twice its time; one that waits for a remote delays no other app."""
    monkeypatch.setattr(enricher, "_GATHER_SECONDS", 0.0)
    monkeypatch.setattr(enricher, "_SLOT_SECONDS", 0.3)
    slot, done = asyncio.Lock(), asyncio.Event()
    apps = [TimedEnrichment(seconds), TimedEnrichment(0.0)]
    enrichers = [started(apps[0], slot, asyncio.Event()), started(apps[1], slot, done)]
    await asyncio.wait_for(done.wait(), 5)
    (first,), (second,) = (app.starts for app in apps)
    assert second - first >= gap
    for git_enricher in enrichers:
        await git_enricher.close()
