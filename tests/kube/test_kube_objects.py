"""The verbs: get, list, apply, create, update, patch and delete."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from driftd.kube import objects
from driftd.kube.listing import list_objects
from driftd.kube.rest_client import Cluster
from driftd.model.drift import FIELD_MANAGER
from driftd.model.errors import ClusterUnreachable, Forbidden, Gone, Invalid, KubeError, UnknownKind
from tests.kube.scripted import (
    CONFIG_MAPS,
    SECRETS,
    Answer,
    ScriptedApi,
    config_map,
    data,
    listing,
    refused,
    reset,
    text,
)

ALL = "/api/v1/namespaces/shop/configmaps"
ONE = f"{ALL}/a"
LIST = {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": []}


def without(body: dict[str, Any], key: str) -> dict[str, Any]:
    """An object that lacks a key of its metadata."""
    return {**body, "metadata": {name: value for name, value in body["metadata"].items() if name != key}}


async def test_get_is_none_only_for_an_object_that_does_not_exist(api: ScriptedApi, cluster: Cluster) -> None:
    """404 for an object is a result; 404 for its kind, 403 and 500 are errors."""
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


async def test_a_list_reads_all_pages_and_completes_its_items(api: ScriptedApi, cluster: Cluster) -> None:
    """Each item has its apiVersion and kind."""
    api.on("GET", ALL, listing(7, config_map("a", 1), token="more"), listing(7, config_map("b", 2)))
    found = await list_objects(cluster, CONFIG_MAPS, "shop", label_selector="a=b", page_size=1)
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


async def test_a_list_that_expires_midway_restarts(api: ScriptedApi, cluster: Cluster) -> None:
    """Items of the first attempt are discarded."""
    gone = refused(410, "Expired", "The provided continue parameter is too old")
    api.on("GET", ALL, listing(7, config_map("a", 1), token="x"), gone, listing(9, config_map("b", 8)))
    found = await list_objects(cluster, CONFIG_MAPS, "shop")
    assert [item["metadata"]["name"] for item in found.items] == ["b"]
    assert found.resource_version == "9"


async def test_a_list_whose_pages_keep_expiring_is_read_without_pages(api: ScriptedApi, cluster: Cluster) -> None:
    """The last attempt requests everything at once; if that fails too, it is an error."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "limit" not in request.query:
            return await listing(9, config_map("a", 1), config_map("b", 2))(request)
        if "continue" in request.query:
            return await refused(410, "Expired", "too old")(request)
        return await listing(7, config_map("a", 1), token="x")(request)

    api.on("GET", ALL, answer)
    assert len((await list_objects(cluster, CONFIG_MAPS, "shop")).items) == 2
    api.on("GET", ALL, refused(410, "Expired", "too old"))
    with pytest.raises(Gone):
        await list_objects(cluster, CONFIG_MAPS, "shop")


async def test_an_incomplete_list_is_an_error_and_not_a_short_list(api: ScriptedApi, cluster: Cluster) -> None:
    """Otherwise the missing objects would count as deleted."""
    api.on("GET", ALL, listing(7, config_map("a", 1), token="more"), refused(500, "InternalError", "no"))
    with pytest.raises(KubeError, match="no"):
        await list_objects(cluster, CONFIG_MAPS, "shop")


@pytest.mark.parametrize(
    "answer",
    [
        *(data(body) for body in ([], {}, {"items": []}, {**LIST, "items": {}}, {**LIST, "metadata": None})),
        *(data({key: value for key, value in LIST.items() if key != missing}) for missing in LIST),
        data({**LIST, "kind": "SecretList"}),
        data({**LIST, "apiVersion": "v2"}),
        data({**LIST, "metadata": {}}),
        data(config_map("a", 1)),
        data({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
        data({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404}),
        data({**LIST, "items": [{}]}),
        data({**LIST, "items": [{**config_map("a", 1), "kind": "Secret"}]}),
        data({**LIST, "items": [without(config_map("a", 1), "name")]}),
        data({**LIST, "items": [without(config_map("a", 1), "uid")]}),
        data({**LIST, "items": [without(config_map("a", 1), "resourceVersion")]}),
        data({**LIST, "items": [without(config_map("a", 1), "namespace")]}),
        data({**LIST, "items": [config_map("a", 1), config_map("a", 1)]}),
        listing(7, config_map("a", 1), token="the same for ever"),
        text(""),
        text("<html>please log in</html>"),
        text('{"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": ['),
    ],
)
async def test_what_is_no_list_of_the_kind_is_never_an_empty_list(
    answer: Answer, api: ScriptedApi, cluster: Cluster
) -> None:
    """Whoever answers with 200 in place of the API server must not make everything count as missing."""
    api.on("GET", ALL, answer)
    with pytest.raises(KubeError):
        await list_objects(cluster, CONFIG_MAPS, "shop")


async def test_an_empty_list_may_be_written_as_null(api: ScriptedApi, cluster: Cluster) -> None:
    """As Go writes a list that it has not made."""
    api.on("GET", ALL, data({**LIST, "items": None}))
    assert (await list_objects(cluster, CONFIG_MAPS, "shop")).items == []


async def test_pages_that_make_no_whole_list_are_read_again_as_one(api: ScriptedApi, cluster: Cluster) -> None:
    """Pages of two versions, fewer objects than the first page announced, a page that comes twice."""
    short = {**LIST, "metadata": {"resourceVersion": "7", "continue": "x", "remainingItemCount": 2}}
    for first, second in (
        (listing(7, config_map("a", 1), token="x"), listing(8, config_map("b", 8))),
        (data({**short, "items": [config_map("a", 1)]}), listing(7, config_map("b", 2))),
        (listing(7, config_map("a", 1), token="x"), listing(7, config_map("a", 1))),
    ):

        async def answer(request: web.Request, first: Answer = first, second: Answer = second) -> web.StreamResponse:
            if "limit" not in request.query:
                return await listing(9, *(config_map(name, 1) for name in "abc"))(request)
            return await (second if "continue" in request.query else first)(request)

        api.on("GET", ALL, answer)
        assert len((await list_objects(cluster, CONFIG_MAPS, "shop")).items) == 3


@pytest.mark.parametrize(
    "answer",
    [
        data(config_map("b", 1)),
        data({**config_map("a", 1), "kind": "Secret"}),
        data({**config_map("a", 1), "apiVersion": "v2"}),
        data(without(config_map("a", 1), "uid")),
        data(without(config_map("a", 1), "namespace")),
        data({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404}),
        data({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
        data(LIST),
        text(""),
        refused(404, "NotFound", 'configmaps "b" not found', name="b", kind="configmaps"),
    ],
)
async def test_an_answer_about_something_else_is_no_answer(answer: Answer, api: ScriptedApi, cluster: Cluster) -> None:
    """Neither is the object read, nor is it missing; nor is it written."""
    for method in ("GET", "PATCH"):
        api.on(method, ONE, answer)
    for request in (
        objects.get(cluster, CONFIG_MAPS, "shop", "a"),
        objects.apply(cluster, CONFIG_MAPS, config_map("a", 1)),
    ):
        with pytest.raises((KubeError, UnknownKind)):
            await request


async def test_an_object_that_is_read_by_a_list_is_the_one_asked_for(api: ScriptedApi, cluster: Cluster) -> None:
    """A server that passes over the field selector sends others; a `Status` is no empty list."""
    api.on("GET", ONE, refused(403, "Forbidden", "no", name="a"))
    api.on("GET", ALL, listing(7, config_map("b", 1), config_map("a", 2)))
    found = await objects.get(cluster, CONFIG_MAPS, "shop", "a")
    assert found is not None
    assert found["metadata"]["name"] == "a"
    for answer in (listing(7, config_map("b", 1)), data({"kind": "Status", "apiVersion": "v1", "code": 200})):
        api.on("GET", ALL, answer)
        with pytest.raises(KubeError):
            await objects.get(cluster, CONFIG_MAPS, "shop", "a")


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


async def test_server_fields_of_an_exported_manifest_are_not_sent(api: ScriptedApi, cluster: Cluster) -> None:
    """uid, resourceVersion and managedFields belong to the exported object: an apply with them fails."""
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


async def test_a_delete_can_have_preconditions(api: ScriptedApi, cluster: Cluster) -> None:
    """Such as the uid; a missing object is no error."""
    api.on("DELETE", ONE, data({"kind": "Status", "status": "Success"}))
    assert await objects.delete(cluster, CONFIG_MAPS, "shop", "a", uid="u", dry_run=True)
    sent = json.loads(api.seen[-1].body)
    assert (sent["preconditions"], sent["dryRun"], sent["propagationPolicy"]) == ({"uid": "u"}, ["All"], "Background")
    api.on("DELETE", ONE, refused(404, "NotFound", 'configmaps "a" not found', name="a"))
    assert not await objects.delete(cluster, CONFIG_MAPS, "shop", "a")
    api.on("DELETE", ONE, text("404 page not found", 404))
    with pytest.raises(UnknownKind):
        await objects.delete(cluster, CONFIG_MAPS, "shop", "a")


async def test_the_error_for_a_refused_secret_contains_no_value(api: ScriptedApi, cluster: Cluster) -> None:
    """The API server's message may quote values."""
    path = "/api/v1/namespaces/shop/secrets/a"
    api.on("PATCH", path, refused(422, "Invalid", 'Secret "a" is invalid: data[x]: Invalid value: "canary": no'))
    with pytest.raises(Invalid) as caught:
        await objects.apply(cluster, SECRETS, {"metadata": {"name": "a", "namespace": "shop"}})
    assert "canary" not in str(caught.value)


async def test_a_json_patch_is_sent_as_such(api: ScriptedApi, cluster: Cluster) -> None:
    """Under driftd's field manager, and not repeated; an unserved kind is an error of its own."""
    api.on("PATCH", ONE, data(config_map("a", 6)), text("404 page not found", 404))
    operations = [{"op": "remove", "path": "/data/k"}]
    assert (await objects.json_patch(cluster, CONFIG_MAPS, "shop", "a", operations))["metadata"]["name"] == "a"
    (sent,) = api.requests("PATCH", ONE)
    assert sent.headers["Content-Type"] == "application/json-patch+json"
    assert sent.query == {"fieldManager": FIELD_MANAGER}
    assert json.loads(sent.body) == operations
    with pytest.raises(UnknownKind):
        await objects.json_patch(cluster, CONFIG_MAPS, "shop", "a", operations)
