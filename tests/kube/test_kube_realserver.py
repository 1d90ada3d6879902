"""The kube room against a real API server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from driftd.kube import objects
from driftd.kube.cache import LiveCache, ObjectChange, Timing
from driftd.kube.discovery import Discovery
from driftd.kube.listing import list_objects
from driftd.kube.openapi import SchemaSource
from driftd.kube.rest_client import Cluster, ClusterAccess
from driftd.kube.watch import EventType, watch
from driftd.model.errors import Conflict, Forbidden, Gone, Invalid, KubeError, NotFound, UnknownKind
from tests.kube.scripted import WIDGETS
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.controlplane

Until = Callable[[Callable[[], bool]], Awaitable[None]]

WIDGET_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def config_map(namespace: str, name: str, **values: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"from": "test"}},
        "data": values,
    }


@pytest.fixture
async def real(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    """A connection to the real API server as its administrator."""
    cluster = await Cluster.connect(ClusterAccess("real", control_plane.kubeconfig()))
    yield cluster
    await cluster.close()


@pytest.fixture
async def kinds(real: Cluster) -> Discovery:
    return await Discovery.load(real)


async def test_discovery_and_schemas_of_a_real_server(real: Cluster, kinds: Discovery, tmp_path: Path) -> None:
    """Aggregated and legacy discovery agree on every kind, and schemas come from the server and then from disk."""
    assert kinds.failed_groups == {}
    assert kinds.find("apps/v1", "Deployment").path("a", "b") == "/apis/apps/v1/namespaces/a/deployments/b"
    assert not kinds.find("v1", "Node").namespaced
    schemas = SchemaSource(real, tmp_path)
    document = await schemas.document("apps", "v1")
    assert document is not None
    assert "io.k8s.api.apps.v1.Deployment" in document["components"]["schemas"]
    assert await SchemaSource(real, tmp_path).document("apps", "v1") == document
    assert await schemas.document("", "v1") is not None

    async def legacy(method: str, path: str, **options: Any) -> Any:
        return await Cluster.request(real, method, path, **{**options, "accept": "application/json"})

    plain = Cluster.__new__(Cluster)
    plain.__dict__.update(real.__dict__, request=legacy)
    old = await Discovery.load(plain)
    assert set(old.resources) == set(kinds.resources)
    for resource in kinds.resources:
        group_kind = resource.group, resource.kind
        assert old.find_kind(*group_kind) == kinds.find_kind(*group_kind)


async def test_lists_are_complete_over_many_pages(real: Cluster, kinds: Discovery, namespace: str) -> None:
    """25 objects in pages of 10; a selector and another namespace narrow it."""
    maps = kinds.find("v1", "ConfigMap")
    for number in range(25):
        await objects.apply(real, maps, config_map(namespace, f"m{number}"))
    found = await list_objects(real, maps, namespace, page_size=10, label_selector="from=test")
    assert {item["metadata"]["name"] for item in found.items} == {f"m{number}" for number in range(25)}
    assert {(item["apiVersion"], item["kind"]) for item in found.items} == {("v1", "ConfigMap")}
    everywhere = await list_objects(real, maps, None, page_size=10)
    assert {item["metadata"]["namespace"] for item in everywhere.items} > {namespace}
    assert (await list_objects(real, maps, "no-such-namespace")).items == []


async def test_the_verbs_and_their_errors(real: Cluster, kinds: Discovery, namespace: str) -> None:
    """Dry run, apply, conflict, force, invalid, missing namespace, create, update and delete."""
    maps = kinds.find("v1", "ConfigMap")
    tried = await objects.apply(real, maps, config_map(namespace, "a", k="1"), dry_run=True)
    assert tried["data"] == {"k": "1"}
    assert await objects.get(real, maps, namespace, "a") is None

    await objects.apply(real, maps, config_map(namespace, "a", k="1"))
    with pytest.raises(Conflict, match=r'conflict with "driftd": \.data\.k'):
        await objects.apply(real, maps, config_map(namespace, "a", k="2"), field_manager="other", force=False)
    taken = await objects.apply(real, maps, config_map(namespace, "a", k="2"), field_manager="other")
    assert taken["data"] == {"k": "2"}

    with pytest.raises(Invalid, match=r"\.foo: field not declared in schema"):
        await objects.apply(real, maps, {**config_map(namespace, "a"), "foo": 1})
    with pytest.raises(NotFound, match='namespaces "no-such-namespace" not found'):
        await objects.apply(real, maps, config_map("no-such-namespace", "a"))
    with pytest.raises(UnknownKind):
        await objects.apply(real, WIDGETS, {"metadata": {"name": "w", "namespace": namespace}})

    with pytest.raises(Conflict) as exists:
        await objects.create(real, maps, config_map(namespace, "a"))
    assert exists.value.reason == "AlreadyExists"
    created = await objects.create(real, maps, config_map(namespace, "b", k="1"))
    updated = await objects.update(real, maps, {**created, "data": {"k": "2"}})
    assert updated["data"] == {"k": "2"}
    with pytest.raises(Conflict, match="the object has been modified"):
        await objects.update(real, maps, {**created, "data": {"k": "3"}})

    with pytest.raises(Conflict):
        await objects.delete(real, maps, namespace, "b", uid="00000000-0000-0000-0000-000000000000")
    assert await objects.delete(real, maps, namespace, "b", uid=created["metadata"]["uid"])
    assert not await objects.delete(real, maps, namespace, "b")


async def test_no_error_of_a_real_server_contains_a_secrets_value(
    real: Cluster, kinds: Discovery, namespace: str
) -> None:
    """Every way to get a Secret wrong in a manifest: the error has the reason and no value."""
    secrets = kinds.find("v1", "Secret")
    base = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": namespace}}
    broken: list[dict[str, Any]] = [
        {"data": {"k": "canary!"}},
        {"data": "canary"},
        {"data": ["canary"]},
        {"data": {"k": ["canary"]}},
        {"data": {"k": {"canary": 1}}},
        {"stringData": {"k": {"a": "canary"}}},
        {"stringData": ["canary"]},
        {"stringData": {"canary key": "canary"}},
        {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "canary"}},
        {"type": "kubernetes.io/tls", "stringData": {"a": "canary"}},
        {"type": ["canary"]},
        {"immutable": "canary"},
        {"stringData": {"k": "canary" * 300_000}},
    ]
    for fields in broken:
        for write in (objects.apply, objects.create):
            with pytest.raises(KubeError) as caught:
                await write(real, secrets, {**base, **fields})
            assert "canary" not in str(caught.value).replace("canary key", ""), fields
    immutable = {**base, "immutable": True, "stringData": {"k": "canary-1"}}
    await objects.apply(real, secrets, immutable)
    with pytest.raises(Invalid, match=r"immutable|FieldValueForbidden") as caught_invalid:
        await objects.apply(real, secrets, {**immutable, "stringData": {"k": "canary-2"}})
    assert "canary" not in str(caught_invalid.value)


async def test_a_watch_resumes_after_the_last_event(real: Cluster, kinds: Discovery, namespace: str) -> None:
    """The server ends it after a while; the next one continues with every event, once."""
    maps = kinds.find("v1", "ConfigMap")
    start = (await list_objects(real, maps, namespace)).resource_version
    await objects.apply(real, maps, config_map(namespace, "a"))
    first = [event async for event in watch(real, maps, namespace, start, duration=1)]
    assert [(e.type, e.object["metadata"]["name"]) for e in first if e.type is not EventType.BOOKMARK] == [
        (EventType.ADDED, "a")
    ]
    await objects.delete(real, maps, namespace, "a")
    second = [event async for event in watch(real, maps, namespace, first[-1].resource_version, duration=1)]
    assert [(e.type, e.object["kind"]) for e in second if e.type is not EventType.BOOKMARK] == [
        (EventType.DELETED, "ConfigMap")
    ]


async def test_a_streaming_list_equals_a_paginated_one(real: Cluster, kinds: Discovery, namespace: str) -> None:
    """The same objects, an end of the initial events, and later events over the same connection."""
    maps = kinds.find("v1", "ConfigMap")
    for number in range(25):
        await objects.apply(real, maps, config_map(namespace, f"m{number}"))
    pages = {item["metadata"]["name"]: item for item in (await list_objects(real, maps, namespace)).items}
    told: dict[str, object] = {}
    async with aclosing(watch(real, maps, namespace, "", send_initial_events=True, duration=30)) as events:
        async for event in events:
            if event.ends_initial_events:
                assert told == pages
                await objects.apply(real, maps, config_map(namespace, "later"))
            elif event.type is not EventType.BOOKMARK:
                told[event.object["metadata"]["name"]] = event.object
            if "later" in told:
                break
    assert told.keys() == {*pages, "later"}


async def test_a_service_account_reads_only_what_it_may(
    real: Cluster, kinds: Discovery, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """ConfigMaps of its namespace can be listed, those of all namespaces and Secrets cannot."""
    kubectl = control_plane.kubectl
    kubectl("create", "serviceaccount", "reader", "-n", namespace)
    kubectl("create", "role", "reader", "-n", namespace, "--verb=get,list,watch", "--resource=configmaps")
    kubectl("create", "rolebinding", "reader", "-n", namespace, "--role=reader", f"--serviceaccount={namespace}:reader")
    token = kubectl("create", "token", "reader", "-n", namespace).stdout
    (tmp_path / "token").write_text(token)
    document = json.loads(control_plane.kubeconfig().read_text())
    document["users"][0]["user"] = {"tokenFile": "token"}
    (tmp_path / "kubeconfig").write_text(json.dumps(document))
    reader = await Cluster.connect(ClusterAccess("reader", tmp_path / "kubeconfig"))
    maps, secrets = kinds.find("v1", "ConfigMap"), kinds.find("v1", "Secret")
    cache = LiveCache(reader, lambda _: None)
    await cache.watch_scopes([(maps, namespace), (maps, None), (secrets, namespace)])
    assert {item.ref.name for item in cache.items((maps, namespace))} == {"kube-root-ca.crt"}
    for scope in ((maps, None), (secrets, namespace)):
        with pytest.raises(Forbidden, match=rf'User "system:serviceaccount:{namespace}:reader" cannot list resource'):
            cache.items(scope)
    with pytest.raises(Forbidden):
        await objects.get(reader, secrets, namespace, "a")
    await cache.close()
    await reader.close()


async def test_the_cache_follows_a_crd_that_is_installed_and_removed(
    real: Cluster, kinds: Discovery, namespace: str, until: Until
) -> None:
    """From unknown kind to objects and back, without another call."""
    crds = kinds.find("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    scope = (WIDGETS, namespace)
    changes: list[ObjectChange] = []
    cache = LiveCache(real, changes.append, timing=Timing(watch_timeout=2, backoff=0.1, backoff_cap=0.2))
    await cache.watch_scopes([scope])
    with pytest.raises(KubeError, match="does not serve Widget"):
        cache.items(scope)
    await objects.apply(real, crds, WIDGET_CRD)
    try:
        await until(lambda: cache.freshness(scope).synced)
        metadata = {"name": "w", "namespace": namespace}
        await objects.apply(real, WIDGETS, {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata})
        await until(lambda: [change.ref.kind for change in changes] == ["Widget"])
        assert (await Discovery.load(real)).find("example.com/v1", "Widget").plural == "widgets"
    finally:
        await objects.delete(real, crds, None, "widgets.example.com")
    await until(lambda: not cache.freshness(scope).synced)
    await cache.close()


@pytest.mark.parametrize("grace", [10, 0], ids=["graceful", "killed"])
async def test_no_change_is_lost_while_the_api_server_restarts(
    control_plane: ControlPlane, assets: Path, until: Until, grace: float
) -> None:
    """Changes before, during and after the restart are cached and notified."""
    with ControlPlane(assets) as alone:
        cluster = await Cluster.connect(ClusterAccess("alone", alone.kubeconfig()))
        maps = (await Discovery.load(cluster)).find("v1", "ConfigMap")
        scope = (maps, "default")
        told: dict[str, str] = {}

        def note(change: ObjectChange) -> None:
            told[change.ref.name] = change.new.object["data"]["at"] if change.new else "gone"

        cache = LiveCache(cluster, note, timing=Timing(stale_after=0.2, backoff=0.1, backoff_cap=0.5))
        await objects.apply(cluster, maps, config_map("default", "gone", at="before"))
        await cache.watch_scopes([scope])
        await objects.apply(cluster, maps, config_map("default", "kept", at="before"))
        alone.stop_apiserver(grace)
        await until(lambda: not cache.freshness(scope).synced)
        with pytest.raises(KubeError, match=r"refused the connection|closed the connection"):
            cache.items(scope)
        alone.start_apiserver()
        with pytest.raises(Gone):  # the new API server's window does not reach back that far
            async for _ in watch(cluster, maps, "default", "1", duration=5):
                pass
        await objects.delete(cluster, maps, "default", "gone")
        await objects.apply(cluster, maps, config_map("default", "kept", at="after"))
        await until(lambda: told == {"kept": "after", "gone": "gone"})
        assert cache.freshness(scope).synced
        assert "gone" not in {item.ref.name for item in cache.items(scope)}
        await cache.close()
        await cluster.close()
