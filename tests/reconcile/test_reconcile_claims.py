"""An object that another GitOps deployer keeps is left to it, unless driftd is to take it over."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.model.claim import Claim
from driftd.model.command import CommandKind
from driftd.model.drift import Status, Verdict
from driftd.model.errors import DriftdError, StoreError
from driftd.model.operation import Operation
from driftd.model.plan import Mode, Outcome, RollbackMode
from driftd.model.report import Report
from driftd.store import HistoryKind
from tests.support.world import World, command, config_map, deployment, statuses
from tests.support.worlds import OpenWorld

ARGO = Claim("Argo CD", "application argocd/web")
LEFT = f"{ARGO}: set takeOver: true to let driftd deploy it"


async def argo_syncs(world: World, *, image: str = "shop/web:1", **data: str) -> None:
    """What Argo CD applies server-side: the manifests with its annotation."""
    for kind, text in (("Deployment", deployment(image)), ("ConfigMap", config_map(**data or {"a": "1"}))):
        mark = f'  annotations: {{argocd.argoproj.io/tracking-id: "argocd_web:/{kind}:web/web"}}\n'
        body = text.replace("metadata:\n  name", f"metadata:\n{mark}  name", 1)
        await world.apply(kind, body, manager="argocd-controller", force=True)


def left_to(report: Report) -> dict[str, str | None]:
    return {f"{one.ref.kind}/{one.ref.name}": one.left_to for one in report.drifted}


def managers(body: Any) -> set[tuple[str, str]]:
    entries = body["metadata"]["managedFields"]
    return {(one["manager"], one["operation"]) for one in entries if not one.get("subresource")}


def annotations(body: Any) -> dict[str, str]:
    return dict(body["metadata"].get("annotations") or {})


async def operations(world: World) -> list[Operation]:
    return list(await world.store.operations(app="web"))


@pytest.mark.parametrize("mode", [Mode.HEAL, Mode.APPROVE])
async def test_what_argo_cd_keeps_is_not_written(open_world: OpenWorld, mode: Mode) -> None:
    """Neither a hand's edit nor a commit, by itself or for a person; it is said whom it is left to. Nothing failed."""
    async with open_world(mode=mode) as world:
        await argo_syncs(world)
        await world.commit({"deployment.yaml": deployment("shop/web:2")})
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        world.requests.received.clear()
        result = await world.run(command(CommandKind.SYNC, "ann") if mode is Mode.APPROVE else None)
        assert world.requests.writes == []
        assert result.action is None
        assert left_to(result.report) == {"ConfigMap/web": LEFT, "Deployment/web": LEFT}
        assert result.state == "seen", "it is for Argo CD to bring the revision in"
        assert set(await world.incidents()) == {"drift"}
        await argo_syncs(world, image="shop/web:2")
        assert (await world.settle()).report.in_sync
        assert "drift resolved (healed)" not in await world.incident_events()


async def test_a_missing_object_is_left_where_another_keeps_the_rest(open_world: OpenWorld) -> None:
    """It has no marks; but Argo CD may be about to create it, or have pruned it. Alone, driftd creates it."""
    async with open_world(mode=Mode.HEAL) as world:
        await argo_syncs(world)
        await world.delete("ConfigMap")
        result = await world.run()
        assert result.action is None
        rest = f"{ARGO}, which keeps the rest of the app: set takeOver: true to let driftd deploy it"
        assert left_to(result.report) == {"ConfigMap/web": rest}
        await world.delete("Deployment")
        result = await world.run()
        assert result.action is not None
        assert {one.outcome for one in result.action.applied} == {Outcome.CREATED}


async def test_it_is_taken_over_at_the_first_write(open_world: OpenWorld) -> None:
    """Marks and managers go in one patch with what is put right; and what leaves Git afterwards leaves the object."""
    async with open_world(mode=Mode.HEAL, take_over=True) as world:
        await argo_syncs(world, a="1", b="1")
        await world.commit({"config.yaml": config_map(a="1", b="1")})
        assert (await world.settle()).report.in_sync
        assert annotations(await world.get("ConfigMap")), "nothing has been written yet"
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        result = await world.run()
        assert result.action is not None
        assert [(one.outcome, one.taken_from) for one in result.action.applied] == [(Outcome.CONFIGURED, ARGO)]
        config = await world.get("ConfigMap")
        assert config["data"] == {"a": "1", "b": "1"}
        assert annotations(config) == {}
        assert {name for name, _ in managers(config)} == {"driftd"}
        assert result.report.in_sync
        assert annotations(await world.get("Deployment")), "what does not differ stays as it is"

        await world.commit({"config.yaml": config_map(a="1")})
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}
        assert await world.incidents() == {}


async def test_a_takeover_is_told(open_world: OpenWorld) -> None:
    """In the history and in the messages, also where it is a commit that is brought in."""
    async with open_world(mode=Mode.HEAL, take_over=True) as world:
        await argo_syncs(world)
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:2")})
        await world.run()
        [one] = await operations(world)
        assert one.taken_from == ARGO
        entries = await world.store.history("web", 50)
        [action] = [entry.summary for entry in entries if entry.kind is HistoryKind.ACTION]
        assert f"1 of them taken over from {ARGO}" in action
        assert "drift resolved (deployed)" in await world.incident_events()
        [incident] = [one for one in await world.store.incidents(app="web") if one.ended]
        assert [one.taken_from for one in incident.ended] == [ARGO]


async def test_a_deployer_that_comes_back_is_not_fought_with(open_world: OpenWorld) -> None:
    """driftd stops at once, also with what it has not taken yet, and says so; a person may take it over anew."""
    async with open_world(mode=Mode.HEAL, take_over=True) as world:
        await argo_syncs(world)
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        await world.run()
        await argo_syncs(world, a="argo's")
        await world.edit("Deployment", {"spec": {"replicas": 3}})
        world.requests.received.clear()
        result = await world.run()
        assert world.requests.writes == []
        again = f"{ARGO}: it deploys it again since driftd took it over"
        assert left_to(result.report) == {"ConfigMap/web": again, "Deployment/web": again}
        assert f"{ARGO} deploys it again since driftd took it over" in (await world.incidents())["conflict"]
        world.restart()
        await world.run()
        assert world.requests.writes == [], "it is not forgotten"

        result = await world.run(command(CommandKind.SYNC, "ann"))
        assert result.report.in_sync
        assert "conflict" not in await world.incidents()
        await argo_syncs(world, a="argo's")
        world.requests.received.clear()
        await world.run()
        assert world.requests.writes == []


async def test_once_its_marks_are_gone_driftd_goes_on(open_world: OpenWorld) -> None:
    """The Application is deleted without its resources: driftd puts right what it left."""
    async with open_world(mode=Mode.HEAL, take_over=True) as world:
        await argo_syncs(world)
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        await world.run()
        await argo_syncs(world, a="argo's")
        assert (await world.run()).action is None
        body = await world.get("ConfigMap")
        body["metadata"] |= {"annotations": {}, "managedFields": [{}]}
        await world.request("PUT", "/api/v1/namespaces/web/configmaps/web?fieldManager=kubectl-edit", body)
        assert (await world.run()).report.in_sync
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}


async def test_a_deployer_that_comes_between_the_judgement_and_the_write_is_left_its_object(
    open_world: OpenWorld,
) -> None:
    """It is read again before it is written: no longer nobody's, it is not driftd's to write."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        original = world.store.record_plan

        async def record_plan(planned: Any) -> None:
            await original(planned)
            await argo_syncs(world, a="argo's")

        world.store.record_plan = record_plan  # type: ignore[method-assign]
        result = await world.run()
        assert result.action is not None
        assert [one.outcome for one in result.action.applied] == [Outcome.UNCHANGED]
        assert (await world.get("ConfigMap"))["data"] == {"a": "argo's"}
        assert set(left_to(result.report).values()) == {LEFT}
        assert "drift resolved (healed)" not in await world.incident_events()


async def test_an_app_that_another_keeps_is_not_rolled_back(open_world: OpenWorld) -> None:
    """By a person: refused with the reason, and no hold is left behind."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        good = world.repository.head
        await world.commit({"deployment.yaml": deployment("shop/web:2")})
        await world.settle()
        await argo_syncs(world, image="shop/web:2")
        with pytest.raises(DriftdError, match=r"not rolled back: .* is left to Argo CD \(application argocd/web\)"):
            await world.run(command(CommandKind.ROLLBACK, "ann", to=good))
        assert await world.store.hold("web") is None
        assert await world.image() == "shop/web:2"


async def test_a_bad_revision_of_what_another_keeps_is_not_rolled_back(open_world: OpenWorld) -> None:
    """With `rollback: auto`, people are told that it is bad, and whose it is to take back."""
    async with open_world(mode=Mode.HEAL, rollback=RollbackMode.AUTO) as world:
        await argo_syncs(world)
        await world.settle()
        await world.commit({"deployment.yaml": deployment("shop/web:broken")})
        await argo_syncs(world, image="shop/web:broken")
        await world.run()
        result = await world.watch(minutes=11)
        assert result.state == "bad"
        assert await world.store.hold("web") is None
        assert "it is not rolled back: ConfigMap/web/web is left to Argo CD" in (await world.incidents())["sync_failed"]
        assert await world.image() == "shop/web:broken"


async def test_a_label_that_a_hand_has_set_keeps_nobody_from_healing(open_world: OpenWorld) -> None:
    """It is drift like any other, and is taken out."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        mark = {"argocd.argoproj.io/tracking-id": "web:/ConfigMap:web/web"}
        await world.edit("ConfigMap", {"metadata": {"annotations": mark}, "data": {"a": "by-hand"}})
        await world.run()
        config = await world.get("ConfigMap")
        assert config["data"] == {"a": "1"}
        assert annotations(config) == {}


async def test_a_write_that_takes_over_is_concluded_after_a_crash(open_world: OpenWorld) -> None:
    """The process ends after the write and before its record: the next one finds what it was."""
    async with open_world(mode=Mode.HEAL, take_over=True) as world:
        await argo_syncs(world)
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "by-hand"}})
        original = world.store.record_outcomes

        async def record_outcomes(outcomes: Any) -> None:
            raise StoreError("the disk is gone")

        world.store.record_outcomes = record_outcomes  # type: ignore[method-assign]
        with pytest.raises(StoreError):
            await world.run()
        world.store.record_outcomes = original  # type: ignore[method-assign]
        assert annotations(await world.get("ConfigMap")) == {}
        world.restart()
        await world.run()
        [one] = await operations(world)
        assert (one.outcome, one.taken_from) == (Outcome.CONFIGURED, ARGO)
        await argo_syncs(world, a="argo's")
        assert (await world.run()).action is None, "that it was taken over is known"


def _of(report: Report, kind: str) -> Verdict:
    return next(one for one in report.verdicts if one.ref.kind == kind)


async def test_what_is_judged_has_its_claim_in_the_document(open_world: OpenWorld) -> None:
    """`-o json` has it for drifted and other objects; in observe nobody looks for it."""
    async with open_world(mode=Mode.HEAL) as world:
        await argo_syncs(world)
        report = (await world.run()).report
        assert _of(report, "Deployment").claim == ARGO
        assert statuses(report)["Deployment/web"] is Status.IN_SYNC
        world.restart(mode=Mode.OBSERVE)
        assert _of((await world.run()).report, "Deployment").claim is None
        world.restart(mode=Mode.HEAL, deploys=False)
        assert _of((await world.run()).report, "Deployment").claim is None
