"""An app that something else deploys (`deploys: false`): what hands did is put back, and commits are left alone."""

from __future__ import annotations

import pytest

from driftd.model.command import CommandKind
from driftd.model.drift import Status, Verdict
from driftd.model.errors import DriftdError
from driftd.model.path import format_path
from driftd.model.plan import Hold, Mode, Outcome, Trigger
from driftd.reconcile.result import PassResult
from tests.support.world import World, command, config_map, deployment, statuses
from tests.support.worlds import OpenWorld


async def deploy(world: World, *, image: str = "shop/web:1", **data: str) -> None:
    """Rolls a revision out, as a pipeline does."""
    await world.apply("Deployment", deployment(image), force=True)
    await world.apply("ConfigMap", config_map(**data or {"a": "1"}), force=True)


def left(result: PassResult) -> dict[str, str | None]:
    """Whom each field that differs is left to."""
    return {format_path(one.path): one.left_to for verdict in result.report.drifted for one in verdict.fields}


def of(result: PassResult, kind: str, name: str = "web") -> Verdict:
    return next(v for v in result.report.verdicts if (v.ref.kind, v.ref.name) == (kind, name))


async def test_a_commit_is_left_to_whoever_deploys_it(open_world: OpenWorld) -> None:
    """Nothing of it is written, however often it is looked at: it is lag, and says whom it is left to."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await deploy(world)
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:2"), "new.yaml": config_map("new", a="1")})
        world.requests.received.clear()
        for _ in range(3):
            result = await world.run()
        assert world.requests.writes == []
        assert await world.image() == "shop/web:1"
        assert statuses(result.report)["ConfigMap/new"] is Status.MISSING
        image = "spec.template.spec.containers[name=web].image"
        assert left(result) == {image: "the app's deployer: Git has moved on"}
        assert of(result, "ConfigMap", "new").left_to == "the app's deployer: Git has moved on"
        assert result.state == "seen"

        await deploy(world, image="shop/web:2")
        await world.apply("ConfigMap", config_map("new", a="1"), name="new")
        assert (await world.settle()).report.in_sync
        assert "drift resolved (deployed)" in await world.incident_events()


async def test_what_a_hand_did_is_put_back_while_a_commit_waits_to_be_deployed(open_world: OpenWorld) -> None:
    """Another object, another field of the same object, and an object that was deleted."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await world.commit({"config.yaml": config_map(a="1", b="1"), "other.yaml": config_map("other", a="1")})
        await deploy(world, a="1", b="1")
        await world.apply("ConfigMap", config_map("other", a="1"), name="other")
        await world.settle()
        await world.commit({"config.yaml": config_map(a="2", b="1"), "deployment.yaml": deployment("shop/web:2")})
        await world.edit("ConfigMap", {"data": {"b": "by-hand", "c": "by-hand"}})
        await world.edit("Deployment", {"spec": {"replicas": 3}})
        await world.delete("ConfigMap", "other")
        result = await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "1", "b": "1"}
        assert (await world.get("ConfigMap", "other"))["data"] == {"a": "1"}
        assert (await world.get("Deployment"))["spec"]["replicas"] == 1
        assert await world.image() == "shop/web:1"
        assert result.action is not None
        assert result.action.trigger is Trigger.HEAL
        assert set(left(result)) == {"data.a", "spec.template.spec.containers[name=web].image"}
        assert result.state == "seen", "what a heal wrote is no rollout"
        healed = [one for one in await world.incident_events() if "healed" in one or "mixed" in one]
        assert healed, "whatever was healed is told"


async def test_what_driftd_put_back_is_lag_once_git_moves_on(open_world: OpenWorld) -> None:
    """Its own value is what Git declared then: nobody's hand, and not its to bring forward."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await deploy(world)
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        assert (await world.run()).report.in_sync
        await world.commit({"config.yaml": config_map(a="2")})
        result = await world.run()
        assert left(result) == {"data.a": "the app's deployer: Git has moved on"}
        assert of(result, "ConfigMap").behind is not None
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}


async def test_a_field_that_both_a_hand_and_a_commit_have_changed_is_left(open_world: OpenWorld) -> None:
    """Git's new value was not deployed by anybody, its old one is not what Git says any more: the deployer's next
    rollout decides."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await deploy(world)
        await world.settle()
        await world.commit({"config.yaml": config_map(a="2")})
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        result = await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "by-hand"}
        assert "it has not been seen deployed" in str(left(result)["data.a"])
        await deploy(world, a="2")
        await world.run()
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "2"}


async def test_an_object_that_a_hand_deleted_and_a_commit_has_changed_is_left(open_world: OpenWorld) -> None:
    """To create it would be to deploy the commit."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await deploy(world)
        await world.settle()
        await world.commit({"config.yaml": config_map(a="2")})
        await world.delete("ConfigMap")
        result = await world.run()
        assert result.action is None
        assert of(result, "ConfigMap").left_to is not None


async def test_an_app_that_nobody_has_deployed_yet_is_not_deployed(open_world: OpenWorld) -> None:
    """Not a single object of it, nor while its deployer is half way through."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        assert (await world.run()).action is None
        await world.apply("ConfigMap", config_map(a="1"))
        result = await world.run()
        assert result.action is None
        assert statuses(result.report) == {"ConfigMap/web": Status.IN_SYNC, "Deployment/web": Status.MISSING}


async def test_what_the_deployer_is_ahead_of_driftd_with_is_left(open_world: OpenWorld) -> None:
    """It knows of a commit that driftd has not fetched: it is fetched before anything is taken for a hand's."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await world.commit({"other.yaml": config_map("other", a="1")})
        await deploy(world)
        await world.apply("ConfigMap", config_map("other", a="1"), name="other")
        await world.settle()
        world.repository.remove("app/other.yaml")
        world.repository.write({"app/deployment.yaml": deployment("shop/web:2")}).commit("Two")
        await deploy(world, image="shop/web:2")
        await world.delete("ConfigMap", "other")
        world.requests.received.clear()
        result = await world.run()
        assert world.requests.writes == []
        assert result.report.in_sync
        assert result.report.revision is not None
        assert result.report.revision.subject == "Two"


async def test_what_the_deployer_itself_has_set_is_left_while_git_does_not_say_so(open_world: OpenWorld) -> None:
    """Another branch, a parameter of the pipeline: whatever it is, it is its doing, and no hand's."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await deploy(world)
        await world.settle()
        await deploy(world, image="shop/web:from-a-branch")
        result = await world.run()
        assert await world.image() == "shop/web:from-a-branch"
        assert set(left(result).values()) == {"the app's deployer, which has set it"}


async def test_a_revision_that_its_deployer_took_back_is_not_brought_in_again(open_world: OpenWorld) -> None:
    """Git still has the new one; then a hand changes the same field."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await deploy(world)
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:2")})
        await deploy(world, image="shop/web:2")
        await world.settle()
        await deploy(world, image="shop/web:1")
        await world.run()
        assert await world.image() == "shop/web:1"
        image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "shop/web:hotfix"}]
        path = "/apis/apps/v1/namespaces/web/deployments/web?fieldManager=kubectl-edit"
        await world.request("PATCH", path, image, "application/json-patch+json")
        await world.run()
        assert await world.image() == "shop/web:hotfix"


async def test_a_hands_edit_from_before_driftd_came_is_put_back_if_git_never_had_another_value(
    open_world: OpenWorld,
) -> None:
    """Whichever revision is deployed, it declares the same; what Git has changed meanwhile is left."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await world.commit({"config.yaml": config_map(a="1", b="1")})
        await world.commit({"config.yaml": config_map(a="2", b="1")})
        await deploy(world, a="2", b="1")
        await world.edit("ConfigMap", {"data": {"a": "by-hand", "b": "1"}})
        await world.edit("Deployment", {"spec": {"replicas": 4}})
        result = await world.run()
        assert (await world.get("Deployment"))["spec"]["replicas"] == 1
        assert (await world.get("ConfigMap"))["data"] == {"a": "by-hand", "b": "1"}
        assert set(left(result)) == {"data.a"}


async def test_nothing_is_taken_for_a_hands_while_git_cannot_be_reached(open_world: OpenWorld) -> None:
    """The deployer may know of a revision that driftd does not. Once Git answers, the edit is put back."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await deploy(world)
        await world.settle()
        elsewhere = world.folder / "elsewhere"
        world.repository.folder.rename(elsewhere)
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        result = await world.run()
        assert "Git cannot be reached" in str(of(result, "ConfigMap").left_to)
        assert (await world.get("ConfigMap"))["data"] == {"a": "by-hand"}
        elsewhere.rename(world.repository.folder)
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}


async def test_a_person_syncs_the_hands_and_rolls_nothing_back(open_world: OpenWorld) -> None:
    """`driftd sync` keeps to the same, and `driftd rollback` says who rolls back."""
    async with open_world(mode=Mode.APPROVE, deploys=False) as world:
        await deploy(world)
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:2")})
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        result = await world.run(command(CommandKind.SYNC, "ann"))
        assert result.action is not None
        assert [(one.ref.kind, one.outcome) for one in result.action.applied] == [("ConfigMap", Outcome.CONFIGURED)]
        assert await world.image() == "shop/web:1"
        with pytest.raises(DriftdError, match="its deployer rolls it back"):
            await world.run(command(CommandKind.ROLLBACK, "ann"))


async def test_a_hold_ends_when_the_app_is_no_longer_driftds_to_deploy(open_world: OpenWorld) -> None:
    """Else driftd would hold the app back from what its deployer rolls out."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        good = world.repository.head
        bad = await world.commit({"deployment.yaml": deployment("shop/web:2")})
        record = (await world.run()).report.revision
        assert record is not None
        stored = await world.store.revision("web", bad)
        assert stored is not None
        await world.store.set_hold(Hold("web", good, bad, stored.digest, "not healthy", "driftd", world.clock()))
        world.restart(deploys=False)
        result = await world.run()
        assert result.hold is None
        assert result.action is None
        assert await world.image() == "shop/web:2"


async def test_a_restart_forgets_nothing_of_what_is_deployed(open_world: OpenWorld) -> None:
    """The edit is put back by the next process, and what a commit brings is not brought."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await world.commit({"config.yaml": config_map(a="2")})
        await deploy(world, a="2")
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        await world.commit({"deployment.yaml": deployment("shop/web:2")})
        world.restart()
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "2"}
        assert await world.image() == "shop/web:1"


async def test_what_was_healed_leads_to_no_request_in_the_next_pass(open_world: OpenWorld) -> None:
    """A lag that lasts costs neither Git nor the API server anything."""
    async with open_world(mode=Mode.HEAL, deploys=False) as world:
        await deploy(world)
        await world.settle()
        await world.commit({"config.yaml": config_map(a="2")})
        await world.run()
        fetched = world.source.last_attempt
        await world.run()
        assert world.source.last_attempt == fetched
