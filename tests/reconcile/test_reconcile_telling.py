"""What was healed is told and stays in the history, exactly once; and how drift ended is said as it was."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from driftd.model.command import CommandKind
from driftd.model.errors import StoreError
from driftd.model.incident import Ended, Incident, IncidentType, Resolution
from driftd.model.path import format_path
from driftd.model.plan import Mode, Outcome, Trigger
from driftd.reconcile.leases import Leases
from driftd.repair import object_writer
from tests.support.world import World, command, config_map, deployment
from tests.support.worlds import OpenWorld


async def told(world: World) -> list[tuple[str, str, object, object, str, str]]:
    """Every drift that people were told of to its end: object, field, live, declared, whose hand, how it ended."""
    incidents = await world.store.incidents(app="web", type=IncidentType.DRIFT)
    return [
        (one.verdict.ref.name, format_path(field.path), field.live, field.desired,
         field.by.manager if field.by else "", str(one.resolution))
        for incident in reversed(incidents)
        for one in incident.ended
        for field in one.verdict.fields
    ]  # fmt: skip


async def the_end(world: World) -> Incident:
    """The incident about drift that ended last."""
    incident = max(await world.store.incidents(app="web", open=False), key=lambda one: (one.updated, one.first_seen))
    assert incident.type is IncidentType.DRIFT
    return incident


async def with_an_orphan(world: World) -> None:
    """Deploys the app with a further ConfigMap, then takes that out of Git: it stays behind as an orphan."""
    await world.commit({"old.yaml": config_map("old", a="1")})
    await world.settle()
    world.repository.remove("app/old.yaml")
    await world.commit({}, "Drop the old configuration")


async def test_every_heal_is_told_also_within_the_quiet_period_of_another_one(open_world: OpenWorld) -> None:
    """Four edits in a row, each healed by its own pass: all four with object, field, both values and who."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        for value in ("2", "3", "4", "5"):
            await world.edit("ConfigMap", {"data": {"a": value}}, manager=f"hand-{value}")
            await world.run()
        assert await told(world) == [
            ("web", "data.a", value, "1", f"hand-{value}", "healed") for value in ("2", "3", "4", "5")
        ]


async def test_an_edit_that_replaces_one_that_people_know_of_is_told_when_it_is_healed(open_world: OpenWorld) -> None:
    """Both are in the message, although the second came within seconds of the first."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.OBSERVE)
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.run()
        await world.edit("ConfigMap", {"data": {"a": "3", "more": "x"}})
        world.restart(mode=Mode.HEAL)
        await world.run()
        assert await world.incident_events() == ["drift opened", "drift resolved (healed)"]
        incident = await the_end(world)
        fields = {(format_path(f.path), f.live) for one in incident.ended for f in one.verdict.fields}
        assert fields == {("data.a", "2"), ("data.a", "3"), ("data.more", "x")}


async def test_a_heal_after_a_commit_that_only_removes_a_file_is_told(open_world: OpenWorld) -> None:
    """The commit leaves an orphan: it has changed nothing of what is healed."""
    async with open_world(mode=Mode.HEAL) as world:
        await with_an_orphan(world)
        await world.run()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        result = await world.run()
        assert result.action is not None
        assert result.action.trigger is Trigger.HEAL
        assert ("web", "data.a", "2", "1", "kubectl-edit", "healed") in await told(world)


async def test_a_heal_beside_a_commit_is_told_and_the_commit_is_not(open_world: OpenWorld) -> None:
    """One pass brings the commit and puts back an edit; a deleted object is one, a new object is not."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"more.yaml": config_map("more", a="1")})
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "by hand"}})
        await world.delete("ConfigMap", "more")
        files = {"deployment.yaml": deployment("shop/web:2"), "config.yaml": config_map(a="1", b="2")}
        await world.commit({**files, "new.yaml": config_map("new", a="1")}, "Update to 2")
        result = await world.run()
        assert result.action is not None
        assert result.action.trigger is Trigger.SYNC
        incident = await the_end(world)
        assert {(one.verdict.ref.name, one.verdict.status, one.resolution) for one in incident.ended} == {
            ("web", "drifted", Resolution.HEALED),
            ("more", "missing", Resolution.HEALED),
        }
        assert [row[:3] for row in await told(world)] == [("web", "data.a", "by hand")]
        triggers = {o.ref.name + o.ref.kind: o.trigger for o in await world.store.operations(app="web", limit=4)}
        assert triggers == {
            "webDeployment": Trigger.SYNC, "webConfigMap": Trigger.HEAL, "moreConfigMap": Trigger.HEAL,
            "newConfigMap": Trigger.SYNC,
        }  # fmt: skip


async def test_a_heal_in_the_first_pass_in_mode_heal_is_told(open_world: OpenWorld) -> None:
    """Another deployer brought the objects: what differs from Git is somebody's hand, and no rollout."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.apply("Deployment", deployment())
        await world.apply("ConfigMap", config_map(a="1"))
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        result = await world.run()
        assert result.action is not None
        assert result.action.trigger is Trigger.HEAL
        assert await told(world) == [("web", "data.a", "2", "1", "kubectl-edit", "healed")]


async def test_what_was_healed_stays_in_its_message_while_an_orphan_is_open(open_world: OpenWorld) -> None:
    """The orphan's incident goes on, whatever time passes; the heal has one of its own, which nothing changes."""
    async with open_world(mode=Mode.HEAL) as world:
        await with_an_orphan(world)
        await world.run()
        world.clock.advance(seconds=10)
        await world.edit("Deployment", {"metadata": {"labels": {"by": "hand"}}})
        await world.run()
        world.clock.advance(seconds=10)
        await world.run()
        assert await world.incident_events() == ["drift opened", "drift opened", "drift resolved (healed)"]
        (orphan,) = await world.store.open_incidents("web")
        assert [verdict.ref.name for verdict in orphan.resources] == ["old"]
        assert [one.verdict.ref.name for one in (await the_end(world)).ended] == ["web"]


async def test_a_heal_of_what_people_know_of_stays_in_the_incident_that_goes_on(open_world: OpenWorld) -> None:
    """The incident is about an orphan alone from then on, and still says what it was about before."""
    async with open_world(mode=Mode.HEAL) as world:
        await with_an_orphan(world)
        world.restart(mode=Mode.OBSERVE)
        await world.edit("Deployment", {"metadata": {"labels": {"by": "hand"}}})
        await world.run()
        world.restart(mode=Mode.HEAL)
        await world.run()
        assert await world.incident_events() == ["drift opened", "drift changed"]
        (incident,) = await world.store.open_incidents("web")
        assert [verdict.ref.name for verdict in incident.resources] == ["old"]
        assert [(one.verdict.ref.name, one.resolution, one.by) for one in incident.ended] == [
            ("web", Resolution.HEALED, "driftd")
        ]


# -- a process that ends, or a store that refuses, between the write and its record


STEPS = ["record_outcomes", "record_action", "record_report", "transition_incidents"]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), StoreError("the disk is full")], ids=["killed", "refused"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_heal_is_told_once_wherever_the_process_ends_or_the_store_refuses(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    """The edit was in no report before: its only trace is the plan."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "2"}})

        async def fails(*_: object, **__: object) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(world.store, step, fails)
            with pytest.raises(type(error)):
                await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}
        if isinstance(error, asyncio.CancelledError):
            world.restart()
        for _ in range(2):
            await world.run()
        world.restart()
        await world.run()
        assert await world.incident_events() == ["drift opened", "drift resolved (healed)"]
        assert await told(world) == [("web", "data.a", "2", "1", "kubectl-edit", "healed")]
        (operation, *_) = await world.store.operations(app="web", kind="ConfigMap")
        assert operation.outcome is Outcome.CONFIGURED
        assert await world.store.open_plans("web") == []


async def test_what_somebody_else_put_back_is_not_called_healed(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """driftd ended before it wrote, and a person was quicker than its next start: who it was is not known ."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "2"}})

        async def killed(*_: object, **__: object) -> None:
            raise asyncio.CancelledError

        with monkeypatch.context() as patched:
            patched.setattr(object_writer, "apply", killed)
            with pytest.raises(asyncio.CancelledError):
                await world.run()
        await world.edit("ConfigMap", {"data": {"a": "1"}})
        world.restart()
        await world.run()
        assert await world.incident_events() == ["drift opened", "drift resolved (unconfirmed)"]
        (operation, *_) = await world.store.operations(app="web", kind="ConfigMap")
        assert operation.outcome is Outcome.INTERRUPTED


async def test_plans_that_a_command_left_open_are_concluded_by_the_daemon_that_is_running(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`driftd sync` was killed between its write and its record."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.APPROVE)
        await world.run()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        of_command = world.make_runner()

        async def killed(*_: object, **__: object) -> None:
            raise asyncio.CancelledError

        with monkeypatch.context() as patched:
            patched.setattr(world.store, "record_outcomes", killed)
            with pytest.raises(asyncio.CancelledError):
                await of_command.run(command(CommandKind.SYNC, "ann@laptop"))
        world.runner.request_full_pass()
        await world.run()
        assert await told(world) == [("web", "data.a", "2", "1", "kubectl-edit", "healed")]
        assert [one.by for one in (await the_end(world)).ended] == ["ann@laptop"]


# -- how it ended


async def only_end(world: World) -> Ended:
    (one,) = (await the_end(world)).ended
    return one


async def test_an_orphan_that_somebody_deletes_was_deleted(open_world: OpenWorld) -> None:
    """Nobody has put anything back."""
    async with open_world(mode=Mode.HEAL) as world:
        await with_an_orphan(world)
        await world.run()
        await world.delete("ConfigMap", "old")
        await world.run()
        assert (await world.incident_events())[-1] == "drift resolved (deleted)"
        assert (await only_end(world)).verdict.ref.name == "old"


async def test_an_orphan_that_git_declares_again_is_accepted(open_world: OpenWorld) -> None:
    """The commit was reverted."""
    async with open_world(mode=Mode.HEAL) as world:
        await with_an_orphan(world)
        await world.run()
        await world.commit({"old.yaml": config_map("old", a="1")}, "Bring it back")
        await world.run()
        assert (await only_end(world)).resolution is Resolution.ACCEPTED


async def test_a_rollback_is_what_ends_drift_from_the_revision_that_was_rolled_back(open_world: OpenWorld) -> None:
    """Git has not accepted anything: the app went back."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.APPROVE)
        await world.commit({"config.yaml": config_map(a="2")}, "Change a")
        await world.run()
        await world.run(command(CommandKind.ROLLBACK, "ann"))
        assert (await only_end(world)).resolution is Resolution.ROLLED_BACK


@pytest.mark.parametrize("restarted", [False, True], ids=["at once", "after a restart"])
async def test_a_hold_that_a_person_releases_is_released(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, *, restarted: bool
) -> None:
    """Git has not moved on. Also where the process ends before it says so."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.commit({"config.yaml": config_map(a="2")}, "Change a")
        await world.settle()
        await world.run(command(CommandKind.ROLLBACK, "ann"))
        release = command(CommandKind.SYNC, "ann", release=True)
        if restarted:

            async def killed(*_: object, **__: object) -> None:
                raise asyncio.CancelledError

            with monkeypatch.context() as patched:
                patched.setattr(world.store, "transition_incidents", killed)
                with pytest.raises(asyncio.CancelledError):
                    await world.run(release)
            world.restart()
            await world.run()
        else:
            await world.run(release)
        assert "rollback resolved (released)" in await world.incident_events()


async def test_a_commit_that_moves_on_from_what_was_put_back_is_no_merit_of_driftd(open_world: OpenWorld) -> None:
    """A person's revert, a commit that declares what is live, and a deployer that catches up are three ends."""
    async with open_world() as world:
        await world.apply("Deployment", deployment())
        await world.apply("ConfigMap", config_map(a="1"))
        await world.run()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.run()
        await world.commit({"config.yaml": config_map(a="2")}, "Declare what is live")
        await world.run()
        assert (await only_end(world)).resolution is Resolution.ACCEPTED
        await world.edit("ConfigMap", {"data": {"a": "3"}})
        await world.run()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.run()
        assert (await only_end(world)).resolution is Resolution.REVERTED
        await world.commit({"deployment.yaml": deployment("shop/web:2")}, "Update to 2")
        await world.run()
        await world.apply("Deployment", deployment("shop/web:2"))
        await world.run()
        assert (await only_end(world)).resolution is Resolution.DEPLOYED


async def test_incidents_of_what_is_not_configured_any_more_end_as_that(open_world: OpenWorld) -> None:
    """Of an app and of a source; those of an app that another process works on are its own."""
    async with open_world() as world:
        await world.run()
        is_renewed = Leases(world.store, "this process").is_renewed_elsewhere
        await world.recorder().forget_others(["web"], ["shop"], is_renewed)
        assert set(await world.incidents()) == {"drift"}
        await world.store.acquire_lease("web", "another process", timedelta(minutes=1))
        world.clock.set(days=365)
        await world.recorder().forget_others(["other"], [], is_renewed)
        assert set(await world.incidents()) == {"drift"}
        await world.store.release_leases("another process")
        await world.recorder().forget_others(["other"], [], is_renewed)
        assert await world.incidents() == {}
        assert (await world.incident_events())[-1] == "drift resolved (removed)"


async def test_a_commit_whose_plan_the_store_refused_is_not_told_as_drift(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was written, so nothing has to wait: the next pass brings the commit in."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:2")})

        async def fails(*_: object, **__: object) -> None:
            raise StoreError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(world.store, "record_plan", fails)
            with pytest.raises(StoreError):
                await world.run()
        await world.run()
        assert await world.image() == "shop/web:2"
        assert await world.incident_events() == []


async def test_a_commit_that_could_not_be_written_is_a_failed_sync_and_no_drift(open_world: OpenWorld) -> None:
    """Nobody's hand was at work. A hand on the same object is drift all the same."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.sandbox.faults.forbid("patch", "deployments")
        await world.commit({"deployment.yaml": deployment("shop/web:2")})
        await world.run()
        await world.run()
        assert await world.incident_events() == ["sync_failed opened"]
        world.sandbox.faults.clear()
        await world.edit("Deployment", {"spec": {"replicas": 7}})
        world.sandbox.faults.forbid("patch", "deployments")
        await world.run()
        assert await world.incident_events() == ["sync_failed opened", "drift opened"]
        world.sandbox.faults.clear()
        world.clock.advance(seconds=60)
        await world.run()
        assert await world.image() == "shop/web:2"
        assert not await world.incidents()
