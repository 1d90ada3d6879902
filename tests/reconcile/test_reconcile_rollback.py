"""Bad revisions: detection, rollback, hold and release."""

from __future__ import annotations

import pytest

from driftd.model.command import CommandKind
from driftd.model.drift import Status
from driftd.model.plan import Hold, Mode, RollbackMode, Trigger
from driftd.model.revision import RevisionState
from driftd.reconcile.reconciler import PassResult
from driftd.store import HistoryKind, Store
from tests.support.world import World, command, config_map, deployment, statuses
from tests.support.worlds import OpenWorld

BROKEN = deployment("shop/web:2-broken")


async def fails(world: World, text: str = BROKEN) -> PassResult:
    """Commits a workload that never becomes healthy, and advances the clock past its deadline."""
    await world.commit({"deployment.yaml": text}, "Update to 2")
    deployed = await world.run()
    assert deployed.state == "applied"
    return await world.watch(minutes=10)


async def test_a_revision_that_does_not_become_healthy_is_rolled_back(open_world: OpenWorld) -> None:
    """The last good one is applied and held; the notification has both revisions and the reason."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        good = world.repository.head
        result = await fails(world)
        bad = world.repository.head
        assert result.action is not None
        assert (result.action.trigger, result.action.revision, result.action.by) == (Trigger.ROLLBACK, good, "driftd")
        assert result.hold is not None
        assert (result.hold.revision, result.hold.bad_revision) == (good, bad)
        assert await world.image() == "shop/web:1"
        assert result.report.in_sync
        assert result.report.revision is not None
        assert result.report.revision.sha == good
        message = (await world.incidents())["rollback"]
        assert f"rolled back from {bad[:8]} to {good[:8]}" in message
        sick = "Deployment.apps/web/web: 1 old replica is still there, 1 replica is not available"
        assert f"not healthy within 10m: {sick}; held there" in message
        record = await world.store.revision("web", bad)
        assert record is not None
        assert record.state is RevisionState.BAD


async def test_what_a_rollback_has_just_written_is_not_called_unhealthy(open_world: OpenWorld) -> None:
    """Its controller has not even seen the write, and the workload has been unhealthy for all of the deadline. It has
    another one from the write on."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        await world.commit({"deployment.yaml": BROKEN}, "Update to 2")
        await world.run()
        await world.watch(minutes=9)
        with world.stalled_controllers():
            while (result := await world.watch(seconds=10)).hold is None:
                pass
            assert [health.message for health in result.health] == ["its controller has not seen the latest change yet"]
            assert await world.image() == "shop/web:1"
            assert set(await world.incidents()) == {"rollback"}
            await world.watch(minutes=10)
            assert set(await world.incidents()) == {"rollback", "unhealthy"}, "had it stayed so"


@pytest.mark.parametrize(
    ("mode", "rollback"),
    [(Mode.HEAL, RollbackMode.MANUAL), (Mode.OBSERVE, RollbackMode.AUTO)],
    ids=["manual", "observed"],
)
async def test_a_bad_revision_stays_if_rollback_is_not_allowed(
    open_world: OpenWorld, mode: Mode, rollback: RollbackMode
) -> None:
    """It is only marked as bad and notified as unhealthy."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.commit({"deployment.yaml": BROKEN}, "Update to 2")
        await world.run()
        world.restart(mode=mode, rollback=rollback)
        world.requests.received.clear()
        await world.run()
        assert (await world.watch(minutes=10)).state == "bad"
        assert await world.image() == "shop/web:2-broken"
        assert set(await world.incidents()) == {"unhealthy"}
        assert world.requests.writes == []


async def test_a_hold_survives_restarts_and_commits_that_change_nothing_and_is_healed(open_world: OpenWorld) -> None:
    """Until Git declares something else than the bad revision."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        await fails(world)
        world.restart()
        assert (await world.run()).hold is not None
        world.repository.write({"README": "of no consequence"})
        await world.commit({}, "Touch something else")
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        held = await world.run()
        assert held.hold is not None
        assert held.report.in_sync
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}
        assert await world.image() == "shop/web:1"

        await world.commit({"deployment.yaml": deployment("shop/web:3")}, "Update to 3")
        moved = await world.run()
        assert moved.hold is None
        assert await world.image() == "shop/web:3"
        assert "rollback resolved (superseded)" in await world.incident_events()
        assert "rollback" not in await world.incidents()


async def test_a_hold_is_kept_while_manifests_do_not_parse(open_world: OpenWorld) -> None:
    """Whether they differ from the bad revision is unknown; the error is notified."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        await fails(world)
        await world.commit({"bad.yaml": "kind: [\n"}, "Slip")
        result = await world.run()
        assert result.hold is not None
        assert "app/bad.yaml" in str(result.report.error)
        assert set(await world.incidents()) == {"rollback", "source"}
        await world.commit({"bad.yaml": "# nothing\n"}, "Mend the slip")
        assert (await world.run()).hold is not None
        assert await world.image() == "shop/web:1"


async def test_a_bad_first_revision_cannot_be_rolled_back_and_stays_an_incident(open_world: OpenWorld) -> None:
    """It is notified once, and open until the next commit fixes it."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        result = await fails(world)
        assert result.state == "bad"
        assert result.hold is None
        for _ in range(3):
            await world.run()
            message = (await world.incidents())["sync_failed"]
            assert "not healthy within 10m: Deployment.apps/web/web" in message
            assert "no good revision to go back to" in message
        assert (await world.incident_events()).count("sync_failed opened") == 1
        assert "sync_failed changed" not in await world.incident_events()
        await world.commit({"deployment.yaml": deployment("shop/web:3")}, "Update to 3")
        await world.settle()
        assert await world.incidents() == {}


async def test_a_bad_revision_that_becomes_healthy_later_is_good_and_not_rolled_back(open_world: OpenWorld) -> None:
    """It was slow, and there was no revision to roll back to; now it is one itself."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await fails(world)
        # The image can be pulled now.
        path = "/api/v1/namespaces/web/pods"
        await world.commit({"deployment.yaml": BROKEN})
        for pod in (await world.request("GET", path))["items"]:
            ready = [{**c, "status": "True"} for c in pod["status"]["conditions"]]
            states = [{**c, "ready": True, "started": True} for c in pod["status"]["containerStatuses"]]
            status = {**pod["status"], "phase": "Running", "conditions": ready, "containerStatuses": states}
            await world.request("PUT", f"{path}/{pod['metadata']['name']}/status", {**pod, "status": status})
        await world.settle()
        assert await world.incidents() == {}
        assert await world.image() == "shop/web:2-broken"


async def test_a_rollback_continues_after_a_crash_between_the_hold_and_the_apply(open_world: OpenWorld) -> None:
    """The hold is stored, the cluster still has the bad revision: the next process applies the good one."""
    async with open_world(mode=Mode.APPROVE, rollback=RollbackMode.AUTO) as world:
        await world.run(command(CommandKind.SYNC, "ann"))
        await world.settle()
        good = world.repository.head
        bad = await world.commit({"deployment.yaml": BROKEN}, "Update to 2")
        await world.run(command(CommandKind.SYNC, "ann"))
        record = await world.store.revision("web", bad)
        assert record is not None
        await world.store.set_hold(Hold("web", good, bad, record.digest, "not healthy", "driftd", world.clock()))
        world.restart()
        result = await world.run()
        assert result.hold is not None
        assert await world.image() == "shop/web:1"
        assert "rollback" in await world.incidents()


async def test_a_rollback_continues_after_a_crash_before_the_hold_with_its_reason(open_world: OpenWorld) -> None:
    """The revision was marked as bad, and then the process was killed."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        bad = await world.commit({"deployment.yaml": BROKEN}, "Update to 2")
        await world.run()
        await world.store.set_revision_state(
            "web", bad, RevisionState.BAD, reason="not healthy within 10m: web", time=world.clock()
        )
        world.restart()
        result = await world.run()
        assert result.hold is not None
        assert result.hold.reason == "not healthy within 10m: web"
        assert await world.image() == "shop/web:1"


async def test_a_rollback_works_while_git_is_unreachable(open_world: OpenWorld) -> None:
    """The manifests of a good revision are stored."""
    async with open_world(mode=Mode.APPROVE) as world:
        await world.run(command(CommandKind.SYNC, "ann"))
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:2")}, "Update to 2")
        await world.run(command(CommandKind.SYNC, "ann"))
        world.repository.folder.rename(world.folder / "elsewhere")
        await world.source.fetch()
        assert world.source.error
        result = await world.run(command(CommandKind.ROLLBACK, "ann"))
        assert result.report.in_sync
        assert await world.image() == "shop/web:1"


async def test_a_person_rolls_back_and_releases(open_world: OpenWorld) -> None:
    """The hold names the person; a release follows Git again, and the bad revision is tried once more."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        await fails(world)
        released = await world.run(command(CommandKind.SYNC, "ann", release=True))
        assert released.hold is None
        assert await world.image() == "shop/web:2-broken"
        assert (await world.run()).hold is None, "it has until its deadline"
        assert await world.image() == "shop/web:2-broken"
        again = await world.watch(minutes=10)
        assert again.hold is not None
        assert await world.image() == "shop/web:1"
        assert (await world.incident_events()).count("rollback opened") == 2


async def test_an_object_of_the_bad_revision_only_is_left_as_an_orphan(open_world: OpenWorld) -> None:
    """It is notified: driftd does not delete without a request."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        await world.commit({"new.yaml": config_map("new", a="1")})
        result = await fails(world)
        assert statuses(result.report)["ConfigMap/new"] is Status.ORPHANED
        assert not result.report.in_sync


async def test_a_person_may_roll_back_to_any_revision_of_the_history(open_world: OpenWorld) -> None:
    """By a prefix of its commit, good or not."""
    async with open_world(mode=Mode.APPROVE) as world:
        first = world.repository.head
        await world.run(command(CommandKind.SYNC, "ann"))
        await world.commit({"config.yaml": config_map(a="2")}, "Second")
        await world.run(command(CommandKind.SYNC, "ann"))
        result = await world.run(command(CommandKind.ROLLBACK, "ann", to=first[:9]))
        assert result.hold is not None
        assert (result.hold.by, result.hold.revision) == ("ann", first)
        assert result.hold.reason == "asked for by ann"
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}
        assert (await world.run()).hold is not None


async def test_the_effect_of_a_command_between_two_passes_counts_at_once(open_world: OpenWorld) -> None:
    """A daemon that caches the app's state never records an outdated one."""
    async with open_world(mode=Mode.OBSERVE) as world:
        await world.apply("ConfigMap", config_map(a="1"))
        await world.apply("Deployment", deployment())
        first = (await world.run()).report.revision
        await world.commit({"config.yaml": config_map(a="2")}, "Second")
        await world.apply("ConfigMap", config_map(a="2"))
        second = (await world.run()).report.revision
        assert first is not None
        assert second is not None
        before = await world.store.history("web")
        await world.run()
        command = await Store.open(f"sqlite:///{world.folder / 'history.db'}", clock=world.clock)
        bad = await command.revision("web", second.sha)
        assert bad is not None
        await command.set_hold(Hold("web", first.sha, second.sha, bad.digest, "asked for", "ann", world.clock()))
        await world.apply("ConfigMap", config_map(a="1"))
        held = await world.run()
        assert held.hold is not None
        assert held.report.revision == first
        assert held.report.in_sync
        since = [e.kind for e in await world.store.history("web")][: -len(before)]
        assert HistoryKind.VERDICT not in since
        assert since == [HistoryKind.INCIDENT, HistoryKind.REVISION, HistoryKind.HOLD], "that it is held, and applied"
        await command.release_hold("web")
        released = await world.run()
        assert released.hold is None
        assert released.report.revision == second
        await command.close()
