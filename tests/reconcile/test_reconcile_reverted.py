"""What the app's deployer puts back is recorded: who, what, how long, and who put it back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from driftd.model.errors import StoreError
from driftd.reconcile import controller
from driftd.store import HistoryKind
from tests.support.world import World, config_map, deployment, until
from tests.support.worlds import OpenWorld

ARGO = "argocd-controller"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: web\nstringData:\n  password: CANARY-in-git\n"


@pytest.fixture(autouse=True)
def _rare_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes within a third of a second are scanned together."""
    monkeypatch.setattr(controller, "_COALESCE_SECONDS", 0.3)


class Argo:
    """A deployer that server-side applies what Git declares."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.manifests = {"Deployment": deployment(), "ConfigMap": config_map(a="1", b="1"), "Secret": SECRET}

    async def deploys(self, *kinds: str, manager: str = ARGO) -> None:
        for kind in kinds:
            await self._world.apply(kind, self.manifests[kind], manager=manager, force=True)


@asynccontextmanager
async def deployed(open_world: OpenWorld, *kinds: str) -> AsyncIterator[tuple[World, Argo]]:
    """A world whose app Argo CD has deployed, with a daemon that has seen that."""
    async with open_world() as world:
        argo = Argo(world)
        files = {"config.yaml": argo.manifests["ConfigMap"], **({"secret.yaml": SECRET} if "Secret" in kinds else {})}
        await world.commit(files, "Configure web")
        await argo.deploys("Deployment", "ConfigMap", *kinds)
        async with world.engine() as engine:
            await until(lambda: "web" in engine.results and engine.results["web"].report.in_sync, "a first pass")
            await asyncio.sleep(1.5 - time.time() % 1)  # the rollout's own writes; in another second than they
            yield world, argo


async def reverted(world: World) -> list[dict[str, Any]]:
    """The edits that the history has, oldest first."""
    entries = [one for one in await world.store.history("web", 500) if one.kind is HistoryKind.REVERTED]
    return [edit for entry in reversed(entries) for edit in entry.details["resources"]]


async def an_edit(world: World, number: int = 1) -> dict[str, Any]:
    """The only edits that are recorded; the last of so many."""

    async def enough() -> bool:
        return len(await reverted(world)) >= number

    await until(enough, "an edit in the history")
    edits = await reverted(world)
    assert len(edits) == number, edits
    return edits[-1]


async def nothing_is_recorded(world: World) -> None:
    await asyncio.sleep(1.5)
    assert await reverted(world) == []


async def test_an_edit_that_is_put_back_at_once_is_recorded(open_world: OpenWorld) -> None:
    """Object, field, both values, whose hand, the line of Git, how long, and who put it back; nobody is messaged."""
    async with deployed(open_world) as (world, argo):
        await world.edit("ConfigMap", {"data": {"a": "2"}}, manager="kubectl-edit")
        await argo.deploys("ConfigMap")
        edit = await an_edit(world)
        [field] = edit["fields"]
        assert (edit["kind"], edit["namespace"], edit["name"], edit["status"]) == ("ConfigMap", "web", "web", "drifted")
        assert (field["path"], field["desired"], field["live"]) == ("data.a", "1", "2")
        assert field["by"]["manager"] == "kubectl-edit"
        assert (field["git"]["file"], field["git"]["line"], field["git"]["subject"]) == (
            "app/config.yaml", 6, "Deploy web",
        )  # fmt: skip
        assert edit["put_back_by"]["manager"] == ARGO
        assert 0 <= edit["seconds"] < 1
        assert await world.incident_events() == []


async def test_an_edit_of_a_workload_is_recorded_beside_its_status_updates(open_world: OpenWorld) -> None:
    """The status changes with the spec, several times, and says nothing."""
    async with deployed(open_world) as (world, argo):
        image = [{"name": "web", "image": "shop/web:hot"}]
        await world.edit("Deployment", {"spec": {"template": {"spec": {"containers": image}}}}, manager="kubectl-set")
        await asyncio.sleep(0.05)
        await argo.deploys("Deployment")
        edit = await an_edit(world)
        [field] = edit["fields"]
        assert field["path"] == "spec.template.spec.containers[name=web].image"
        assert (field["live"], field["by"]["manager"], edit["put_back_by"]["manager"]) == (
            "shop/web:hot", "kubectl-set", ARGO,
        )  # fmt: skip


async def test_several_edits_of_an_object_are_recorded_each_with_its_hand(open_world: OpenWorld) -> None:
    """What was added and what was changed, by two people, until one write puts back both."""
    async with deployed(open_world) as (world, argo):
        await world.edit("ConfigMap", {"data": {"a": "2"}}, manager="kubectl-edit")
        await world.edit("ConfigMap", {"data": {"a": "3"}}, manager="kubectl-patch")
        await argo.deploys("ConfigMap")
        await an_edit(world, 2)
        edits = [(f["live"], f["by"]["manager"]) for edit in await reverted(world) for f in edit["fields"]]
        assert edits == [("2", "kubectl-edit"), ("3", "kubectl-patch")]


async def test_what_is_not_put_back_is_drift_as_ever(open_world: OpenWorld) -> None:
    """The deployer takes back what it declares; a key that somebody added stays, and is told as drift once."""
    async with deployed(open_world) as (world, argo):
        await world.edit("ConfigMap", {"data": {"a": "2", "more": "x"}})
        await argo.deploys("ConfigMap")
        edit = await an_edit(world)
        assert [field["path"] for field in edit["fields"]] == ["data.a"]
        await until(world.incidents, "the message")
        [incident] = await world.store.open_incidents("web")
        assert [str(f.path[-1]) for one in incident.resources for f in one.fields] == ["more"]


async def test_drift_that_a_pass_has_seen_is_not_recorded_again(open_world: OpenWorld) -> None:
    """It has an incident."""
    async with deployed(open_world) as (world, argo):
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await until(world.incidents, "the message")
        await argo.deploys("ConfigMap")
        await until(lambda: _no_incident(world), "the end")
        await nothing_is_recorded(world)
        assert await world.incident_events() == ["drift opened", "drift resolved (reverted)"]
        [incident] = await world.store.incidents(app="web")
        assert [(one.verdict.fields[0].live, one.by) for one in incident.ended] == [("2", ARGO)]


async def _no_incident(world: World) -> bool:
    return not await world.incidents()


async def test_a_deployment_of_something_else_and_back_is_nobodys_hand(open_world: OpenWorld) -> None:
    """Argo CD brings a commit that driftd does not know yet, which is rolled back at once."""
    async with deployed(open_world) as (world, argo):
        argo.manifests["ConfigMap"] = config_map(a="2", b="1")
        await argo.deploys("ConfigMap")
        argo.manifests["ConfigMap"] = config_map(a="1", b="1")
        await argo.deploys("ConfigMap")
        await nothing_is_recorded(world)


@pytest.mark.parametrize("manager", ["driftd", "kube-controller-manager", "kustomize-controller", "helm"])
async def test_programs_are_no_hands(open_world: OpenWorld, manager: str) -> None:
    """Whatever they do to what Git declares, and whoever undoes it."""
    async with deployed(open_world) as (world, argo):
        await world.edit("ConfigMap", {"data": {"a": "2"}}, manager=manager)
        await argo.deploys("ConfigMap")
        await nothing_is_recorded(world)


async def test_a_program_that_undoes_its_own_work_is_no_hand(open_world: OpenWorld) -> None:
    """An operator that nobody has put into a table stops something for a moment."""
    async with deployed(open_world) as (world, _):
        await world.edit("ConfigMap", {"data": {"a": "2"}}, manager="shop-operator-v2")
        await world.edit("ConfigMap", {"data": {"a": "1"}}, manager="shop-operator-v2")
        await nothing_is_recorded(world)


async def test_a_pipeline_that_deploys_with_kubectl_is_no_hand(open_world: OpenWorld) -> None:
    """It deploys this object: its name alone would not tell."""
    async with open_world() as world:
        await world.request("POST", "/apis/apps/v1/namespaces/web/deployments?fieldManager=kubectl-create", {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "shop/web:1"}]},
            }},
        })  # fmt: skip
        await world.apply("ConfigMap", config_map(a="1"), manager=ARGO)
        async with world.engine() as engine:
            await until(lambda: "web" in engine.results and engine.results["web"].report.in_sync, "a first pass")
            await asyncio.sleep(0.5)
            await world.edit("Deployment", {"spec": {"replicas": 2}}, manager="kubectl-create")
            await world.edit("Deployment", {"spec": {"replicas": 1}}, manager="kubectl-create")
            await nothing_is_recorded(world)


async def test_a_secret_shows_as_hashes(open_world: OpenWorld) -> None:
    """Neither value is in the history."""
    async with deployed(open_world, "Secret") as (world, argo):
        await world.edit("Secret", {"stringData": {"password": "CANARY-by-hand"}})
        await argo.deploys("Secret")
        edit = await an_edit(world)
        [field] = edit["fields"]
        assert field["path"] == "data.password"
        assert field["desired"].startswith("<redacted:")
        assert field["live"].startswith("<redacted:")
        assert field["live"] != field["desired"]
        assert "CANARY" not in str(edit)


async def test_a_deletion_that_is_made_good_at_once_is_recorded(open_world: OpenWorld) -> None:
    """Nothing but the audit log knows who deleted it."""
    async with deployed(open_world) as (world, argo):
        await world.delete("ConfigMap")
        await argo.deploys("ConfigMap")
        edit = await an_edit(world)
        assert (edit["status"], edit["fields"], edit.get("by")) == ("missing", [], None)
        assert edit["put_back_by"]["manager"] == ARGO


async def test_who_deletes_and_creates_an_object_may_replace_it(open_world: OpenWorld) -> None:
    """A tool of people that deploys: it may be one command."""
    async with deployed(open_world) as (world, argo):
        await world.delete("ConfigMap")
        await argo.deploys("ConfigMap", manager="kubectl")
        await nothing_is_recorded(world)


async def test_a_hand_that_puts_back_its_own_edit_is_named_for_both(open_world: OpenWorld) -> None:
    """`kubectl rollout undo`, or a second thought."""
    async with deployed(open_world) as (world, _):
        await world.edit("ConfigMap", {"data": {"a": "2"}}, manager="kubectl-edit")
        await world.edit("ConfigMap", {"data": {"a": "1"}}, manager="kubectl-patch")
        edit = await an_edit(world)
        assert (edit["fields"][0]["by"]["manager"], edit["put_back_by"]["manager"]) == ("kubectl-edit", "kubectl-patch")


async def test_a_removal_is_recorded_without_a_name(open_world: OpenWorld) -> None:
    """A removed field leaves no owner, and an edit that only removes leaves no entry either."""
    async with deployed(open_world) as (world, argo):
        await world.edit("ConfigMap", {"data": {"a": None}}, manager="kubectl-edit")
        await argo.deploys("ConfigMap")
        edit = await an_edit(world)
        [field] = edit["fields"]
        assert (field["path"], field["change"], field["desired"], field["by"]) == ("data.a", "removed", "1", None)
        assert edit["put_back_by"]["manager"] == ARGO


async def test_what_a_relist_jumps_over_is_not_told(open_world: OpenWorld) -> None:
    """The watch was broken, and a list shows the end of it: what lay in between is not known."""
    async with deployed(open_world) as (world, argo):
        world.sandbox.faults.fail(times=3, verb="watch", resource="configmaps")
        world.sandbox.faults.drop_watches()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await argo.deploys("ConfigMap")
        world.sandbox.compact()
        await nothing_is_recorded(world)


async def test_an_edit_is_recorded_once_if_its_pass_fails(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store refuses a write after it has recorded the edit."""
    async with deployed(open_world) as (world, argo):
        record = world.store.record_reverted
        refused = 0

        async def refuse_once(*args: Any, **named: Any) -> int:
            nonlocal refused
            count = await record(*args, **named)
            refused += 1
            if refused == 1:
                raise StoreError("the disk is full")
            return count

        monkeypatch.setattr(world.store, "record_reverted", refuse_once)
        monkeypatch.setattr(controller, "_MIN_RETRY_SECONDS", 0.2)
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await argo.deploys("ConfigMap")
        await until(lambda: refused >= 2, "a second attempt")
        await an_edit(world)


async def test_the_end_of_drift_names_its_manager_beside_what_controllers_note(open_world: OpenWorld) -> None:
    """A workload that is put back is rolled out: its controller writes too, and has ended nothing."""
    async with deployed(open_world) as (world, argo):
        image = [{"name": "web", "image": "shop/web:hot"}]
        await world.edit("Deployment", {"spec": {"template": {"spec": {"containers": image}}}}, manager="kubectl-set")
        await until(world.incidents, "the message")
        await argo.deploys("Deployment")
        await until(lambda: _no_incident(world), "the end")
        ended = [one for incident in await world.store.incidents(app="web") for one in incident.ended]
        images = [one for one in ended if any(str(f.path[-1]) == "image" and not f.of_pods for f in one.verdict.fields)]
        assert {one.by for one in images} == {ARGO}
