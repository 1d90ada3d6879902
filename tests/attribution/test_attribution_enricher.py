"""Git's history is looked up beside the passes: it delays no verdict, and is there when people are told."""

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
    """Holds up every blame until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = asyncio.Event()
        self.asked = 0
        blame = Mirror.blame

        async def slow(mirror: Mirror, *args: Any) -> Any:
            self.asked += 1
            await self.go.wait()
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
    """People are told once all is known; while Git is slow, other drift is found all the same."""
    history = SlowHistory(monkeypatch)
    async with observed.engine() as engine:
        await deployed(observed, engine)
        await observed.edit("ConfigMap", {"data": {"a": "2"}})
        await until(lambda: history.asked, "the question to Git")
        await until(lambda: recorded(observed), "the record")
        await observed.edit("Deployment", {"spec": {"replicas": 5}})
        await until(lambda: status(engine, "Deployment/web") is Status.DRIFTED, "the other drift")
        assert await observed.incident_events() == []
        history.go.set()
        await until(observed.incident_events, "the message")
    for verdict in await recorded(observed):
        assert [field.git is not None and field.git.commit for field in verdict.fields] == [observed.repository.head]
    assert await observed.incident_events() == ["drift opened"]


async def test_people_are_not_kept_waiting_for_ever(observed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Git's history does not come, they hear of the drift without it."""
    history = SlowHistory(monkeypatch)
    monkeypatch.setattr(enricher, "NOTIFY_AFTER", enricher.NOTIFY_AFTER / 10)
    monkeypatch.setattr("driftd.reconcile.reconciler.NOTIFY_AFTER", enricher.NOTIFY_AFTER)
    async with observed.engine() as engine:
        await deployed(observed, engine)
        await observed.edit("ConfigMap", {"data": {"a": "2"}})
        await until(observed.incident_events, "the message")
        assert history.asked
        assert not history.go.is_set()


async def test_a_history_that_cannot_be_read_costs_no_verdict(observed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drift is told with what is known."""

    async def broken(*_args: Any) -> Any:
        raise GitError("the mirror is damaged")

    monkeypatch.setattr("driftd.attribution.git_attribution.GitAttribution.enrich", broken)
    async with observed.engine() as engine:
        await deployed(observed, engine)
        await observed.edit("ConfigMap", {"data": {"a": "2"}})
        await until(observed.incident_events, "the message")
    assert [verdict.status for verdict in await recorded(observed)] == [Status.DRIFTED]


async def test_of_much_that_differs_every_line_is_found(observed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few at a time, in the order in which they came."""
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
    """The file is the same again, by another hand: the verdict stands, and who wrote the line is told anew."""
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

        await until(renewed, "the line's new writer")


class Lookups:
    """A survey, a memory and a reader in one: knows which look began, and how many are under way at once."""

    def __init__(self, lasting: float) -> None:
        self.lasting = lasting
        self.begun: list[float] = []

    def version_of(self, _one: Any) -> str:
        return "1"

    async def read(self, _wanted: Any) -> dict[Any, Any]:
        return {}

    async def enrich_all(self, _revision: Any, judged: Sequence[Assessment]) -> list[Verdict]:
        self.begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.lasting)
        return [one.verdict for one in judged]

    def enrich(self, known: Verdict, better: Verdict) -> None:
        assert known == better


def looking_up(lookups: Lookups, turns: asyncio.Lock, over: asyncio.Event) -> GitEnricher:
    found = GitEnricher(lookups.enrich_all, cast("Any", lookups), over.set, turns)
    wanted = MappedManifest(cast("Any", object()), cast("Any", object()))
    found.enqueue(samples.revision(), [Assessment(wanted, samples.drifted())], ["1"], cast("Any", lookups))
    return found


@pytest.mark.parametrize(("lasting", "apart"), [(0.05, 0.15), (30.0, 0.3)])
async def test_apps_take_turns_but_wait_for_nobodys_remote(
    monkeypatch: pytest.MonkeyPatch, lasting: float, apart: float
) -> None:
    """After each look the passes have twice its time; one that waits for a remote holds up no other."""
    monkeypatch.setattr(enricher, "_GATHER_SECONDS", 0.0)
    monkeypatch.setattr(enricher, "_SLOT_SECONDS", 0.3)
    turns, over = asyncio.Lock(), asyncio.Event()
    apps = [Lookups(lasting), Lookups(0.0)]
    looking = [looking_up(apps[0], turns, asyncio.Event()), looking_up(apps[1], turns, over)]
    await asyncio.wait_for(over.wait(), 5)
    (first,), (second,) = (one.begun for one in apps)
    assert second - first >= apart
    for one in looking:
        await one.close()
