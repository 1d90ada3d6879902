"""Reading from the live cache, which may be a moment behind what this process has just written."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.kube.discovery import ApiResource
from driftd.kube.reflector import CachedObject, Freshness
from driftd.live import api_reader
from driftd.live.api_reader import ApiReader, ReadResult
from driftd.live.cache_reader import CacheReader
from driftd.live.mapping import MappedManifest
from driftd.live.pod_index import PodIndex
from driftd.model.errors import Forbidden, KubeError
from driftd.model.resource import ResourceRef
from tests.support.samples import manifest

CONFIG_MAPS = ApiResource("", "v1", "configmaps", "ConfigMap", True, frozenset({"get", "list", "watch"}))
ITEM = MappedManifest(manifest("ConfigMap").in_namespace("web"), CONFIG_MAPS)
REF = ITEM.manifest.ref


@dataclass
class Scope:
    """A live cache of one scope: its objects, and the version up to which it is current."""

    current_version: int | None = 0
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    failure: KubeError | None = None
    watch_error: str | None = None

    def freshness(self, _scope: object) -> Freshness:
        return Freshness(synced=True, error=self.watch_error, last_contact=None)

    def get(self, _resource: ApiResource, _namespace: str | None, name: str) -> CachedObject | None:
        if self.failure is not None:
            raise self.failure
        body = self.objects.get(name)
        return CachedObject(REF, body) if body is not None else None

    def version(self, _resource: ApiResource, _namespace: str | None) -> str | None:
        return None if self.current_version is None else str(self.current_version)

    def apply_event(self, version: int, body: dict[str, Any] | None) -> None:
        """An event of the watch."""
        self.current_version = version
        if body is None:
            self.objects.pop("web", None)
        else:
            self.objects["web"] = body


def body(version: int, uid: str = "1") -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "web", "uid": uid, "resourceVersion": str(version)}}


def reader(scope: Scope) -> CacheReader:
    return CacheReader(scope, PodIndex())  # type: ignore[arg-type]  # what a reader needs of a cache


async def read(source: CacheReader) -> ReadResult:
    return (await source.read([ITEM]))[REF]


async def test_it_reads_what_the_cache_holds() -> None:
    """An object, or none."""
    scope = Scope()
    assert await read(reader(scope)) == ReadResult(None)
    scope.apply_event(5, body(5))
    assert await read(reader(scope)) == ReadResult(body(5))


async def test_an_object_that_was_just_created_exists_before_its_watch_event() -> None:
    """It is not missing: that would be reported as drift."""
    scope = Scope(current_version=5)
    source = reader(scope)
    source.record_write(REF, body(7))
    assert await read(source) == ReadResult(body(7))
    scope.apply_event(7, body(7))
    assert await read(source) == ReadResult(body(7))


async def test_an_object_that_was_just_changed_is_read_as_it_was_written() -> None:
    """The cache has an older version; a later change by others counts from its watch event on."""
    scope = Scope()
    scope.apply_event(5, body(5))
    source = reader(scope)
    source.record_write(REF, body(7))
    assert await read(source) == ReadResult(body(7))
    scope.apply_event(9, body(9))
    assert await read(source) == ReadResult(body(9))
    assert await read(source) == ReadResult(body(9))


async def test_an_object_that_was_recreated_is_read_as_the_new_one() -> None:
    """The cache still has the one that was deleted."""
    scope = Scope()
    scope.apply_event(5, body(5, "old"))
    source = reader(scope)
    source.record_write(REF, body(8, "new"))
    assert await read(source) == ReadResult(body(8, "new"))


async def test_what_was_deleted_after_it_was_written_is_gone() -> None:
    """Even without watch events of its creation and deletion: a list of a later version does not have it."""
    scope = Scope(current_version=5)
    source = reader(scope)
    source.record_write(REF, body(7))
    scope.apply_event(9, None)
    assert await read(source) == ReadResult(None)
    scope.current_version = 6
    assert await read(source) == ReadResult(None), "an outdated write is not used again"


async def test_while_a_scope_is_listed_again_our_own_write_counts() -> None:
    """A 410 leaves old objects in place, of an unknown version."""
    scope = Scope()
    scope.apply_event(5, body(5))
    source = reader(scope)
    source.record_write(REF, body(7))
    scope.current_version = None
    assert await read(source) == ReadResult(body(7))


async def test_a_scope_that_is_not_fresh_is_an_error_even_for_our_own_write() -> None:
    """Unknown, with the API server's message, and never in sync."""
    scope = Scope(failure=Forbidden("configmaps is forbidden"))
    source = reader(scope)
    source.record_write(REF, body(7))
    assert await read(source) == ReadResult(None, "configmaps is forbidden")


async def test_an_object_of_a_kind_that_is_not_served_is_not_read() -> None:
    """Its verdict comes from discovery alone."""
    assert await reader(Scope()).read([MappedManifest(ITEM.manifest, None)]) == {}


events = st.lists(
    st.tuples(st.sampled_from(["they write", "we write", "they delete", "see"]), st.integers(1, 3)), max_size=30
)


@given(events)
async def test_a_reader_never_goes_back_behind_its_own_write(script: list[tuple[str, int]]) -> None:
    """Whatever the order of our writes, theirs, and the events of the watch: no older version than our last is read."""
    scope, version, truth = Scope(), 0, None
    source = reader(scope)
    log: list[tuple[int, dict[str, Any] | None]] = []
    ours = seen = 0
    for what, step in script:
        if what == "see":
            seen = min(len(log), seen + step)
            if seen:
                scope.apply_event(*log[seen - 1])
        else:
            version += step
            truth = None if what == "they delete" else body(version)
            log.append((version, truth))
            if what == "we write":
                ours = version
                source.record_write(REF, body(version))
        result = (await read(source)).body
        at = max(ours, int(scope.current_version or 0))
        assert result == next((b for v, b in reversed(log) if v <= at), None)
    if log:
        scope.apply_event(*log[-1])
    assert (await read(source)).body == truth


def test_references_of_mapped_manifests_have_their_namespace() -> None:
    """A reference without one would never be found in a cache."""
    assert ResourceRef("", "ConfigMap", "web", "web") == REF


@pytest.mark.parametrize(
    ("forbidden", "expected"),
    [
        ((), [None]),
        ((None,), [None, *(f"ns-{number}" for number in range(9))]),
        ((None, "ns-3"), [None, *(f"ns-{number}" for number in range(9))]),
    ],
)
async def test_the_pods_of_many_namespaces_are_listed_at_once_if_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, forbidden: tuple[str | None, ...], expected: list[str | None]
) -> None:
    """Otherwise one by one; and a namespace that may not be read has an error."""
    namespaces = [f"ns-{number}" for number in range(9)]
    requests: list[str | None] = []

    async def list_objects(_cluster: object, _resource: ApiResource, namespace: str | None) -> object:
        requests.append(namespace)
        if namespace in forbidden:
            raise Forbidden("no")
        listed = [*namespaces, "other"] if namespace is None else [namespace]
        return SimpleNamespace(items=[{"metadata": {"namespace": name, "name": f"pod-{name}"}} for name in listed])

    monkeypatch.setattr(api_reader, "list_objects", list_objects)
    pods_by_namespace = await ApiReader(cast("Any", None)).pods_of(
        CONFIG_MAPS, {namespace: [] for namespace in namespaces}
    )
    assert requests == expected
    assert list(pods_by_namespace) == namespaces
    for namespace, pods in pods_by_namespace.items():
        if namespace in forbidden:
            assert isinstance(pods, Forbidden)
        else:
            assert not isinstance(pods, Exception)
            assert [pod["metadata"]["name"] for pod in pods] == [f"pod-{namespace}"]


def test_what_is_watched_is_observed_only_while_the_watch_works() -> None:
    """A broken watch counts as fresh for a while; a rollout must not run out of time in it."""
    scope = Scope()
    assert reader(scope).works([(CONFIG_MAPS, "web")])
    scope.watch_error = "connection refused"
    assert not reader(scope).works([(CONFIG_MAPS, "web")])
