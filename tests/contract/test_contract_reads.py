"""Lists, pages, selectors and watches, the same on both API servers."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tests.contract.client import APPLY, ApiServer
from tests.contract.sequences import CONFIG_MAP, CONFIG_MAPS, DEPLOYMENT, DEPLOYMENTS, WIDGET_DEFINITION, with_

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def _make(server: ApiServer, *names: str, **fields: object) -> None:
    for name in names:
        await server.post(CONFIG_MAPS, with_(CONFIG_MAP, metadata__name=name, **fields))


def _names(body: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"] if item["metadata"]["name"] != "kube-root-ca.crt"]


async def test_the_pages_of_a_list_add_up_to_the_list(api_server: ApiServer) -> None:
    """Pages have a continue token and a remaining count, and are one snapshot, whatever is written in between."""
    await _make(api_server, "a", "b", "c", "d", "e", metadata__labels={"mine": "yes"})
    first = await api_server.get(f"{CONFIG_MAPS}?limit=2&fieldSelector=metadata.name!=kube-root-ca.crt")
    assert _names(first) == ["a", "b"]
    assert "remainingItemCount" not in first["metadata"], "it is not told where a selector stands"
    await api_server.request("DELETE", f"{CONFIG_MAPS}/d")
    token = first["metadata"]["continue"]
    second = await api_server.get(
        f"{CONFIG_MAPS}?limit=10&fieldSelector=metadata.name!=kube-root-ca.crt&continue={token}"
    )
    assert _names(second) == ["c", "d", "e"]
    assert "continue" not in second["metadata"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_items_of_a_list_have_no_kind_but_the_list_does(api_server: ApiServer) -> None:
    """For built-in kinds, apiVersion and kind are in the list only."""
    await _make(api_server, "a")
    body = await api_server.get(CONFIG_MAPS)
    assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
    assert all("kind" not in item and "apiVersion" not in item for item in body["items"])


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("labelSelector=tier=front", ["a"]),
        ("labelSelector=tier!=front", ["b", "c"]),
        ("labelSelector=tier in (front,back)", ["a", "b"]),
        ("labelSelector=tier notin (front)", ["b", "c"]),
        ("labelSelector=tier", ["a", "b"]),
        ("labelSelector=!tier", ["c"]),
        ("labelSelector=tier,tier!=back", ["a"]),
        ("fieldSelector=metadata.name=b", ["b"]),
        ("fieldSelector=metadata.name!=b,metadata.name!=kube-root-ca.crt", ["a", "c"]),
        ("fieldSelector=metadata.namespace={ns},metadata.name=c", ["c"]),
        ("fieldSelector=metadata.namespace=elsewhere", []),
    ],
)
async def test_selectors_filter_a_list(api_server: ApiServer, selector: str, expected: list[str]) -> None:
    """Label and field selectors, alone and together."""
    await _make(api_server, "a", metadata__labels={"tier": "front"})
    await _make(api_server, "b", metadata__labels={"tier": "back"})
    await _make(api_server, "c")
    assert _names(await api_server.get(f"{CONFIG_MAPS}?{selector}")) == expected


@pytest.mark.parametrize("query", ["fieldSelector=data.a=1", "labelSelector=a in b", "limit=x"])
async def test_an_invalid_selector_is_a_bad_request(api_server: ApiServer, query: str) -> None:
    """It is refused, not ignored."""
    answer = await api_server.request("GET", f"{CONFIG_MAPS}?{query}")
    assert (answer.code, answer.reason) == (400, "BadRequest")


async def test_a_watch_continues_from_the_version_of_a_list(api_server: ApiServer) -> None:
    """Every change after the list's resource version is sent once, in order, and nothing else."""
    await _make(api_server, "before")
    version = (await api_server.get(CONFIG_MAPS))["metadata"]["resourceVersion"]
    path = f"{CONFIG_MAPS}?watch=true&resourceVersion={version}&fieldSelector=metadata.name!=kube-root-ca.crt"
    async with api_server.watch(path) as watch:
        await _make(api_server, "new")
        patched = await api_server.apply(f"{CONFIG_MAPS}/new", with_(CONFIG_MAP, metadata__name="new", data={"x": "y"}))
        again = await api_server.apply(f"{CONFIG_MAPS}/new", with_(CONFIG_MAP, metadata__name="new", data={"x": "y"}))
        assert again.body["metadata"]["resourceVersion"] == patched.body["metadata"]["resourceVersion"]
        await api_server.request("DELETE", f"{CONFIG_MAPS}/new")
        events = [await watch.next() for _ in range(3)]
    assert [event and event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events if event]
    assert versions == sorted(versions)
    assert len(set(versions)) == 3


async def test_a_watch_without_a_version_starts_with_existing_objects(api_server: ApiServer) -> None:
    """Existing objects are sent as ADDED, followed by changes."""
    await _make(api_server, "a")
    async with api_server.watch(f"{CONFIG_MAPS}?watch=1") as watch:
        assert (await watch.of("a"))["type"] == "ADDED"
        await _make(api_server, "b")
        assert (await watch.of("b"))["type"] == "ADDED"


async def test_a_watch_can_list_first_and_marks_the_end_of_the_list(api_server: ApiServer) -> None:
    """The initial events of `sendInitialEvents` end with an annotated bookmark."""
    await _make(api_server, "a")
    query = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    async with api_server.watch(f"{CONFIG_MAPS}?{query}") as watch:
        assert (await watch.of("a"))["type"] == "ADDED"
        while (event := await watch.next()) and event["type"] != "BOOKMARK":
            pass
    assert event is not None
    metadata = event["object"]["metadata"]
    assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(metadata["resourceVersion"]) > 0


async def test_a_watch_with_a_selector_reports_when_an_object_starts_and_stops_to_match(api_server: ApiServer) -> None:
    """A relabelled object is ADDED in one watch, and DELETED in another."""
    await _make(api_server, "a", metadata__labels={"tier": "front"})
    version = (await api_server.get(CONFIG_MAPS))["metadata"]["resourceVersion"]
    path = f"{CONFIG_MAPS}?watch=true&resourceVersion={version}&labelSelector=tier="
    async with api_server.watch(path + "front") as front, api_server.watch(path + "back") as back:
        patch = {"metadata": {"labels": {"tier": "back"}}}
        await api_server.request("PATCH", f"{CONFIG_MAPS}/a", patch, "application/merge-patch+json")
        deleted, added = await front.of("a"), await back.of("a")
    assert (deleted["type"], added["type"]) == ("DELETED", "ADDED")
    assert deleted["object"]["metadata"]["resourceVersion"] == added["object"]["metadata"]["resourceVersion"]


async def test_a_watch_from_an_expired_version_gets_an_error_in_the_stream(api_server: ApiServer) -> None:
    """The stream opens, and its only event is an error with code 410: list again."""
    group = f"g{uuid.uuid4().hex[:8]}.example.com"  # there is no history from before the kind was defined
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await api_server.post(crds, with_(WIDGET_DEFINITION, metadata__name=f"widgets.{group}", spec__group=group))
    path = f"/apis/{group}/v1/namespaces/{{ns}}/widgets"
    await api_server.eventually(path, lambda body: body.get("kind") == "WidgetList")
    async with api_server.watch(f"{path}?watch=true&resourceVersion=1") as watch:
        event = await watch.next()
        assert watch.code == 200
    assert event is not None
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"].startswith("too old resource version: 1 (")
    await api_server.request("DELETE", f"{crds}/widgets.{group}")


async def test_a_watch_ends_after_its_timeout(api_server: ApiServer) -> None:
    """It ends cleanly, without an error event."""
    version = (await api_server.get(CONFIG_MAPS))["metadata"]["resourceVersion"]
    async with api_server.watch(f"{CONFIG_MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=1") as watch:
        while (event := await watch.next()) is not None:
            assert event["type"] != "ERROR"


async def test_a_version_from_the_future_is_refused(api_server: ApiServer) -> None:
    """With 504, since the server has not reached it yet."""
    answer = await api_server.request(
        "GET", f"{CONFIG_MAPS}?resourceVersion=999999999&resourceVersionMatch=NotOlderThan"
    )
    assert (answer.code, answer.reason) == (504, "Timeout")
    assert answer.body["message"].startswith("Timeout: Too large resource version: 999999999, current: ")


async def test_an_invalid_version_is_refused(api_server: ApiServer) -> None:
    """Resource versions are numbers."""
    answer = await api_server.request("GET", f"{CONFIG_MAPS}?resourceVersion=x")
    assert answer.code == 400


async def test_a_list_can_be_a_table(api_server: ApiServer) -> None:
    """The first and last columns are the same; rows have the object's metadata."""
    await api_server.post(DEPLOYMENTS, DEPLOYMENT)
    body = await api_server.get(DEPLOYMENTS, Accept=TABLE)
    assert (body["kind"], body["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    names = [column["name"] for column in body["columnDefinitions"]]
    assert names[:5] == ["Name", "Ready", "Up-to-date", "Available", "Age"]
    assert body["rows"][0]["cells"][0] == "web"
    assert body["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


async def test_a_list_can_be_of_metadata_only(api_server: ApiServer) -> None:
    """PartialObjectMetadataList, without spec and data."""
    await _make(api_server, "a")
    body = await api_server.get(CONFIG_MAPS, Accept=METADATA)
    assert body["kind"] == "PartialObjectMetadataList"
    assert all(item.keys() <= {"metadata", "apiVersion", "kind"} for item in body["items"])


async def test_discovery_is_served_in_both_forms(api_server: ApiServer) -> None:
    """Both have the same kinds with the same verbs and short names."""
    aggregated = await api_server.get("/apis", Accept=AGGREGATED)
    apps = next(group for group in aggregated["items"] if group["metadata"]["name"] == "apps")
    aggregated = {
        r["resource"]: (r["scope"], r["verbs"], r.get("shortNames")) for r in apps["versions"][0]["resources"]
    }
    legacy = {
        r["name"]: ("Namespaced" if r["namespaced"] else "Cluster", r["verbs"], r.get("shortNames"))
        for r in (await api_server.get("/apis/apps/v1"))["resources"]
        if "/" not in r["name"]
    }
    assert aggregated == legacy
    assert aggregated["deployments"][2] == ["deploy"]
    groups = await api_server.get("/apis")
    assert "apps" in [group["name"] for group in groups["groups"]]


async def test_the_schema_is_served_at_the_url_of_the_index(api_server: ApiServer) -> None:
    """OpenAPI v3, with the list map keys and the kinds that clients need."""
    index = await api_server.get("/openapi/v3")
    document = await api_server.get(index["paths"]["apis/apps/v1"]["serverRelativeURL"])
    schema = document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"]
    assert {"group": "apps", "version": "v1", "kind": "Deployment"} in schema["x-kubernetes-group-version-kind"]
    pod = document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert pod["x-kubernetes-list-map-keys"] == ["name"]


async def test_only_one_of_concurrent_updates_of_the_same_version_succeeds(api_server: ApiServer) -> None:
    """The others are refused with a conflict."""
    obj = await api_server.post(CONFIG_MAPS, CONFIG_MAP)
    puts = [api_server.request("PUT", f"{CONFIG_MAPS}/c", {**obj, "data": {"n": str(n)}}) for n in range(4)]
    codes = sorted(answer.code for answer in await asyncio.gather(*puts))
    assert codes == [200, 409, 409, 409]


async def test_a_date_in_yaml_is_applied_as_a_string(api_server: ApiServer) -> None:
    """Kubernetes does not use YAML's type for timestamps."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  since: 2026-11-30\n"
    answer = await api_server.request("PATCH", f"{CONFIG_MAPS}/c?fieldManager=applier", text, APPLY)
    assert (answer.code, answer.body.get("data")) == (201, {"since": "2026-11-30"}), answer.body
