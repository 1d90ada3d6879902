"""Reading and writing objects."""

from __future__ import annotations

import gc
import json

import pytest
from aiohttp import web

from driftd.kube import objects
from driftd.kube.rest_client import Cluster
from driftd.model.errors import ClusterUnreachable, Forbidden, Gone, Invalid, KubeError, UnknownKind
from driftd.process.garbage_collector import gc_paused
from tests.kube.scripted import CONFIG_MAPS, SECRETS, ScriptedApi, config_map, data, listing, refused, reset, text

ALL = "/api/v1/namespaces/shop/configmaps"
ONE = f"{ALL}/a"


async def test_get_says_none_only_when_the_object_itself_is_not_there(api: ScriptedApi, cluster: Cluster) -> None:
    """404 for the object is an answer; 404 for its kind, 403 and 500 are not."""
    api.on("GET", ONE, refused(404, "NotFound", 'configmaps "a" not found', name="a", kind="configmaps"))
    assert await objects.get(cluster, CONFIG_MAPS, "shop", "a") is None
    for answer, kind in (
        (text("404 page not found", 404), UnknownKind),
        (refused(404, "NotFound", "the server could not find the requested resource"), UnknownKind),
        (text("<html>not here</html>", 404), UnknownKind),
        (refused(403, "Forbidden", "no", name="a"), Forbidden),
        (refused(500, "InternalError", "no", name="a"), KubeError),
        (reset, ClusterUnreachable),
        (data([]), KubeError),
    ):
        api.on("GET", ONE, answer)
        with pytest.raises(kind):
            await objects.get(cluster, CONFIG_MAPS, "shop", "a")


async def test_a_list_follows_its_pages_and_completes_its_items(api: ScriptedApi, cluster: Cluster) -> None:
    """Every page is read, and items are whole objects again."""
    api.on("GET", ALL, listing(7, config_map("a", 1), token="more"), listing(7, config_map("b", 2)))
    found = await objects.list_objects(cluster, CONFIG_MAPS, "shop", label_selector="a=b", page_size=1)
    assert [(item["kind"], item["apiVersion"], item["metadata"]["name"]) for item in found.items] == [
        ("ConfigMap", "v1", "a"),
        ("ConfigMap", "v1", "b"),
    ]
    assert found.resource_version == "7"
    assert [seen.query for seen in api.seen] == [
        {"limit": "1", "labelSelector": "a=b"},
        {"limit": "1", "labelSelector": "a=b", "continue": "more"},
    ]
    assert "uid-a" not in repr(found)


async def test_a_list_that_expires_midway_starts_anew(api: ScriptedApi, cluster: Cluster) -> None:
    """Nothing of the first try is mixed into the second."""
    gone = refused(410, "Expired", "The provided continue parameter is too old")
    api.on("GET", ALL, listing(7, config_map("a", 1), token="x"), gone, listing(9, config_map("b", 8)))
    found = await objects.list_objects(cluster, CONFIG_MAPS, "shop")
    assert [item["metadata"]["name"] for item in found.items] == ["b"]
    assert found.resource_version == "9"


async def test_a_list_whose_pages_keep_expiring_is_read_in_one(api: ScriptedApi, cluster: Cluster) -> None:
    """The last try asks for everything at once; if that is refused too, it is an error."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "limit" not in request.query:
            return await listing(9, config_map("a", 1), config_map("b", 2))(request)
        if "continue" in request.query:
            return await refused(410, "Expired", "too old")(request)
        return await listing(7, config_map("a", 1), token="x")(request)

    api.on("GET", ALL, answer)
    assert len((await objects.list_objects(cluster, CONFIG_MAPS, "shop")).items) == 2
    api.on("GET", ALL, refused(410, "Expired", "too old"))
    with pytest.raises(Gone):
        await objects.list_objects(cluster, CONFIG_MAPS, "shop")


async def test_a_list_that_breaks_off_is_an_error_and_not_a_short_list(api: ScriptedApi, cluster: Cluster) -> None:
    """What could not be read to its end is not taken for the end."""
    api.on("GET", ALL, listing(7, config_map("a", 1), token="more"), refused(500, "InternalError", "no"))
    with pytest.raises(KubeError, match="no"):
        await objects.list_objects(cluster, CONFIG_MAPS, "shop")
    for answer in (data({"items": []}), data([]), data({"metadata": {}, "items": {}})):
        api.on("GET", ALL, answer)
        with pytest.raises(KubeError, match="is not a list"):
            await objects.list_objects(cluster, CONFIG_MAPS, "shop")


async def test_an_apply_is_json_with_the_field_manager_and_survives_a_broken_connection(
    api: ScriptedApi, cluster: Cluster
) -> None:
    """Server-side apply may be repeated: twice is once. Strings that YAML would change arrive as they are."""
    warning = {"Warning": '299 - "unknown field \\"spec.x\\"", 299 - "old version"'}
    api.on("PATCH", ONE, reset, data(config_map("a", 2), headers=warning))
    warnings: list[str] = []
    written = await objects.apply(
        cluster, CONFIG_MAPS, config_map("a", 1, yes="y", number="1e3"), dry_run=True, warnings=warnings
    )
    assert written["metadata"]["resourceVersion"] == "2"
    assert warnings == ['unknown field \\"spec.x\\"', "old version"]
    sent = api.seen[-1]
    assert sent.headers["Content-Type"] == "application/apply-patch+yaml"
    assert json.loads(sent.body)["data"] == {"yes": "y", "number": "1e3"}
    assert sent.query == {"fieldManager": "driftd", "force": "true", "fieldValidation": "Warn", "dryRun": "All"}


async def test_what_was_exported_with_a_manifest_is_not_sent(api: ScriptedApi, cluster: Cluster) -> None:
    """A uid, a version and managedFields are of the object that it was exported from: an apply with them is refused."""
    api.on("PATCH", ONE, data(config_map("a", 2)))
    exported = config_map("a", 1, yes="y")
    exported["metadata"] |= {"uid": "u", "creationTimestamp": None, "generation": 3, "managedFields": [{}]}
    await objects.apply(cluster, CONFIG_MAPS, exported)
    assert json.loads(api.seen[-1].body)["metadata"] == {"name": "a", "namespace": "shop"}


async def test_a_manifest_that_cannot_be_addressed_is_not_sent(api: ScriptedApi, cluster: Cluster) -> None:
    """Without name or namespace there is no object to write."""
    for metadata in ({}, {"name": "a"}):
        with pytest.raises(Invalid, match="needs a name"):
            await objects.apply(cluster, CONFIG_MAPS, {"metadata": metadata})
    assert api.seen == []


async def test_a_manifest_that_does_not_fit_its_schema_is_invalid_not_a_server_error(
    api: ScriptedApi, cluster: Cluster
) -> None:
    """The API server calls it an internal error; it is the manifest's, and is not tried again."""
    message = "failed to create typed patch object (shop/a; /v1, Kind=ConfigMap): .foo: field not declared in schema"
    api.on("PATCH", ONE, refused(500, "", message))
    with pytest.raises(Invalid, match="field not declared"):
        await objects.apply(cluster, CONFIG_MAPS, config_map("a", 1))
    assert len(api.seen) == 1


async def test_a_delete_can_be_bound_to_the_object_that_was_seen(api: ScriptedApi, cluster: Cluster) -> None:
    """The uid goes along; an object that is gone already is no error."""
    api.on("DELETE", ONE, data({"kind": "Status", "status": "Success"}))
    assert await objects.delete(cluster, CONFIG_MAPS, "shop", "a", uid="u", dry_run=True)
    sent = json.loads(api.seen[-1].body)
    assert (sent["preconditions"], sent["dryRun"], sent["propagationPolicy"]) == ({"uid": "u"}, ["All"], "Background")
    api.on("DELETE", ONE, refused(404, "NotFound", 'configmaps "a" not found', name="a"))
    assert not await objects.delete(cluster, CONFIG_MAPS, "shop", "a")
    api.on("DELETE", ONE, text("404 page not found", 404))
    with pytest.raises(UnknownKind):
        await objects.delete(cluster, CONFIG_MAPS, "shop", "a")


async def test_a_secret_that_is_refused_does_not_appear_in_the_error(api: ScriptedApi, cluster: Cluster) -> None:
    """End to end: what the server quotes of a Secret stays out."""
    path = "/api/v1/namespaces/shop/secrets/a"
    api.on("PATCH", path, refused(422, "Invalid", 'Secret "a" is invalid: data[x]: Invalid value: "canary": no'))
    with pytest.raises(Invalid) as caught:
        await objects.apply(cluster, SECRETS, {"metadata": {"name": "a", "namespace": "shop"}})
    assert "canary" not in str(caught.value)


def test_the_garbage_collector_rests_while_any_load_runs() -> None:
    """Overlapping loads count; an error lets go; one that was off before stays off."""
    assert gc.isenabled()
    with gc_paused():
        with pytest.raises(KeyError), gc_paused():
            raise KeyError
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with gc_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
