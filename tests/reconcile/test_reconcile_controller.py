"""The controller: events that cause passes, with watches on the cluster."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from driftd.model.drift import Status
from driftd.model.errors import StoreError
from driftd.model.plan import Mode, RollbackMode
from driftd.reconcile import controller, leases
from driftd.reconcile.controller import Controller
from tests.support.world import World, config_map, deployment, statuses, until
from tests.support.worlds import OpenWorld


def in_sync(engine: Controller) -> bool:
    return "web" in engine.results and engine.results["web"].report.in_sync


def status(engine: Controller, name: str) -> Status | None:
    return statuses(engine.results["web"].report).get(name) if "web" in engine.results else None


def revision(engine: Controller) -> str | None:
    current = engine.results["web"].report.revision
    return current.sha if current else None


async def test_a_change_in_the_cluster_is_healed_by_itself(open_world: OpenWorld) -> None:
    """Edits, extra fields and deletions, by watch events alone."""
    async with open_world(mode=Mode.HEAL) as world, world.engine() as engine:
        await until(lambda: in_sync(engine), "the first deployment")
        assert await world.incident_events() == []
        await world.edit("ConfigMap", {"data": {"a": "2", "b": "3"}})
        await until(lambda: _told(world, 2), "the repair")
        assert await _data(world, {"a": "1"})
        await world.delete("ConfigMap")
        await until(lambda: _told(world, 4), "its return")
        assert await _data(world, {"a": "1"})
        assert await world.incident_events() == ["drift opened", "drift resolved (healed)"] * 2


async def _told(world: World, count: int) -> bool:
    return len(await world.incident_events()) >= count and not await world.incidents()


async def _data(world: World, expected: dict[str, str]) -> bool:
    listed = await world.request("GET", "/api/v1/namespaces/web/configmaps")
    return [i["data"] for i in listed["items"] if i["metadata"]["name"] == "web"] == [expected]


async def test_a_deployment_under_watch_is_never_notified_as_drift(open_world: OpenWorld) -> None:
    """Many new objects at once, read back before their watch events: not one is missing."""
    async with open_world(mode=Mode.HEAL) as world, world.engine() as engine:
        await until(lambda: in_sync(engine), "the first deployment")
        for number in range(4):
            sha = await world.commit({f"{number}-{n}.yaml": config_map(f"c-{number}-{n}", a="1") for n in range(10)})
            engine.request_full_pass("web")
            await until(lambda sha=sha: revision(engine) == sha and in_sync(engine), "the new objects")
        await until(lambda: in_sync(engine), "the end")
        assert await world.incident_events() == []


async def test_an_observed_app_under_watch_sends_no_write(observed: World) -> None:
    """Only lists and watches are requested, and drift is notified when it comes and goes."""
    for kind, text in (("Deployment", deployment()), ("ConfigMap", config_map(a="1"))):
        await observed.apply(kind, text)
    observed.requests.received.clear()
    async with observed.engine() as engine:
        await until(lambda: in_sync(engine), "the first pass")
        ours = list(observed.requests.writes)
        await observed.edit("ConfigMap", {"data": {"a": "2"}})
        await until(lambda: status(engine, "ConfigMap/web") is Status.DRIFTED, "the drift")
        await observed.edit("ConfigMap", {"data": {"a": "1"}})
        await until(lambda: in_sync(engine), "the end of it")
        await until(lambda: _told(observed, 2), "the messages")
        assert ours == []
        assert [w for w in observed.requests.writes if "kubectl-edit" not in w] == []
    assert await observed.incident_events() == ["drift opened", "drift resolved (reverted)"]


async def test_an_outage_of_the_api_server_makes_objects_unknown_and_resolves_no_incident(
    open_world: OpenWorld,
) -> None:
    """While the watches are not fresh nothing is in sync; after the outage every verdict is back."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.OBSERVE)
        async with world.engine() as engine:
            await until(lambda: in_sync(engine), "the first pass")
            await world.edit("ConfigMap", {"data": {"a": "2"}})
            await until(lambda: status(engine, "ConfigMap/web") is Status.DRIFTED, "the drift")
            await until(world.incidents, "the incident")
            world.sandbox.faults.refusing = True
            world.sandbox.faults.drop_watches()
            await until(
                lambda: set(statuses(engine.results["web"].report).values()) == {Status.UNKNOWN}, "the distrust"
            )
            assert set(await world.incidents()) == {"drift"}
            world.sandbox.faults.refusing = False
            back = {"Deployment/web": Status.IN_SYNC, "ConfigMap/web": Status.DRIFTED}
            await until(lambda: statuses(engine.results["web"].report) == back, "the return")
            assert await world.incident_events() == ["drift opened"]


async def test_a_bad_commit_is_rolled_back_by_the_clock_alone(open_world: OpenWorld) -> None:
    """No event comes at the deadline: the controller schedules a pass for it. The same for the settle time."""
    times = {"settle": timedelta(seconds=0.2), "deadline": timedelta(seconds=1)}
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO, **times) as world, world.engine() as engine:
        await until(lambda: "web" in engine.results and engine.results["web"].state == "good", "a good revision")
        await world.commit({"deployment.yaml": deployment("shop/web:2-broken")})
        engine.request_full_pass("web")
        await until(lambda: engine.results["web"].hold is not None, "the rollback")
        assert await world.image() == "shop/web:1"


async def test_a_source_that_fails_twice_is_notified_and_its_last_revision_stays_in_use(open_world: OpenWorld) -> None:
    """Drift is detected as before; the recovery of Git is notified once."""
    async with open_world(mode=Mode.HEAL) as world, world.engine() as engine:
        await until(lambda: in_sync(engine), "the first deployment")
        away = world.folder / "elsewhere"
        world.repository.folder.rename(away)
        first = await engine.fetch("shop")
        assert await world.incident_events("source/shop") == []
        second = await engine.fetch("shop")
        assert first is not None
        assert second is not None
        assert first < second, "ever more patiently"
        message = (await world.incidents("source/shop"))["source"]
        assert "stays in use" in message
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await until(lambda: _data(world, {"a": "1"}), "the repair without Git")
        away.rename(world.repository.folder)
        assert await engine.fetch("shop") is None
        assert await world.incident_events("source/shop") == ["source opened", "source resolved (recovered)"]


async def test_one_app_that_crashes_does_not_stop_the_others(open_world: OpenWorld) -> None:
    """A defect is logged, and the pass is retried."""
    async with open_world(mode=Mode.HEAL) as world, world.engine() as engine:
        await until(lambda: in_sync(engine), "the first deployment")

        class Broken:
            app = engine.reconcilers["web"].app

            def request_full_pass(self) -> None:
                """Nothing to do."""

            async def run(self) -> None:
                raise ZeroDivisionError

            async def close(self) -> None:
                """Nothing to close."""

        engine.reconcilers["broken"] = Broken()  # type: ignore[assignment]  # it has what the controller uses
        for _ in range(8):
            engine.request_full_pass("broken")
            await asyncio.sleep(0.01)
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await until(lambda: _data(world, {"a": "1"}), "the other app's repair")


async def test_while_the_store_is_full_the_app_is_unknown_and_afterwards_everything_is_told(
    observed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last success is not shown for what is now, whether the pass fails or its lease is lost."""
    monkeypatch.setattr(controller, "_MIN_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(leases, "_RETRY_SECONDS", 0.05)
    for kind, text in (("Deployment", deployment()), ("ConfigMap", config_map(a="1"))):
        await observed.apply(kind, text)
    database = observed.store._database
    write = database.write

    async def full(_: object) -> None:
        raise StoreError("history.db: database or disk is full")

    async with observed.engine() as engine:
        await until(lambda: in_sync(engine), "the first pass")
        monkeypatch.setattr(database, "write", full)
        await observed.edit("ConfigMap", {"data": {"a": "2"}})
        await until(lambda: engine.results["web"].failed, "the failed pass")
        assert "disk is full" in (engine.reports[0].error or "")
        assert engine.reports[0].undecided
        monkeypatch.setattr(database, "write", write)
        await until(lambda: status(engine, "ConfigMap/web") is Status.DRIFTED, "the verdict")
        await until(observed.incidents, "the message")
        monkeypatch.setattr(database, "write", full)
        engine.leases._valid_until.clear()
        await until(lambda: engine.results["web"].failed, "the word of the lost lease")
        assert "lease" in (engine.reports[0].error or "")
        monkeypatch.setattr(database, "write", write)
        await until(lambda: status(engine, "ConfigMap/web") is Status.DRIFTED, "the verdict again")
    assert await observed.incident_events() == ["drift opened"]


async def test_stopping_lets_the_current_pass_finish(open_world: OpenWorld) -> None:
    """Nothing is half applied, and no other pass starts."""
    async with open_world(mode=Mode.HEAL) as world:
        async with world.engine() as engine:
            world.sandbox.faults.delay = 0.02
            await until(lambda: world.requests.writes, "the first write")
        assert statuses(engine.results["web"].report) == {
            "Deployment/web": Status.IN_SYNC, "ConfigMap/web": Status.IN_SYNC,
        }  # fmt: skip
        done = len(world.requests.received)
        engine.request_full_pass("web")
        await asyncio.sleep(0.1)
        assert len(world.requests.received) <= done + 2


async def test_no_pass_is_made_before_the_first_fetch_of_the_source(open_world: OpenWorld) -> None:
    """A lease alone is no reason: the app would be reported as not assessed, and the daemon as ready."""
    async with open_world() as world:
        world.source.revision = world.source.last_attempt = None
        world.source.asked = world.source.answered = 0
        async with world.engine() as engine:
            engine.queue._due.clear()
            engine.queue._heap.clear()
            await until(lambda: engine.leases.holds("web"), "the lease")
            await asyncio.sleep(0.1)
            assert engine.results == {}
            await engine.fetch("shop")
            await until(lambda: "web" in engine.results, "the first pass")


async def test_who_takes_over_an_app_asks_git_before_it_writes(open_world: OpenWorld) -> None:
    """Its mirror may be older than what the process before has deployed: that would be a rollback."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.run()
        world.repository.write({"app/config.yaml": config_map(a="2")}).commit("Set a to 2")
        await world.apply("ConfigMap", config_map(a="2"), manager="driftd", force=True)
        world.requests.received.clear()
        async with world.engine() as engine:
            await until(lambda: in_sync(engine), "the first pass")
        assert world.requests.writes == []


async def test_who_takes_over_an_app_goes_on_where_git_does_not_answer(open_world: OpenWorld) -> None:
    """With what it has mirrored."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.run()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        world.repository.folder.rename(world.folder / "elsewhere")
        async with world.engine() as engine:
            await until(lambda: in_sync(engine), "the heal")
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}
