"""Deletion: finalizers, owners and dependents, collections, namespaces."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.client import ApiServer
from tests.contract.sequences import CONFIG_MAP, CONFIG_MAPS, with_

Object = dict[str, Any]


async def _owned(server: ApiServer, *, block: bool = False) -> Object:
    """Creates a ConfigMap `owner` and its dependent `child`."""
    owner = await server.post(CONFIG_MAPS, with_(CONFIG_MAP, metadata__name="owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    if block:
        reference["blockOwnerDeletion"] = True  # type: ignore[assignment]
    await server.post(CONFIG_MAPS, with_(CONFIG_MAP, metadata__name="child", metadata__ownerReferences=[reference]))
    return owner


async def test_a_deleted_object_is_gone_and_the_answer_identifies_it(api_server: ApiServer) -> None:
    """The answer is a Status with name, kind and UID."""
    created = await api_server.post(CONFIG_MAPS, CONFIG_MAP)
    answer = await api_server.request("DELETE", f"{CONFIG_MAPS}/c")
    assert answer.code == 200
    assert answer.body["status"] == "Success"
    assert answer.body["details"] == {"name": "c", "kind": "configmaps", "uid": created["metadata"]["uid"]}
    assert (await api_server.request("GET", f"{CONFIG_MAPS}/c")).code == 404


async def test_a_finalizer_keeps_an_object_until_it_is_removed(api_server: ApiServer) -> None:
    """The object gets a deletionTimestamp, accepts no new finalizer, and is removed with the last one."""
    await api_server.post(CONFIG_MAPS, with_(CONFIG_MAP, metadata__finalizers=["contract.example.com/hold"]))
    answer = await api_server.request("DELETE", f"{CONFIG_MAPS}/c")
    assert answer.code == 200
    assert answer.body["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["contract.example.com/hold", "contract.example.com/more"]}}
    refused = await api_server.request("PATCH", f"{CONFIG_MAPS}/c", more, "application/merge-patch+json")
    assert (refused.code, refused.reason) == (422, "Invalid")
    freed = await api_server.request(
        "PATCH", f"{CONFIG_MAPS}/c", {"metadata": {"finalizers": None}}, "application/merge-patch+json"
    )
    assert freed.code == 200
    await api_server.gone(f"{CONFIG_MAPS}/c")


@pytest.mark.parametrize("preconditions", [{"uid": "somebody else"}, {"resourceVersion": "1"}])
async def test_a_deletion_of_another_version_is_refused(api_server: ApiServer, preconditions: Object) -> None:
    """Preconditions protect an object that has changed in the meantime."""
    await api_server.post(CONFIG_MAPS, CONFIG_MAP)
    answer = await api_server.request("DELETE", f"{CONFIG_MAPS}/c", {"preconditions": preconditions})
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert (await api_server.request("GET", f"{CONFIG_MAPS}/c")).code == 200


async def test_dependents_of_a_deleted_owner_are_collected(api_server: ApiServer) -> None:
    """In the background: the owner is removed at once, its dependents soon after."""
    await _owned(api_server)
    await api_server.request("DELETE", f"{CONFIG_MAPS}/owner", {"propagationPolicy": "Background"})
    assert (await api_server.request("GET", f"{CONFIG_MAPS}/owner")).code == 404
    await api_server.gone(f"{CONFIG_MAPS}/child")


async def test_orphaned_dependents_are_kept(api_server: ApiServer) -> None:
    """With the policy Orphan, dependents lose only the owner reference."""
    await _owned(api_server)
    await api_server.request("DELETE", f"{CONFIG_MAPS}/owner", {"propagationPolicy": "Orphan"})
    await api_server.gone(f"{CONFIG_MAPS}/owner")
    child = await api_server.get(f"{CONFIG_MAPS}/child")
    assert "ownerReferences" not in child["metadata"]


async def test_in_the_foreground_dependents_are_deleted_first(api_server: ApiServer) -> None:
    """A finalizer keeps the owner while a blocking dependent has a finalizer itself."""
    await _owned(api_server, block=True)
    hold = {"metadata": {"finalizers": ["contract.example.com/hold"]}}
    await api_server.request("PATCH", f"{CONFIG_MAPS}/child", hold, "application/merge-patch+json")
    answer = await api_server.request("DELETE", f"{CONFIG_MAPS}/owner", {"propagationPolicy": "Foreground"})
    assert answer.body["metadata"]["finalizers"] == ["foregroundDeletion"]
    await api_server.eventually(f"{CONFIG_MAPS}/child", lambda body: bool(body["metadata"].get("deletionTimestamp")))
    assert (await api_server.request("GET", f"{CONFIG_MAPS}/owner")).code == 200
    free = {"metadata": {"finalizers": None}}
    await api_server.request("PATCH", f"{CONFIG_MAPS}/child", free, "application/merge-patch+json")
    await api_server.gone(f"{CONFIG_MAPS}/child")
    await api_server.gone(f"{CONFIG_MAPS}/owner")


async def test_a_collection_is_deleted_by_its_selector(api_server: ApiServer) -> None:
    """Objects that the selector does not match are kept."""
    for name, tier in (("a", "x"), ("b", "x"), ("c", "y")):
        await api_server.post(CONFIG_MAPS, with_(CONFIG_MAP, metadata__name=name, metadata__labels={"tier": tier}))
    answer = await api_server.request("DELETE", f"{CONFIG_MAPS}?labelSelector=tier=x")
    assert answer.code == 200
    remaining = await api_server.get(f"{CONFIG_MAPS}?labelSelector=tier")
    assert [item["metadata"]["name"] for item in remaining["items"]] == ["c"]


async def test_a_namespace_is_deleted_with_its_content(api_server: ApiServer) -> None:
    """It is Terminating first, accepts no new objects, and is removed in the end."""
    name = f"{api_server.namespace}-ends"
    await api_server.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    maps = f"/api/v1/namespaces/{name}/configmaps"
    held = with_(CONFIG_MAP, metadata__finalizers=["contract.example.com/hold"])
    await api_server.post(maps, held)
    answer = await api_server.request("DELETE", f"/api/v1/namespaces/{name}")
    assert answer.code == 200
    assert answer.body["status"]["phase"] == "Terminating"
    refused = await api_server.request("POST", maps, with_(CONFIG_MAP, metadata__name="late"))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert refused.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await api_server.eventually(f"{maps}/c", lambda body: bool(body.get("metadata", {}).get("deletionTimestamp")))
    await api_server.request("PATCH", f"{maps}/c", {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    await api_server.gone(f"/api/v1/namespaces/{name}", seconds=40)
