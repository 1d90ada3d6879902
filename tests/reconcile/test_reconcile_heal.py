"""What a heal writes: the fields that were judged, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.diff.rules.ignore import IgnoreRule, IgnoreRuleSet
from driftd.model.command import CommandKind
from driftd.model.drift import Status
from driftd.model.errors import Conflict
from driftd.model.path import format_path
from driftd.model.plan import Mode, Outcome
from driftd.repair import object_writer
from tests.support.world import World, command, config_map, deployment, statuses
from tests.support.worlds import OpenWorld

HPA = {
    "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
    "spec": {"minReplicas": 1, "maxReplicas": 20,
             "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
}  # fmt: skip
SCALE = "/apis/apps/v1/namespaces/web/deployments/web/scale"


async def scale(world: World, replicas: int, manager: str) -> None:
    await world.request(
        "PATCH", f"{SCALE}?fieldManager={manager}", {"spec": {"replicas": replicas}}, "application/merge-patch+json"
    )


def fields(result: Any) -> set[str]:
    return {format_path(field.path) for verdict in result.report.verdicts for field in verdict.fields}


def ignoring(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """The configuration ignores a path, from the next restart on."""
    comparison = Comparison(Redactor(b"k" * 32), ignore_rules=IgnoreRuleSet((IgnoreRule(paths=(path,)),)))
    monkeypatch.setattr("tests.support.world.Comparison", lambda _: comparison)


async def test_a_healed_label_leaves_the_replicas_to_the_autoscaler(open_world: OpenWorld) -> None:
    """Git has 1, the autoscaler 15: whatever else of the Deployment is put back, the 15 stay, and are its own."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.request("POST", "/apis/autoscaling/v2/namespaces/web/horizontalpodautoscalers", HPA)
        await scale(world, 15, "kube-controller-manager")
        await world.edit("Deployment", {"metadata": {"labels": {"oops": "1"}}})
        image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "shop/web:hotfix"}]
        await world.request(
            "PATCH", "/apis/apps/v1/namespaces/web/deployments/web", image, "application/json-patch+json"
        )
        result = await world.run()
        assert result.report.in_sync
        live = await world.get("Deployment")
        assert live["spec"]["replicas"] == 15
        assert "labels" not in live["metadata"]
        assert await world.image() == "shop/web:1"
        owners = {
            e["manager"] for e in live["metadata"]["managedFields"] if "f:replicas" in e["fieldsV1"].get("f:spec", {})
        }
        assert owners == {"kube-controller-manager"}


@pytest.mark.parametrize("kind", [CommandKind.SYNC, CommandKind.ROLLBACK])
async def test_a_command_leaves_the_replicas_to_the_autoscaler_too(open_world: OpenWorld, kind: CommandKind) -> None:
    """Deploying another revision is no reason to scale."""
    async with open_world(mode=Mode.APPROVE) as world:
        await world.run(command(CommandKind.SYNC, "ann"))
        first = (await world.settle()).report.revision
        await world.request("POST", "/apis/autoscaling/v2/namespaces/web/horizontalpodautoscalers", HPA)
        await scale(world, 15, "kube-controller-manager")
        await world.commit({"deployment.yaml": deployment("shop/web:2")})
        await world.run(command(CommandKind.SYNC, "ann"))
        assert await world.image() == "shop/web:2"
        if kind is CommandKind.ROLLBACK:
            assert first is not None
            await world.run(command(kind, "ann", to=first.sha))
            assert await world.image() == "shop/web:1"
        assert (await world.get("Deployment"))["spec"]["replicas"] == 15


async def test_what_is_ignored_keeps_its_live_value_while_its_neighbour_is_healed(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ignore: data.threads`: somebody's 8 stays; a value of Git that changes later does not come in either."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"config.yaml": config_map(a="1", threads="2")})
        await world.settle()
        ignoring(monkeypatch, "data.threads")
        world.restart()
        await world.edit("ConfigMap", {"data": {"a": "2", "threads": "8"}})
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "1", "threads": "8"}
        await world.commit({"config.yaml": config_map(a="3", threads="4")})
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "3", "threads": "8"}


async def test_an_ignored_value_that_driftd_brought_is_not_given_up(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """driftd alone owns it, from the deployment: an apply without it would remove it."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"config.yaml": config_map(a="1", threads="2")})
        await world.settle()
        ignoring(monkeypatch, "data.threads")
        world.restart()
        await world.commit({"config.yaml": config_map(a="3", threads="4")})
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "3", "threads": "2"}


async def test_replicas_that_git_leaves_out_are_told_and_never_taken_out(open_world: OpenWorld) -> None:
    """Taken out, they would become 1: nobody has chosen that. The rest of the object is healed."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"deployment.yaml": deployment().replace("  replicas: 1\n", "")})
        await world.settle()
        await world.edit("Deployment", {"spec": {"replicas": 8}, "metadata": {"labels": {"oops": "1"}}})
        result = await world.run()
        assert fields(result) == {"spec.replicas"}
        assert (await world.get("Deployment"))["spec"]["replicas"] == 8
        world.requests.received.clear()
        for _ in range(3):
            assert statuses((await world.run()).report)["Deployment/web"] is Status.DRIFTED
        assert world.requests.writes == []


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        ({"spec": {"paused": True}}, "spec.paused"),
        ({"spec": {"revisionHistoryLimit": 3}}, "spec.revisionHistoryLimit"),
        ({"spec": {"progressDeadlineSeconds": 60}}, "spec.progressDeadlineSeconds"),
        ({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}},
         "spec.template.spec.terminationGracePeriodSeconds"),
    ],
)  # fmt: skip
async def test_what_would_fall_back_to_a_default_is_told_only(
    open_world: OpenWorld, edit: dict[str, Any], path: str
) -> None:
    """Git leaves it out, somebody has set it: what it would be without is not theirs, and not Git's."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("Deployment", edit)
        before = await world.get("Deployment")
        result = await world.run()
        assert fields(result) == {path}
        assert (await world.get("Deployment"))["spec"] == before["spec"]


@pytest.mark.parametrize(
    ("edit", "path", "left_to"),
    [
        ({"spec": {"revisionHistoryLimit": 3}}, "spec.revisionHistoryLimit",
         "the API server: taken out, it would be 10, which Git does not declare either"),
        ({"metadata": {"finalizers": ["example.com/keep"]}}, 'metadata.finalizers[=example.com/keep]',
         "its controllers: they clean up by it, and without it what they made would be left behind"),
        ({"spec": {"paused": True}}, "spec.paused", "people: Git does not say what it should be instead"),
    ],
)  # fmt: skip
async def test_whom_a_field_is_left_to_is_told_and_kept(
    open_world: OpenWorld, edit: dict[str, Any], path: str, left_to: str
) -> None:
    """In the first report of it, in the incident that opens, and in the store; a neighbour is healed all the same."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("Deployment", {**edit, "metadata": {**edit.get("metadata", {}), "labels": {"oops": "1"}}})
        await world.run()
        (incident,) = await world.store.open_incidents("web")
        stored = await world.store.last_report("web")
        assert stored is not None
        told = [field for verdict in incident.resources for field in verdict.fields]
        kept = [field for verdict in stored.drifted for field in verdict.fields]
        for fields_ in (told, kept):
            assert [(format_path(field.path), field.left_to) for field in fields_] == [(path, left_to)]


async def test_an_observed_app_leaves_nothing_to_anybody(observed: World) -> None:
    """There is nothing that driftd would repair."""
    world = observed
    await world.apply("Deployment", deployment())
    await world.apply("ConfigMap", config_map(a="1"))
    await world.edit("Deployment", {"spec": {"paused": True}})
    result = await world.run()
    assert [field.left_to for verdict in result.report.drifted for field in verdict.fields] == [None]


async def test_an_answer_that_a_removal_comes_back_costs_no_request_in_the_next_pass(open_world: OpenWorld) -> None:
    """It is asked once, and not again with every pass."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("Deployment", {"spec": {"revisionHistoryLimit": 3}})
        await world.run()
        world.requests.received.clear()
        await world.run()
        assert [request for request in world.requests.received if request[0] == "PATCH"] == []


@pytest.mark.parametrize("manager", ["controller", "capi-controller", "manager", "kubectl-edit"])
async def test_finalizers_and_owners_are_never_written(open_world: OpenWorld, manager: str) -> None:
    """Without them what a controller made would be left behind: whoever set them, they are told at most."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        uid = (await world.get("Deployment"))["metadata"]["uid"]
        links = {
            "finalizers": ["example.com/load-balancer"],
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid}],
        }
        await world.edit("ConfigMap", {"metadata": links, "data": {"a": "2"}}, manager=manager)
        await world.run()
        live = await world.get("ConfigMap")
        assert live["data"] == {"a": "1"}
        assert {key: live["metadata"][key] for key in links} == links


async def test_a_finalizer_that_git_declares_is_not_put_back(open_world: OpenWorld) -> None:
    """Its controller may just have done its work. It is told."""
    async with open_world(mode=Mode.HEAL) as world:
        text = config_map(a="1").replace("  name: web\n", "  name: web\n  finalizers: [example.com/keep]\n")
        await world.commit({"config.yaml": text})
        await world.settle()
        assert (await world.get("ConfigMap"))["metadata"]["finalizers"] == ["example.com/keep"]
        await world.edit("ConfigMap", {"metadata": {"labels": {"oops": "1"}}})
        await world.run()
        assert (await world.get("ConfigMap"))["metadata"]["finalizers"] == ["example.com/keep"], "not given up either"
        await world.edit("ConfigMap", {"metadata": {"finalizers": None}})
        assert statuses((await world.run()).report)["ConfigMap/web"] is Status.DRIFTED
        assert "finalizers" not in (await world.get("ConfigMap"))["metadata"]


async def test_an_object_that_is_being_deleted_is_not_written_to(open_world: OpenWorld) -> None:
    """Whoever deleted it decides; the edit is told."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"metadata": {"finalizers": ["example.com/keep"]}})
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.delete("ConfigMap")
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "2"}


async def test_nothing_is_written_into_a_namespace_that_is_being_deleted(open_world: OpenWorld) -> None:
    """Neither put back nor created."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "2"}, "metadata": {"finalizers": ["example.com/keep"]}})
        await world.request("DELETE", "/api/v1/namespaces/web")
        world.requests.received.clear()
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "2"}
        assert world.requests.writes == []


async def test_what_changes_between_the_judgement_and_the_write_is_judged_again(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second edit comes while the first is being healed: nothing is written that was not judged."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"config.yaml": config_map(a="1", b="1")})
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        apply, edits = object_writer.apply, iter([{"b": "5"}, {"a": "9"}])

        async def late(*arguments: Any, **options: Any) -> Any:
            if (data := next(edits, None)) is not None:
                await world.edit("ConfigMap", {"data": data}, manager="someone")
            return await apply(*arguments, **options)

        monkeypatch.setattr(object_writer, "apply", late)
        result = await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "9", "b": "5"}, "neither was in the plan"
        assert result.action is not None
        assert [applied.outcome for applied in result.action.applied] == [Outcome.UNCHANGED]
        world.clock.advance(seconds=5)
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "1", "b": "1"}


async def test_an_object_that_is_deleted_before_the_write_is_created_whole_or_not_at_all(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An apply of one field of an object that is gone would create one of only that field."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"config.yaml": config_map(a="1", b="1")})
        await world.apply("ConfigMap", config_map(a="1", b="1"), manager="flux")
        await world.run()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        apply, seen, deletions = object_writer.apply, list[Any](), iter([True])

        async def late(*arguments: Any, **options: Any) -> Any:
            if next(deletions, False):
                await world.delete("ConfigMap")
            answer = await apply(*arguments, **options)
            seen.append(answer["data"])
            return answer

        monkeypatch.setattr(object_writer, "apply", late)
        result = await world.run()
        assert result.action is not None
        assert [applied.outcome for applied in result.action.applied] == [Outcome.UNCHANGED]
        world.clock.advance(seconds=5)
        await world.run()
        assert seen == [{"a": "1", "b": "1"}]


async def test_what_an_autoscaler_sets_between_two_writes_is_not_taken_back(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicas were put back with the rest, and scaled before driftd had become their owner."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        by_hand = {"spec": {"replicas": 5, "template": {"spec": {"hostPID": True}}}}
        await world.edit("Deployment", by_hand)
        apply, late_writes = object_writer.apply, iter([True])

        async def late(*arguments: Any, **options: Any) -> Any:
            if next(late_writes, False):
                path = "/apis/apps/v1/namespaces/web/deployments/web/scale?fieldManager=horizontal-pod-autoscaler"
                await world.request("PATCH", path, {"spec": {"replicas": 9}}, "application/merge-patch+json")
            return await apply(*arguments, **options)

        monkeypatch.setattr(object_writer, "apply", late)
        await world.run()
        live = await world.get("Deployment")
        assert live["spec"]["replicas"] == 9
        assert "hostPID" not in live["spec"]["template"]["spec"]


async def test_what_is_put_right_is_no_failure_because_a_status_changes_again_and_again(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change of a rollout's status makes the version old by which driftd would become the owner of its fields."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("Deployment", {"spec": {"replicas": 5, "template": {"spec": {"hostPID": True}}}})

        async def late(*_: Any, **__: Any) -> Any:
            raise Conflict("the object has been modified")

        monkeypatch.setattr(object_writer, "apply", late)
        result = await world.run()
        assert result.action is not None
        assert [applied.outcome for applied in result.action.applied] == [Outcome.CONFIGURED]
        assert (await world.get("Deployment"))["spec"]["replicas"] == 1
