"""Nothing is written to what is being deleted: it would go with it."""

from __future__ import annotations

from driftd.model.drift import Status
from driftd.model.plan import Mode, Trigger
from tests.support.world import World, statuses
from tests.support.worlds import OpenWorld

GUARD = {"metadata": {"finalizers": ["example.com/guard"]}}


async def _release(world: World, name: str = "web") -> None:
    """Takes the finalizers away, as the controller that set them does."""
    await world.edit("ConfigMap", {"metadata": {"finalizers": None}}, name)


async def test_an_object_that_is_being_deleted_is_drift_and_is_created_anew_once_it_is_gone(
    open_world: OpenWorld,
) -> None:
    """An apply to it would succeed, and be lost."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", GUARD, manager="kube-controller-manager")
        await world.delete("ConfigMap")
        world.requests.received.clear()
        result = await world.run()
        assert statuses(result.report)["ConfigMap/web"] is Status.DRIFTED
        assert result.report.drifted[0].is_being_deleted
        assert world.requests.writes == []
        assert await world.incident_events() == ["drift opened"]
        await _release(world)
        result = await world.run()
        assert result.report.in_sync
        assert result.action is not None
        assert result.action.trigger is Trigger.HEAL


async def test_nothing_is_created_in_a_namespace_that_is_being_deleted(open_world: OpenWorld) -> None:
    """What is gone with it is missing; where nothing is missing, no namespace is looked at."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.requests.received.clear()
        await world.run()
        assert not [path for _, path in world.requests.received if path.startswith("/api/v1/namespaces/web?")]
        guard = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "guard", **GUARD["metadata"]}}
        await world.request("POST", "/api/v1/namespaces/web/configmaps", guard)
        await world.request("DELETE", "/api/v1/namespaces/web")
        world.requests.received.clear()
        result = await world.run()
        assert set(statuses(result.report).values()) == {Status.MISSING}
        assert all(verdict.namespace_deleted for verdict in result.report.drifted)
        assert world.requests.writes == []
        assert result.requeue_after is not None
