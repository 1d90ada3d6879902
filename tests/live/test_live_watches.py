"""The watches and the live cache that the apps of one cluster share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from driftd.kube.cache import CachedObject, LiveCache, Timing
from driftd.kube.discovery import ApiResource, Discovery, Scope
from driftd.live.api_reader import ReadResult
from driftd.live.cache_reader import CacheReader
from driftd.live.mapping import MappedManifest
from driftd.live.watches import ClusterWatches
from driftd.model.audit import ApiPath, AuditEvent
from driftd.model.drift import Status, Verdict
from driftd.model.errors import DriftdError
from driftd.model.resource import Manifest, ResourceRef, Source
from tests.support.world import World, deployment, until

VERBS = frozenset({"get", "list", "watch"})
CONFIG_MAPS = ApiResource("", "v1", "configmaps", "ConfigMap", True, VERBS)
MAPS: Scope = (CONFIG_MAPS, "web")


class Shared:
    """The watches of the world's cluster, which drop the content of undeclared objects at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.changed_apps: list[str] = []
        self.caches: list[LiveCache] = []
        self.watches = ClusterWatches(self._cache, self.changed_apps.append, world.clock, trim_after=0)

    def _cache(self, changed: Any, fresh: Any) -> LiveCache:
        self.caches.append(LiveCache(self.world.cluster, changed, fresh, Timing(backoff=0.05, stale_after=0.3)))
        return self.caches[-1]

    def held(self, resource: ApiResource, name: str) -> CachedObject | None:
        return self.caches[0].get(resource, "web", name)

    async def metadata_only(self, name: str) -> None:
        """Returns once a ConfigMap is held as metadata only."""
        await until(lambda: (held := self.held(CONFIG_MAPS, name)) is not None and held.metadata_only, name)


@pytest.fixture
async def shared(observed: World) -> AsyncIterator[Shared]:
    """Two ConfigMaps are live, `a` and `b`; an app declares `a`."""
    for name in ("a", "b"):
        await make(observed, name)
    created = Shared(observed)
    await created.watches.subscribe("first", {MAPS}, {ref("a")})
    await created.metadata_only("b")
    yield created
    await created.watches.close()


async def make(world: World, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "web"}, "data": {"k": "1"}}
    await world.request("POST", "/api/v1/namespaces/web/configmaps", body)


def ref(name: str) -> ResourceRef:
    return ResourceRef("", "ConfigMap", "web", name)


async def read(reader: CacheReader, name: str) -> ReadResult:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "web"}}
    item = MappedManifest(Manifest.of(body, Source("app/config.yaml", 1)), CONFIG_MAPS)
    return (await reader.read([item]))[ref(name)]


async def test_the_content_of_an_object_that_becomes_declared_is_fetched(shared: Shared) -> None:
    """It was held as metadata only: it is neither assessed by that nor missing."""
    reader = await shared.watches.subscribe("second", {MAPS}, {ref("b")})
    result = await read(reader, "b")
    assert result.error is None
    assert result.body is not None
    assert result.body["data"] == {"k": "1"}


async def test_an_object_that_becomes_declared_is_unknown_if_its_content_cannot_be_fetched(shared: Shared) -> None:
    """Never in sync, and never missing."""
    reader = await shared.watches.subscribe("second", {MAPS}, {ref("b")})
    shared.world.sandbox.faults.fail(verb="*", resource="configmaps", times=50, message="etcd is away")
    result = await read(reader, "b")
    assert result.body is None
    assert result.error is not None


async def test_the_content_of_an_object_that_is_no_longer_declared_is_dropped(shared: Shared) -> None:
    """And a change of it concerns no app."""
    await shared.watches.subscribe("first", {MAPS}, set())
    await shared.metadata_only("a")
    shared.changed_apps.clear()
    await shared.world.edit("ConfigMap", {"data": {"k": "2"}}, name="a")
    await make(shared.world, "c")
    await shared.metadata_only("c")
    assert shared.changed_apps == []


async def test_an_audit_event_concerns_the_object_at_its_path_where_an_app_declares_it(shared: Shared) -> None:
    """By the plural of its resource; the namespace that a URL has is that of the object."""
    shared.watches.drain_changes("first")
    paths = [("", "configmaps", "web", "b"), ("", "secrets", "web", "a"), ("", "configmaps", "other", "a")]
    now = shared.world.clock()
    events = [AuditEvent(ApiPath(*path), "delete", "grace", None, None, now, now) for path in paths]
    shared.watches.record_audit(events)
    assert shared.watches.drain_changes("first") == set()
    shared.watches.record_audit([replace(events[0], path=ApiPath("", "configmaps", "web", "a"))])
    assert shared.watches.drain_changes("first") == {ref("a")}
    [verdict] = shared.watches.actors.attribute([Verdict(ref("a"), "v1", Status.MISSING)])
    assert verdict.by is not None
    assert verdict.by.user == "grace"


async def test_the_content_of_pods_of_declared_workloads_is_held(shared: Shared) -> None:
    """Also of a workload that becomes declared after its pods were created."""
    world = shared.world
    kinds = await Discovery.load(world.cluster)
    pods, deployments = kinds.find("v1", "Pod"), kinds.find("apps/v1", "Deployment")
    scopes: set[Scope] = {(pods, "web"), (deployments, "web")}
    declared = {name: ResourceRef("apps", "Deployment", "web", name) for name in ("web", "other")}
    await shared.watches.subscribe("first", scopes, {declared["web"]})
    for name in declared:
        await world.apply("Deployment", deployment(name=name), name)

    def whole(name: str) -> list[bool]:
        return [not pod.metadata_only for pod in shared.caches[0].items((pods, "web")) if pod.ref.name.startswith(name)]

    await until(lambda: whole("web") == [True] and whole("other") == [False], "the pods")
    reader = await shared.watches.subscribe("second", scopes, {declared["other"]})
    [own_pods] = (await reader.pods_of(pods, {"web": [declared["other"]]})).values()
    assert not isinstance(own_pods, DriftdError)
    [pod] = own_pods
    assert pod["spec"]["containers"][0]["image"] == "shop/web:1", json.dumps(pod)
