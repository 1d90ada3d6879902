"""Bulk loading of objects."""

from __future__ import annotations

import aiohttp
import pytest

from driftd.sandbox.controllers import RolloutSettings
from driftd.sandbox.server import Sandbox
from driftd.sandbox.status import ApiError


def _deployment(name: str, namespace: str, image: str = "nginx:1") -> dict[str, object]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            },
        },
    }


async def test_loaded_objects_equal_created_ones() -> None:
    """With defaults and managedFields, in namespaces that are created for them."""
    loaded, created = Sandbox(rollout=RolloutSettings(enabled=False)), Sandbox(rollout=RolloutSettings(enabled=False))
    assert loaded.load([_deployment("web", "shop")], manager="hand") == 2
    async with loaded.serve(), created.serve(), aiohttp.ClientSession() as http:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
        await http.post(f"{created.url}/api/v1/namespaces", json=namespace)
        path = "/apis/apps/v1/namespaces/shop/deployments"
        await http.post(f"{created.url}{path}?fieldManager=hand", json=_deployment("web", "shop"))
        objects = [await (await http.get(f"{sandbox.url}{path}/web")).json() for sandbox in (loaded, created)]
    for obj in objects:
        for key in ("uid", "resourceVersion", "creationTimestamp"):
            del obj["metadata"][key]
        for entry in obj["metadata"]["managedFields"]:
            del entry["time"]
    assert objects[0] == objects[1]
    assert objects[0]["spec"]["replicas"] == 1


async def test_many_objects_are_listed_and_watched() -> None:
    """Thousands are listed, and a watch reports a change of one of them."""
    sandbox = Sandbox(rollout=RolloutSettings(enabled=False))
    sandbox.load(_deployment(f"web-{n}", f"team-{n % 10}") for n in range(2000))
    async with sandbox.serve(), aiohttp.ClientSession(sandbox.url) as http:
        listed = await (await http.get("/apis/apps/v1/deployments")).json()
        assert len(listed["items"]) == 2000
        version = listed["metadata"]["resourceVersion"]
        async with http.get(f"/apis/apps/v1/deployments?watch=true&resourceVersion={version}") as watch:
            path = "/apis/apps/v1/namespaces/team-7/deployments/web-7"
            media = {"Content-Type": "application/merge-patch+json"}
            await http.patch(path, data=b'{"spec":{"replicas":9}}', headers=media)
            assert b'"MODIFIED"' in await watch.content.readline()


def test_an_object_of_an_unknown_kind_is_refused() -> None:
    """The error names the kind."""
    with pytest.raises(ApiError, match="does not serve Nothing in v1"):
        Sandbox().load([{"apiVersion": "v1", "kind": "Nothing", "metadata": {"name": "x"}}])
