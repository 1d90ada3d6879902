"""What could not be read, and what declares nothing, is never in sync."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import pytest

from driftd.desired.renderer import Renderer, RenderTree
from driftd.desired.state import Desired
from driftd.model.drift import Status
from driftd.model.engine import Engine
from driftd.model.errors import RenderError
from driftd.model.path import format_path
from driftd.model.plan import Mode
from tests.support.world import World, config_map, deployment, statuses, until
from tests.support.worlds import OpenWorld

NOTHING = {
    "comments": {"deployment.yaml": "# later\n", "config.yaml": "---\n# and this\n---\n"},
    "lists": {"deployment.yaml": "apiVersion: v1\nkind: List\nitems: []\n", "config.yaml": ""},
    "ignored": {".driftdignore": "*\n"},
}


async def deployed(world: World) -> None:
    """Deploys what Git declares, as a pipeline does, and waits until its pods run."""
    await world.apply("Deployment", deployment())
    await world.apply("ConfigMap", config_map(a="1"))
    await until(world._is_healthy, "the rollout")


async def test_a_workload_whose_pods_may_not_be_read_is_never_in_sync(observed: World) -> None:
    """A pod may run anything. What differs in the workload itself stays told, and that it is not all."""
    await deployed(observed)
    observed.sandbox.faults.forbid("list", "pods")
    observed.runner.request_full_pass()
    report = (await observed.run()).report
    [unknown] = [verdict for verdict in report.verdicts if verdict.ref.kind == "Deployment"]
    assert unknown.status is Status.UNKNOWN
    assert "its pods could not be read" in (unknown.error or "")
    await observed.edit("Deployment", {"metadata": {"labels": {"by": "hand"}}})
    observed.runner.request_full_pass()
    report = (await observed.run()).report
    [drifted] = [verdict for verdict in report.verdicts if verdict.ref.kind == "Deployment"]
    assert drifted.status is Status.DRIFTED
    assert "its pods could not be read" in (drifted.error or "")
    assert report.undecided
    assert not report.in_sync


async def test_a_workload_of_whose_pods_none_is_seen_is_not_in_sync(observed: World) -> None:
    """Its status counts some: whoever answers that there are none does not show what runs."""
    await deployed(observed)
    pods = "/api/v1/namespaces/web/pods"
    with observed.stalled_controllers():
        for pod in (await observed.request("GET", pods))["items"]:
            await observed.request("DELETE", f"{pods}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
        observed.runner.request_full_pass()
        report = (await observed.run()).report
    [unknown] = [verdict for verdict in report.verdicts if verdict.ref.kind == "Deployment"]
    assert (unknown.status, unknown.error) == (Status.UNKNOWN, "its status counts 1 pod, and none is seen")
    await until(observed._is_healthy, "the pods to come back")
    observed.runner.request_full_pass()
    assert statuses((await observed.run()).report)["Deployment/web"] is Status.IN_SYNC


async def test_replicas_are_no_drift_while_autoscalers_may_not_be_read(observed: World) -> None:
    """They may be an autoscaler's: that is not known, and nothing is put back."""
    await deployed(observed)
    await observed.edit("Deployment", {"spec": {"replicas": 3}})
    observed.sandbox.faults.forbid("list", "horizontalpodautoscalers")
    observed.restart(mode=Mode.HEAL)
    observed.requests.received.clear()
    report = (await observed.run()).report
    [verdict] = [verdict for verdict in report.verdicts if verdict.ref.kind == "Deployment"]
    assert verdict.status is Status.UNKNOWN
    assert "whether an autoscaler sets spec.replicas could not be read" in (verdict.error or "")
    assert observed.requests.writes == []


async def test_an_apply_that_admission_refuses_leaves_the_verdict_to_the_client(observed: World) -> None:
    """What is live was read and compared; that it could not be applied is told beside."""
    await deployed(observed)
    observed.sandbox.faults.refuse("patch", "configmaps", 'denied by policy "no-downgrades"')
    observed.restart(engine=Engine.SERVER)
    report = (await observed.run()).report
    [verdict] = [verdict for verdict in report.verdicts if verdict.ref.kind == "ConfigMap"]
    assert verdict.status is Status.IN_SYNC
    assert "no-downgrades" in (verdict.refused or "")
    assert report.in_sync
    observed.sandbox.faults.clear()
    await observed.edit("ConfigMap", {"data": {"a": "2"}})
    observed.sandbox.faults.refuse("patch", "configmaps", 'denied by policy "no-downgrades"')
    observed.runner.request_full_pass()
    report = (await observed.run()).report
    [verdict] = [verdict for verdict in report.verdicts if verdict.ref.kind == "ConfigMap"]
    assert [format_path(field.path) for field in verdict.fields] == ["data.a"]
    assert "no-downgrades" in (verdict.refused or "")


@pytest.mark.parametrize("files", NOTHING.values(), ids=NOTHING.keys())
async def test_a_commit_that_declares_nothing_is_undecided(observed: World, files: dict[str, str]) -> None:
    """It neither ends the drift of before as accepted, nor is it ever good; what was there is known as orphaned."""
    await deployed(observed)
    await observed.edit("ConfigMap", {"data": {"a": "2"}})
    observed.clock.advance(minutes=1)
    await observed.run()
    await observed.commit(files, "Comment everything out")
    for restarted in (False, True):
        if restarted:
            observed.restart()
        observed.clock.advance(minutes=5)
        result = await observed.run()
        assert result.report.undecided
        assert "nothing is declared" in (result.report.error or "") or "no manifests" in (result.report.error or "")
        assert result.state == "seen"
    assert statuses(result.report) == {"Deployment/web": Status.ORPHANED, "ConfigMap/web": Status.ORPHANED}
    assert "drift" in await observed.incidents()


async def test_an_app_may_be_allowed_to_declare_nothing(open_world: OpenWorld) -> None:
    """Then all of nothing is in sync."""
    async with open_world() as world:
        await world.commit({"deployment.yaml": "# nothing yet\n", "config.yaml": "# nothing yet\n"})
        assert (await world.run()).report.undecided
        world.restart(rendering=type(world.app.rendering)(allow_empty=True))
        result = await world.run()
        assert result.report.in_sync
        assert result.report.error is None


async def test_what_was_seen_live_is_orphaned_also_where_no_revision_was_ever_applied(observed: World) -> None:
    """An observed app with a lasting difference has no revision that was in the cluster as a whole."""
    await deployed(observed)
    observed.restart()
    await observed.edit("Deployment", {"metadata": {"labels": {"by": "hand"}}})
    await observed.commit({"other.yaml": config_map("never-applied", a="1")}, "Declare more")
    await observed.run()
    observed.repository.remove("app/config.yaml")
    observed.repository.remove("app/other.yaml")
    await observed.commit({}, "Drop both")
    observed.restart()
    assert statuses((await observed.run()).report) == {
        "Deployment/web": Status.DRIFTED,
        "ConfigMap/web": Status.ORPHANED,
    }


async def test_a_rendering_that_was_stopped_is_made_again(observed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine was busy, or its disk full: the app does not stay unknown until its next commit."""

    async def stopped(*_: object) -> NoReturn:
        raise RenderError("rendering was stopped", file="app")

    await deployed(observed)
    await observed.commit({"more.yaml": "# later\n"})
    with monkeypatch.context() as patched:
        patched.setattr(Renderer, "desired", _desired_by(stopped))
        assert "rendering was stopped" in ((await observed.run()).report.error or "")
    report = (await observed.run()).report
    assert (report.error, report.in_sync) == (None, True)


def _desired_by(render_tree: RenderTree) -> Callable[..., Awaitable[Desired]]:
    """`Renderer.desired` with another program that renders."""
    desired = Renderer.desired

    async def other(self: Renderer, *arguments: Any) -> Desired:
        kept, self._render_tree = self._render_tree, render_tree
        try:
            return await desired(self, *arguments)
        finally:
            self._render_tree = kept

    return other
