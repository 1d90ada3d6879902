"""A revision's quality is its rollout: what else goes on in the cluster is no verdict on it."""

from __future__ import annotations

import pytest

from driftd.model.command import CommandKind
from driftd.model.drift import Status
from driftd.model.errors import Forbidden, KubeError
from driftd.model.plan import Mode, RollbackMode
from driftd.reconcile.reconciler import PassResult
from driftd.repair import object_writer
from tests.support.world import World, command, config_map, deployment, statuses
from tests.support.worlds import OpenWorld

BROKEN = deployment("shop/web:2-broken")


async def state_of(world: World, sha: str) -> str:
    record = await world.store.revision("web", sha)
    assert record is not None
    return str(record.state)


async def deploy(world: World, text: str) -> PassResult:
    await world.commit({"deployment.yaml": text}, "Update")
    return await world.run()


async def test_an_orphan_beside_them_keeps_no_revision_from_being_good(open_world: OpenWorld) -> None:
    """A file was removed from Git, and its object stays: the way back is still the revision before the broken one."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        world.repository.git("rm", "--quiet", "app/config.yaml")
        await world.commit({}, "Remove the ConfigMap")
        removed = await world.run()
        assert statuses(removed.report)["ConfigMap/web"] is Status.ORPHANED
        assert removed.state == "applied"
        for number in (3, 4):
            await deploy(world, deployment(f"shop/web:{number}"))
            await world.settle()
        good = world.repository.head
        await deploy(world, BROKEN)
        result = await world.watch(minutes=10)
        assert result.hold is not None
        assert result.hold.revision == good
        assert await world.image() == "shop/web:4"


async def test_a_rollback_without_a_person_goes_one_revision_back_and_no_further(open_world: OpenWorld) -> None:
    """The one before was not healthy yet when the broken one came: a person decides, and is told."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        first = world.repository.head
        await deploy(world, deployment("shop/web:2"))
        second = world.repository.head
        await deploy(world, BROKEN)
        result = await world.watch(minutes=10)
        assert result.state == "bad"
        assert result.hold is None
        assert await world.image() == "shop/web:2-broken"
        message = (await world.incidents())["sync_failed"]
        assert f"{second[:8]}, the one before, was never healthy as a whole" in message
        by_hand = await world.run(command(CommandKind.ROLLBACK, "ann"))
        assert by_hand.hold is not None
        assert by_hand.hold.revision == first


async def test_two_bad_revisions_in_a_row_are_rolled_back_to_the_one_that_was_there(open_world: OpenWorld) -> None:
    """After the first rollback the good one is in the cluster: that is what the second bad one replaced."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        good = world.repository.head
        for number in (2, 3):
            await deploy(world, deployment(f"shop/web:{number}-broken"))
            result = await world.watch(minutes=10)
            assert result.hold is not None
            assert result.hold.revision == good
            assert await world.image() == "shop/web:1"


async def test_a_broken_image_that_was_set_by_hand_does_not_make_the_revision_bad(open_world: OpenWorld) -> None:
    """It is drift and bad health, and the commit is not to blame."""
    async with open_world(mode=Mode.APPROVE, rollback=RollbackMode.AUTO) as world:
        await world.run(command(CommandKind.SYNC, "ann"))
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:2")}, "Update")
        assert (await world.run(command(CommandKind.SYNC, "ann"))).state == "applied"
        image = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "shop/web:oops-broken"}]}}}}
        await world.edit("Deployment", image)
        result = await world.watch(minutes=11)
        assert result.state == "applied"
        assert result.hold is None
        assert set(await world.incidents()) == {"drift", "unhealthy"}


async def test_drift_elsewhere_keeps_no_revision_from_being_good(open_world: OpenWorld) -> None:
    """Somebody has edited an object that the commit does not touch."""
    async with open_world(mode=Mode.APPROVE) as world:
        await world.run(command(CommandKind.SYNC, "ann"))
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.apply("Deployment", deployment("shop/web:2"), manager="driftd")
        await world.commit({"deployment.yaml": deployment("shop/web:2")}, "Update")
        result = await world.watch(minutes=1)
        assert statuses(result.report)["ConfigMap/web"] is Status.DRIFTED
        assert result.state == "good"


async def test_a_clock_that_is_set_and_a_daemon_that_was_away_make_no_revision_bad(open_world: OpenWorld) -> None:
    """Half an hour passed, in which nobody looked; then somebody set the clock ahead."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        assert (await deploy(world, BROKEN)).state == "applied"
        world.clock.set(minutes=11)
        assert (await world.run()).state == "applied"
        world.clock.advance(minutes=30)
        assert (await world.run()).state == "applied"
        world.restart()
        world.clock.advance(minutes=30)
        assert (await world.run()).state == "applied"
        world.clock.set(hours=-5)
        assert (await world.watch(minutes=10)).hold is not None, "in time that was observed it is bad"


async def test_a_commit_to_other_folders_is_as_good_as_the_one_before(open_world: OpenWorld) -> None:
    """What the app declares was rolled out: an outage that comes with such a commit is not its fault."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        world.repository.write({"README": "of no consequence"})
        await world.commit({}, "Touch something else")
        assert (await world.run()).state == "good"
        assert await state_of(world, world.repository.head) == "good"
        await deploy(world, BROKEN)
        world.repository.write({"README": "of no consequence either"})
        await world.watch(minutes=5)
        await world.commit({}, "Touch it again")
        assert (await world.watch(minutes=5)).hold is not None, "the rollout goes on, and so does its deadline"


async def test_a_revision_that_is_deployed_again_gets_another_try(open_world: OpenWorld) -> None:
    """A branch that is reset to a bad commit, after another one was in the cluster."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await deploy(world, BROKEN)
        assert (await world.watch(minutes=10)).state == "bad"
        bad = world.repository.head
        await deploy(world, deployment("shop/web:3"))
        await world.settle()
        world.repository.git("reset", "--quiet", "--hard", bad)
        await world.source.fetch()
        assert (await world.run()).state == "applied"
        assert (await world.watch(minutes=10)).state == "bad"


async def test_a_config_map_alone_is_a_rollout_too(open_world: OpenWorld) -> None:
    """Nothing of it can be unhealthy: it is good after the settle time."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.commit({"config.yaml": config_map(a="2")})
        assert (await world.run()).state == "applied"
        assert (await world.watch(seconds=30)).state == "good"


REFUSED = config_map("Not-A-Name", a="1")
"""A manifest that the API server refuses whoever applies it."""


async def test_a_revision_that_the_api_server_refuses_a_part_of_is_rolled_back(open_world: OpenWorld) -> None:
    """The rest of it is in the cluster by then: half a revision is nobody's."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        good = world.repository.head
        await world.commit({"deployment.yaml": deployment("shop/web:2"), "refused.yaml": REFUSED})
        result = await world.watch(minutes=9)
        assert (result.state, result.hold) == ("seen", None)
        assert await world.image() == "shop/web:2"
        bad = world.repository.head
        result = await world.watch(minutes=2)
        assert result.hold is not None
        assert result.hold.revision == good
        assert result.hold.reason.startswith("refused for 10m: ConfigMap/web/Not-A-Name: ")
        assert await state_of(world, bad) == "bad"
        assert await world.image() == "shop/web:1"


@pytest.mark.parametrize(
    "error",
    [
        KubeError("Internal error occurred: failed calling webhook"),
        Forbidden('User "driftd" cannot patch resource "deployments"'),
    ],
)
async def test_a_revision_is_not_bad_because_a_webhook_or_a_right_is_missing(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, error: KubeError
) -> None:
    """It comes in when that is over."""

    async def fails(*_: object, **__: object) -> None:
        raise error

    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:2")})
        with monkeypatch.context() as patched:
            patched.setattr(object_writer, "apply", fails)
            result = await world.watch(minutes=11)
        assert (result.state, result.hold) == ("seen", None)
        await world.watch(minutes=6)
        assert (await world.settle()).hold is None
        assert await world.image() == "shop/web:2"


async def test_what_is_refused_no_more_starts_the_deadline_anew(open_world: OpenWorld) -> None:
    """A commit that mends it is a revision of its own."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:2"), "refused.yaml": REFUSED})
        await world.watch(minutes=9)
        await world.commit({"refused.yaml": config_map("a-name", a="1")})
        await world.watch(minutes=2)
        assert (await world.settle()).hold is None
        assert await world.image() == "shop/web:2"
