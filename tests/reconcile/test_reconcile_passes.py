"""Passes over one app on the sandbox: verdicts, writes and notifications."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
import yaml

from driftd.model.command import CommandKind
from driftd.model.drift import Status
from driftd.model.engine import Engine
from driftd.model.errors import DriftdError
from driftd.model.path import format_path
from driftd.model.plan import Mode, Outcome, Trigger
from tests.support.world import World, command, config_map, deployment, statuses
from tests.support.worlds import OpenWorld

CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.example.com
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {size: {type: integer}}}
"""
WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: web\nspec:\n  size: 3\n"


@pytest.mark.parametrize("engine", list(Engine))
async def test_an_observed_app_is_never_written_to(open_world: OpenWorld, engine: Engine) -> None:
    """Missing, in sync, drifted, removed from Git: not one request that could change something."""
    async with open_world(engine=engine) as world:
        first = await world.run()
        assert statuses(first.report) == {"Deployment/web": Status.MISSING, "ConfigMap/web": Status.MISSING}
        assert world.requests.writes == []
        world.restart(mode=Mode.HEAL)
        await world.settle()
        world.restart(mode=Mode.OBSERVE)
        world.requests.received.clear()
        assert (await world.run()).report.in_sync
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        world.requests.received.clear()
        assert statuses((await world.run()).report)["ConfigMap/web"] is Status.DRIFTED
        world.repository.remove("app/config.yaml")
        await world.commit({}, "Drop the configuration")
        assert statuses((await world.run()).report)["ConfigMap/web"] is Status.ORPHANED
        assert world.requests.writes == []
        assert world.requests.received


async def test_missing_objects_are_notified_as_drift_and_not_as_unhealthy_too(observed: World) -> None:
    """One cause, one notification."""
    await observed.run()
    assert set(await observed.incidents()) == {"drift"}


async def test_in_heal_mode_a_commit_is_deployed_silently_and_drift_is_healed_with_a_notification(
    open_world: OpenWorld,
) -> None:
    """A commit is no drift. An edit is: it is detected, healed and notified in one pass."""
    async with open_world(mode=Mode.HEAL) as world:
        deployed = await world.run()
        assert deployed.action is not None
        assert deployed.action.trigger is Trigger.SYNC
        assert {applied.outcome for applied in deployed.action.applied} == {Outcome.CREATED}
        await world.settle()
        assert await world.incident_events() == []

        await world.edit("ConfigMap", {"data": {"a": "2", "extra": "1"}, "metadata": {"labels": {"oops": "1"}}})
        healed = await world.run()
        assert healed.action is not None
        assert healed.action.trigger is Trigger.HEAL
        assert [str(applied.ref) for applied in healed.action.applied] == ["ConfigMap/web/web"]
        assert healed.report.in_sync
        live = await world.get("ConfigMap")
        assert live["data"] == {"a": "1"}
        assert "labels" not in live["metadata"]
        assert await world.incident_events() == ["drift opened", "drift resolved (healed)"]


async def test_an_object_in_sync_is_never_written(open_world: OpenWorld) -> None:
    """Not even an apply that would change nothing."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.requests.received.clear()
        await world.run()
        await world.delete("ConfigMap")
        result = await world.run()
        assert result.report.in_sync
        assert [w for w in world.requests.writes if "deployments" in w] == []


async def test_an_object_that_is_meant_to_stay_is_no_orphan(open_world: OpenWorld) -> None:
    """Its last manifest told its deployer to keep it when Git no longer declares it."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"kept.yaml": annotated("kept", "helm.sh/resource-policy: keep")})
        await world.settle()
        world.repository.remove("app/kept.yaml")
        await world.commit({}, "Stop declaring it")
        report = (await world.run()).report
        assert statuses(report)["ConfigMap/kept"] is Status.IGNORED
        assert report.in_sync
        assert await world.get("ConfigMap", "kept")


async def test_what_its_deployer_does_not_create_is_not_created(open_world: OpenWorld) -> None:
    """kapp waits for it, or does not touch it: it is missing, or need not be there."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({f"{name}.yaml": annotated(name, f'kapp.k14s.io/{name}: ""') for name in ("exists", "noop")})
        await world.run()
        report = (await world.run()).report
        assert statuses(report)["ConfigMap/exists"] is Status.MISSING
        assert statuses(report)["ConfigMap/noop"] is Status.IGNORED
        assert not [path for path in world.requests.writes if "exists" in path or "noop" in path]


def annotated(name: str, annotation: str) -> str:
    """A ConfigMap with an annotation."""
    return config_map(name, a="1").replace("metadata:", f"metadata:\n  annotations: {{{annotation}}}", 1)


async def test_an_object_that_git_does_not_declare_any_more_is_orphaned_until_it_is_gone(open_world: OpenWorld) -> None:
    """It is notified, and only a person deletes it."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.repository.remove("app/config.yaml")
        await world.commit({}, "Drop the configuration")
        result = await world.run()
        assert statuses(result.report)["ConfigMap/web"] is Status.ORPHANED
        assert await world.get("ConfigMap")
        assert await world.incident_events() == ["drift opened"]
        await world.delete("ConfigMap")
        assert (await world.run()).report.in_sync
        assert await world.incident_events() == ["drift opened", "drift resolved (deleted)"]


async def test_an_object_of_a_kind_that_is_not_served_is_missing_and_the_others_are_assessed(
    open_world: OpenWorld,
) -> None:
    """No such object can exist. Its sync fails with the reason, and is retried soon: its CRD may come yet."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"widget.yaml": WIDGET})
        result = await world.run()
        assert statuses(result.report) == {
            "Deployment/web": Status.IN_SYNC, "ConfigMap/web": Status.IN_SYNC, "Widget/web": Status.MISSING,
        }  # fmt: skip
        assert result.action is not None
        (failed,) = result.action.failed
        assert "example.com/v1" in str(failed.error)
        assert "Widget" in str(failed.error)
        assert not result.report.in_sync
        assert result.requeue_after is not None
        assert result.requeue_after.total_seconds() <= 30


async def test_a_custom_resource_is_applied_after_its_definition_in_the_same_app(open_world: OpenWorld) -> None:
    """In one pass, and without drift."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"a-widget.yaml": WIDGET, "crd.yaml": CRD})
        result = await world.run()
        assert result.action is not None
        assert result.action.failed == ()
        assert result.report.in_sync, statuses(result.report)
        widget = await world.request("GET", "/apis/example.com/v1/namespaces/web/widgets/web")
        assert widget["spec"] == {"size": 3}
        assert await world.incident_events() == []


async def test_a_definition_and_its_resource_are_missing_before_they_are_applied(observed: World) -> None:
    """Missing, not unknown: the app defines the kind itself."""
    await observed.commit({"widget.yaml": WIDGET, "crd.yaml": CRD})
    current = statuses((await observed.run()).report)
    assert current["Widget/web"] is Status.MISSING
    assert current["CustomResourceDefinition/widgets.example.com"] is Status.MISSING


async def test_an_object_that_may_not_be_read_is_unknown_and_the_others_are_assessed(open_world: OpenWorld) -> None:
    """Partial permissions: known drift is notified, the app is not in sync, and the reason is given."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.OBSERVE)
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        world.sandbox.faults.forbid("*", "deployments")
        result = await world.run()
        assert statuses(result.report) == {"Deployment/web": Status.UNKNOWN, "ConfigMap/web": Status.DRIFTED}
        (verdict,) = [v for v in result.report.verdicts if v.status is Status.UNKNOWN]
        assert "deployments" in str(verdict.error)
        assert "get" in str(verdict.error)
        world.sandbox.faults.clear()


async def test_the_server_engine_reports_missing_permissions(open_world: OpenWorld) -> None:
    """Without the right to patch it cannot dry-run: unknown, with the reason."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.OBSERVE, engine=Engine.SERVER)
        world.sandbox.faults.forbid("patch", "configmaps")
        (verdict,) = [v for v in (await world.run()).report.verdicts if v.status is Status.UNKNOWN]
        assert str(verdict.error).startswith("the server engine asks by dry-run, which takes the right to patch")


async def test_a_difference_is_drift_although_the_api_server_refuses_the_manifest(open_world: OpenWorld) -> None:
    """The label that Git declares is invalid: it is certainly not in the live object."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.OBSERVE, engine=Engine.SERVER)
        await world.commit({"config.yaml": config_map(a="1").replace("name: web", "name: web\n  labels: {a: 'no no'}")})
        (verdict,) = [v for v in (await world.run()).report.verdicts if v.ref.kind == "ConfigMap"]
        assert verdict.status is Status.DRIFTED
        assert [format_path(field.path) for field in verdict.fields] == ["metadata.labels"]


async def test_the_same_variable_twice_is_in_sync_although_an_apply_refuses_it(observed: World) -> None:
    """Every write but server-side apply accepts it: its refusal does not mean that something differs."""
    twice = deployment() + '          env: [{name: A, value: "1"}, {name: A, value: "2"}]\n'
    await observed.request("POST", "/apis/apps/v1/namespaces/web/deployments", yaml.safe_load(twice))
    observed.restart(engine=Engine.SERVER)
    await observed.commit({"deployment.yaml": twice})
    (verdict,) = [v for v in (await observed.run()).report.verdicts if v.ref.kind == "Deployment"]
    assert (verdict.status, verdict.error) == (Status.IN_SYNC, None)


async def test_a_forbidden_write_is_notified_and_the_rest_is_applied(open_world: OpenWorld) -> None:
    """A refusal concerns only its own object."""
    async with open_world(mode=Mode.HEAL) as world:
        world.sandbox.faults.forbid("patch", "deployments")
        result = await world.run()
        assert result.action is not None
        outcomes = {applied.ref.kind: applied.outcome for applied in result.action.applied}
        assert outcomes == {"Deployment": Outcome.FAILED, "ConfigMap": Outcome.CREATED}
        assert "cannot patch" in (await world.incidents())["sync_failed"]
        assert result.requeue_after is not None, "it is tried again"
        world.sandbox.faults.clear()
        world.clock.advance(seconds=5)
        assert (await world.run()).report.in_sync
        assert await world.incidents() == {}


async def test_a_sync_that_keeps_failing_is_retried_with_backoff(open_world: OpenWorld) -> None:
    """Also before it has ever succeeded; and the next commit does not wait for the backoff."""
    async with open_world(mode=Mode.HEAL) as world:
        world.sandbox.faults.forbid("patch", "deployments")
        await world.run()
        waits = []
        for _ in range(4):
            result = await world.run()
            assert result.action is None, "too early"
            assert result.requeue_after is not None
            waits.append(math.ceil(result.requeue_after.total_seconds()))
            world.clock.advance(seconds=waits[-1] + 1)
            assert (await world.run()).action is not None
        assert waits == [1, 2, 4, 8]
        await world.commit({"config.yaml": config_map(a="2")})
        assert (await world.run()).action is not None
        assert (await world.incident_events()).count("sync_failed opened") == 1
        world.sandbox.faults.clear()


async def test_an_api_server_that_is_down_makes_everything_unknown_and_resolves_no_incident(
    open_world: OpenWorld,
) -> None:
    """Nothing is in sync, and earlier drift may still exist."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.OBSERVE)
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.run()
        world.sandbox.faults.refusing = True
        for runner in (world.runner, world.restart()):
            result = await runner.run()
            assert set(statuses(result.report).values()) == {Status.UNKNOWN}
            assert not result.report.in_sync
            assert "sandbox" in str(result.report.verdicts[0].error)
        assert result.requeue_after is not None, "nothing else would tell when it is back"
        world.sandbox.faults.refusing = False
        assert set(await world.incidents()) == {"drift"}
        await world.edit("ConfigMap", {"data": {"a": "1"}})
        await world.run()
        assert await world.incident_events() == ["drift opened", "drift resolved (reverted)"]


async def test_manifests_that_do_not_parse_stop_every_write_of_the_app(open_world: OpenWorld) -> None:
    """The position of the error is notified; manifests that parse are compared, and nothing is healed."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.commit({"bad.yaml": "apiVersion: v1\nkind: [\n"})
        world.requests.received.clear()
        result = await world.run()
        assert "app/bad.yaml:" in str(result.report.error)
        assert not result.report.in_sync
        assert world.requests.writes == []
        assert (await world.get("ConfigMap"))["data"] == {"a": "2"}
        assert "app/bad.yaml:" in (await world.incidents())["source"]
        await world.commit({"bad.yaml": "# nothing\n"})
        assert (await world.run()).report.in_sync
        assert await world.incidents() == {}


async def test_a_path_that_does_not_exist_is_an_error_and_no_empty_app(open_world: OpenWorld) -> None:
    """The folder was moved: nothing is orphaned, nothing is written."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.repository.git("mv", "app", "apps")
        world.repository.commit("Move the folder")
        await world.source.fetch()
        world.requests.received.clear()
        result = await world.run()
        assert "app" in str(result.report.error)
        assert result.report.verdicts == ()
        assert not result.report.in_sync
        assert world.requests.writes == []


async def test_requests_to_a_busy_api_server_are_retried(open_world: OpenWorld) -> None:
    """429s cost time, not verdicts."""
    async with open_world(mode=Mode.HEAL) as world:
        world.sandbox.faults.throttle(retry_after=0, times=3)
        result = await world.run()
        assert result.report.in_sync
        assert result.action is not None
        assert result.action.failed == ()


async def test_heals_that_another_controller_undoes_are_retried_with_backoff(open_world: OpenWorld) -> None:
    """Between two heals it is notified as drift, with the time of the next one."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        heals = 0
        for _ in range(30):
            await world.edit("ConfigMap", {"data": {"a": "2"}}, manager="other-operator")
            result = await world.run()
            heals += result.action is not None
            if result.action is None:
                assert result.requeue_after is not None
                assert statuses(result.report)["ConfigMap/web"] is Status.DRIFTED
                assert "drift" in await world.incidents()
            world.clock.advance(seconds=2)
        assert 3 <= heals <= 7, "in a minute: at 0, 1, 3, 7, 15, 31 s"
        world.clock.advance(minutes=6)
        assert (await world.run()).report.in_sync


async def test_a_field_that_another_manager_owns_is_healed_by_force(open_world: OpenWorld) -> None:
    """Server-side apply by another manager causes a conflict; Git wins."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        path = "/api/v1/namespaces/web/configmaps/web?fieldManager=other&force=true"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"a": "theirs"}}
        await world.request("PATCH", path, body, "application/apply-patch+yaml")
        result = await world.run()
        assert result.report.in_sync
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}


async def test_an_app_in_approve_mode_is_synced_on_request(open_world: OpenWorld) -> None:
    """Without a request it is only reported."""
    async with open_world(mode=Mode.APPROVE) as world:
        assert (await world.run()).action is None
        assert world.requests.writes == []
        synced = await world.run(command(CommandKind.SYNC, "ann@laptop"))
        assert synced.report.in_sync
        assert synced.action is not None
        assert (synced.action.by, synced.action.trigger) == ("ann@laptop", Trigger.SYNC)
        assert await world.incident_events() == ["drift opened", "drift resolved (healed)"]


async def test_an_edit_at_the_time_of_an_unrelated_commit_is_drift(open_world: OpenWorld) -> None:
    """The commit did not change what the app declares: it cannot have caused the difference."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        world.repository.write({"README": "of no consequence"})
        await world.commit({}, "Touch something else")
        result = await world.run()
        assert result.action is not None
        assert result.action.trigger is Trigger.HEAL
        assert await world.incident_events() == ["drift opened", "drift resolved (healed)"]


async def test_an_impossible_request_fails_with_the_reason(open_world: OpenWorld) -> None:
    """And nothing is written."""
    async with open_world(mode=Mode.APPROVE) as world:
        with pytest.raises(DriftdError, match="app web has no good revision to go back to"):
            await world.run(command(CommandKind.ROLLBACK, "ann"))
        with pytest.raises(DriftdError, match="app web has no revision cafe in its history"):
            await world.run(command(CommandKind.ROLLBACK, "ann", to="cafe"))
        with pytest.raises(DriftdError, match="nothing to roll back"):
            await world.run(command(CommandKind.ROLLBACK, "ann", to=world.repository.head))
        world.sandbox.faults.refusing = True
        with pytest.raises(DriftdError, match="sandbox"):
            await world.restart().run(command(CommandKind.SYNC, "ann"))
        assert world.requests.writes == []


async def test_a_job_or_deployment_in_progress_is_not_unhealthy(open_world: OpenWorld) -> None:
    """A rollout in progress is not notified; one that takes longer than the deadline is."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:2-broken")})
        result = await world.run()
        assert {health.state for health in result.health if health.ref.kind == "Deployment"} == {"progressing"}
        assert await world.incidents() == {}
        result = await world.watch(minutes=11)
        assert result.state == "bad"
        assert "Deployment.apps/web/web" in (await world.incidents())["unhealthy"]


async def test_a_clock_that_is_set_back_holds_back_neither_heals_nor_news(open_world: OpenWorld) -> None:
    """What has to wait waits by a clock that nobody sets."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        for _ in range(3):
            await world.edit("ConfigMap", {"data": {"a": "2"}})
            await world.run()
        world.clock.set(hours=-5)
        world.clock.advance(seconds=5)
        assert (await world.run()).report.in_sync
        world.restart(mode=Mode.OBSERVE)
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.run()
        world.clock.set(hours=-5)
        await world.edit("Deployment", {"spec": {"replicas": 3}})
        held_back = await world.run()
        assert held_back.requeue_after is not None
        assert held_back.requeue_after <= timedelta(seconds=5.1)
        world.clock.advance(seconds=5)
        await world.run()
        assert (await world.incident_events())[-1] == "drift changed"


async def test_a_hook_is_neither_missing_nor_created(open_world: OpenWorld) -> None:
    """Healing ran it otherwise; the report names it, also from the store."""
    hook = (
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: clean-up\n  annotations: {helm.sh/hook: pre-delete}\n"
        "spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}\n"
    )
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"hook.yaml": hook})
        await world.settle()
        report = (await world.run()).report
        assert report.in_sync
        assert [(h.kind, h.name, h.when) for h in report.hooks] == [("Job", "clean-up", "pre-delete")]
        assert [write for write in world.requests.writes if "jobs" in write] == []
        stored = await world.store.last_report("web")
        assert stored is not None
        assert stored.hooks == report.hooks
