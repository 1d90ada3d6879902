"""Reading from the live cache, which may be a moment behind what this process has just written."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.kube.discovery import ApiResource
from driftd.kube.reflector import CachedObject
from driftd.live import api_reader
from driftd.live.api_reader import ApiReader, ReadResult
from driftd.live.cache_reader import CacheReader
from driftd.live.mapping import MappedManifest
from driftd.live.pod_index import PodIndex
from driftd.model.errors import Forbidden, KubeError
from driftd.model.resource import ResourceRef
from tests.support.samples import manifest

CONFIG_MAPS = ApiResource("", "v1", "configmaps", "ConfigMap", True, frozenset({"get", "list", "watch"}))
WANTED = MappedManifest(manifest("ConfigMap").in_namespace("web"), CONFIG_MAPS)
REF = WANTED.manifest.ref


@dataclass
class Scope:
    """One scope of a live cache: what it holds, and up to which version it knows."""

    version_known: int | None = 0
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    failure: KubeError | None = None

    def get(self, _resource: ApiResource, _namespace: str | None, name: str) -> CachedObject | None:
        if self.failure is not None:
            raise self.failure
        found = self.objects.get(name)
        return CachedObject(REF, found) if found is not None else None

    def version(self, _resource: ApiResource, _namespace: str | None) -> str | None:
        return None if self.version_known is None else str(self.version_known)

    def sees(self, version: int, body: dict[str, Any] | None) -> None:
        """An event of the watch."""
        self.version_known = version
        if body is None:
            self.objects.pop("web", None)
        else:
            self.objects["web"] = body


def body(version: int, uid: str = "1") -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "web", "uid": uid, "resourceVersion": str(version)}}


def reader(scope: Scope) -> CacheReader:
    return CacheReader(scope, PodIndex())  # type: ignore[arg-type]  # what a reader needs of a cache


async def read(source: CacheReader) -> ReadResult:
    return (await source.read([WANTED]))[REF]


async def test_it_reads_what_the_cache_holds() -> None:
    """An object, or that there is none."""
    scope = Scope()
    assert await read(reader(scope)) == ReadResult(None)
    scope.sees(5, body(5))
    assert await read(reader(scope)) == ReadResult(body(5))


async def test_an_object_that_was_just_created_is_there_before_its_event_comes() -> None:
    """Not missing: that would be told to people as drift."""
    scope = Scope(version_known=5)
    source = reader(scope)
    source.record_write(REF, body(7))
    assert await read(source) == ReadResult(body(7))
    scope.sees(7, body(7))
    assert await read(source) == ReadResult(body(7))


async def test_an_object_that_was_just_changed_is_read_as_it_was_written() -> None:
    """The cache has an older one; what others change later counts as soon as it is seen."""
    scope = Scope()
    scope.sees(5, body(5))
    source = reader(scope)
    source.record_write(REF, body(7))
    assert await read(source) == ReadResult(body(7))
    scope.sees(9, body(9))
    assert await read(source) == ReadResult(body(9))
    assert await read(source) == ReadResult(body(9))


async def test_an_object_that_was_recreated_is_read_as_the_new_one() -> None:
    """The cache still has the one that was deleted."""
    scope = Scope()
    scope.sees(5, body(5, "old"))
    source = reader(scope)
    source.record_write(REF, body(8, "new"))
    assert await read(source) == ReadResult(body(8, "new"))


async def test_what_was_deleted_after_it_was_written_is_gone() -> None:
    """Also where neither its coming nor its going was seen: the list knows a later version, and does not have it."""
    scope = Scope(version_known=5)
    source = reader(scope)
    source.record_write(REF, body(7))
    scope.sees(9, None)
    assert await read(source) == ReadResult(None)
    scope.version_known = 6
    assert await read(source) == ReadResult(None), "what was once outdated stays forgotten"


async def test_while_a_scope_is_listed_anew_what_was_written_counts() -> None:
    """A 410 leaves old objects in place, of a version that nobody knows any more."""
    scope = Scope()
    scope.sees(5, body(5))
    source = reader(scope)
    source.record_write(REF, body(7))
    scope.version_known = None
    assert await read(source) == ReadResult(body(7))


async def test_a_scope_that_cannot_be_trusted_is_an_error_even_of_what_was_written() -> None:
    """Unknown, in the API server's own words, and never in sync."""
    scope = Scope(failure=Forbidden("configmaps is forbidden"))
    source = reader(scope)
    source.record_write(REF, body(7))
    assert await read(source) == ReadResult(None, "configmaps is forbidden")


async def test_what_the_cluster_does_not_serve_is_not_read() -> None:
    """Its verdict comes from discovery."""
    assert await reader(Scope()).read([MappedManifest(WANTED.manifest, None)]) == {}


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
                scope.sees(*log[seen - 1])
        else:
            version += step
            truth = None if what == "they delete" else body(version)
            log.append((version, truth))
            if what == "we write":
                ours = version
                source.record_write(REF, body(version))
        found = (await read(source)).body
        at = max(ours, int(scope.version_known or 0))
        assert found == next((b for v, b in reversed(log) if v <= at), None)
    if log:
        scope.sees(*log[-1])
    assert (await read(source)).body == truth


def test_references_of_wanted_objects_have_their_namespace() -> None:
    """A manifest that names none would never be found in a cache."""
    assert ResourceRef("", "ConfigMap", "web", "web") == REF


@pytest.mark.parametrize(
    ("forbidden", "asked"),
    [
        ((), [None]),
        ((None,), [None, *(f"ns-{number}" for number in range(9))]),
        ((None, "ns-3"), [None, *(f"ns-{number}" for number in range(9))]),
    ],
)
async def test_the_pods_of_many_namespaces_are_listed_at_once_where_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, forbidden: tuple[str | None, ...], asked: list[str | None]
) -> None:
    """Otherwise one by one; and a namespace that may not be read is one that is said not to have been."""
    namespaces = [f"ns-{number}" for number in range(9)]
    requests: list[str | None] = []

    async def listed(_cluster: object, _resource: ApiResource, namespace: str | None) -> object:
        requests.append(namespace)
        if namespace in forbidden:
            raise Forbidden("no")
        among = [*namespaces, "other"] if namespace is None else [namespace]
        return SimpleNamespace(items=[{"metadata": {"namespace": one, "name": f"pod-{one}"}} for one in among])

    monkeypatch.setattr(api_reader, "list_objects", listed)
    found = await ApiReader(cast("Any", None)).pods_of(CONFIG_MAPS, {namespace: [] for namespace in namespaces})
    assert requests == asked
    assert list(found) == namespaces
    for namespace, pods in found.items():
        if namespace in forbidden:
            assert isinstance(pods, Forbidden)
        else:
            assert not isinstance(pods, Exception)
            assert [pod["metadata"]["name"] for pod in pods] == [f"pod-{namespace}"]
