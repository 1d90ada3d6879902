"""CustomResourceDefinitions: served with their schema once created, and deleted with all their objects."""

from __future__ import annotations

import uuid
from typing import Any

from tests.contract.client import ApiServer
from tests.contract.sequences import WIDGET_DEFINITION, with_

Object = dict[str, Any]

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def _definition(group: str) -> Object:
    return with_(WIDGET_DEFINITION, metadata__name=f"widgets.{group}", spec__group=group)


def _established(body: Object) -> bool:
    conditions = body.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


async def test_a_definition_is_served_until_it_is_deleted(api_server: ApiServer) -> None:
    """Discovery and OpenAPI have its kind; its objects are deleted with it."""
    group = f"g{uuid.uuid4().hex[:8]}.example.com"
    await api_server.post(_CRDS, _definition(group))
    definition = await api_server.eventually(f"{_CRDS}/widgets.{group}", _established)
    assert definition["status"]["acceptedNames"]["kind"] == "Widget"
    assert definition["status"]["storedVersions"] == ["v1"]
    path = f"/apis/{group}/v1/namespaces/{{ns}}/widgets"
    await api_server.eventually(path, lambda body: body.get("kind") == "WidgetList")
    listed = await api_server.eventually(f"/apis/{group}/v1", lambda body: bool(body.get("resources")))
    assert sorted(r["name"] for r in listed["resources"]) == ["widgets", "widgets/scale", "widgets/status"]
    obj = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
    created = await api_server.post(path, obj)
    assert created["spec"] == {"size": 1, "replicas": 2, "color": "red"}
    assert created["metadata"]["generation"] == 1
    index = await api_server.eventually("/openapi/v3", lambda body: f"apis/{group}/v1" in body["paths"])
    document = await api_server.get(index["paths"][f"apis/{group}/v1"]["serverRelativeURL"])
    kinds = [s for s in document["components"]["schemas"].values() if s.get("x-kubernetes-group-version-kind")]
    widget = next(s for s in kinds if s["x-kubernetes-group-version-kind"][0]["kind"] == "Widget")
    parts = widget["properties"]["spec"]["properties"]["parts"]
    assert parts["x-kubernetes-list-map-keys"] == ["name"]
    await api_server.request("DELETE", f"{_CRDS}/widgets.{group}")
    await api_server.gone(f"{_CRDS}/widgets.{group}")
    await api_server.eventually(path, lambda body: body.get("kind") != "WidgetList")


async def test_the_status_of_a_custom_object_is_a_subresource(api_server: ApiServer) -> None:
    """The main resource does not write it, `/status` writes nothing else; only the former increments the generation."""
    group = f"g{uuid.uuid4().hex[:8]}.example.com"
    await api_server.post(_CRDS, _definition(group))
    path = f"/apis/{group}/v1/namespaces/{{ns}}/widgets"
    await api_server.eventually(path, lambda body: body.get("kind") == "WidgetList")
    obj = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
    await api_server.post(path, {**obj, "status": {"ready": True}})
    merge = "application/merge-patch+json"
    patch = {"spec": {"size": 9}, "status": {"ready": True}}
    after_status = (await api_server.request("PATCH", f"{path}/w/status", patch, merge)).body
    assert (after_status["spec"]["size"], after_status["status"]) == (1, {"ready": True})
    assert after_status["metadata"]["generation"] == 1
    after_main = (await api_server.request("PATCH", f"{path}/w", {**patch, "status": {"ready": False}}, merge)).body
    assert (after_main["spec"]["size"], after_main["status"]) == (9, {"ready": True})
    assert after_main["metadata"]["generation"] == 2
    await api_server.request("DELETE", f"{_CRDS}/widgets.{group}")
