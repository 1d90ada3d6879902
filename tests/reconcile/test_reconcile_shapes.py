"""Manifests of a wrong shape: the API server would refuse them, and they cost no other object anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.model.drift import Status
from driftd.model.plan import Mode
from driftd.repair import object_writer
from tests.support.world import World, config_map, deployment, statuses, until
from tests.support.worlds import OpenWorld

METADATA: list[dict[str, Any]] = [
    {"managedFields": "x"}, {"managedFields": [1]}, {"managedFields": {}}, {"generation": "x"}, {"uid": 7},
    {"resourceVersion": 5}, {"creationTimestamp": 5}, {"selfLink": []}, {"finalizers": {}}, {"ownerReferences": "x"},
]  # fmt: skip
DEPLOYMENTS: list[dict[str, Any]] = [
    {"status": "x"}, {"status": []}, {"status": {"conditions": "x"}}, {"status": {"replicas": "x"}}, {"spec": []},
    {"spec": {"replicas": []}}, {"spec": {"replicas": {}}}, {"spec": {"paused": ""}}, {"spec": {"template": []}},
]  # fmt: skip
SECRETS: list[dict[str, Any]] = [
    {"data": "x", "stringData": {"a": "1"}}, {"data": ["x"], "stringData": {"a": "1"}}, {"data": 5, "stringData": {}},
]  # fmt: skip
EXPORTED: dict[str, Any] = {
    "metadata": {"generation": 2, "uid": "u", "resourceVersion": "5", "creationTimestamp": None, "managedFields": None},
    "status": {"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]},
}


def manifest(api_version: str, kind: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, **content.get("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, **content, "metadata": metadata}


async def test_what_the_api_server_would_refuse_for_its_shape_is_unknown(observed: World) -> None:
    """Also in fields that are not compared, and also what is empty; an exported object is as good as any."""
    wrong = [manifest("v1", "ConfigMap", f"m{at}", {"metadata": each}) for at, each in enumerate(METADATA)]
    wrong += [manifest("apps/v1", "Deployment", f"d{at}", each) for at, each in enumerate(DEPLOYMENTS)]
    wrong += [manifest("v1", "Secret", f"s{at}", each) for at, each in enumerate(SECRETS)]
    exported = manifest("apps/v1", "Deployment", "exported", EXPORTED)
    for each in [*wrong, exported]:
        name, kind = each["metadata"]["name"], each["kind"]
        live = (
            deployment(name=name)
            if kind == "Deployment"
            else f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}"
        )
        await observed.apply(kind, live, name)
    await observed.commit({"wrong.json": "\n".join(map(json.dumps, [*wrong, exported]))})
    found = {verdict.ref.name: verdict for verdict in (await observed.run()).report.verdicts}
    calm = [each for each in wrong if found[each["metadata"]["name"]].status is not Status.UNKNOWN]
    assert calm == []
    assert not any("defect" in (verdict.error or "") for verdict in found.values())
    assert found["exported"].error is None


async def test_a_null_in_a_list_of_objects_does_not_stop_the_heal_of_others(open_world: OpenWorld) -> None:
    """Kubernetes reads it as an empty object."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.apply("Deployment", deployment())
        await world.apply("ConfigMap", config_map(a="1"))
        await until(world._is_healthy, "the rollout")
        path = "/api/v1/namespaces/web/serviceaccounts"
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}}
        await world.request("POST", f"{path}?fieldManager=pipeline", {**account, "imagePullSecrets": [{"name": "a"}]})
        await world.commit({"bot.json": json.dumps({**account, "imagePullSecrets": [None]})})
        await world.edit("ConfigMap", {"data": {"a": "by hand"}})
        world.runner.request_full_pass()
        await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}


async def test_a_defect_in_the_write_of_one_object_does_not_stop_the_others(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the failure of that object alone, recorded and told without a word of its content."""
    original = object_writer.apply_configuration

    def defective(restored: Any, *arguments: Any) -> Any:
        if restored["metadata"]["name"] == "other":
            raise TypeError("CANARY")
        return original(restored, *arguments)

    monkeypatch.setattr(object_writer, "apply_configuration", defective)
    async with open_world(mode=Mode.HEAL) as world:
        await world.commit({"other.yaml": config_map("other", a="1")})
        await world.run()
        await world.edit("ConfigMap", {"data": {"a": "by hand"}}, "other")
        await world.edit("ConfigMap", {"data": {"a": "by hand"}})
        world.runner.request_full_pass()
        result = await world.run()
        assert statuses(result.report)["ConfigMap/web"] is Status.IN_SYNC
        assert statuses(result.report)["ConfigMap/other"] is Status.DRIFTED
        [failed] = [one for one in await world.store.operations() if one.error]
        assert failed.ref.name == "other"
        assert "an unexpected error (TypeError)" in str(failed.error)
        assert "CANARY" not in str(failed.error)
