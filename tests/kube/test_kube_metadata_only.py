"""Undeclared objects are cached as metadata only, which is never compared."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.kube import cached_object
from driftd.kube.cache import LiveCache, ObjectChange
from driftd.kube.cached_object import CachedObject, DecodedCache, Packer
from driftd.kube.discovery import Scope
from driftd.kube.rest_client import Cluster
from driftd.model.errors import Forbidden, KubeError
from driftd.model.resource import ResourceRef
from tests.kube.scripted import (
    CONFIG_MAPS,
    Answer,
    ScriptedApi,
    config_map,
    data,
    event,
    listing,
    refused,
)

ALL = "/api/v1/namespaces/shop/configmaps"
SHOP: Scope = (CONFIG_MAPS, "shop")
REF = ResourceRef("", "ConfigMap", "shop", "a")
Until = Callable[[Callable[[], bool]], Awaitable[None]]

texts = st.text(max_size=8)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
    max_leaves=6,
)


class World:
    """A cache with the content of the objects in `declared`, and its notifications."""

    def __init__(self, cluster: Cluster) -> None:
        self.changes: list[ObjectChange] = []
        self.declared = {"a"}
        self.cache = LiveCache(
            cluster, self.changes.append, needs_content=lambda ref, _content: ref.name in self.declared
        )

    def cached(self, name: str) -> CachedObject:
        cached = self.cache.get(CONFIG_MAPS, "shop", name)
        assert cached is not None
        return cached


@pytest.fixture
async def world(api: ScriptedApi, cluster: Cluster) -> AsyncIterator[World]:
    """Two objects, of which `a` is declared and `b` is not."""
    api.on("GET", ALL, listing(5, config_map("a", 3, k="1"), config_map("b", 4, k="2")))
    api.on("watch GET", ALL, api.hold())
    created = World(cluster)
    await created.cache.watch_scopes([SHOP])
    yield created
    await created.cache.close()


def fetched(name: str) -> str:
    return f"{ALL}/{name}"


async def test_undeclared_objects_are_cached_as_metadata_only(world: World) -> None:
    """Their existence and version are known; their content cannot be read."""
    assert world.cached("a").object["data"] == {"k": "1"}
    assert world.cached("b").resource_version == "4"
    assert world.cached("b").metadata["metadata"]["uid"] == "uid-b"
    with pytest.raises(LookupError, match="only its metadata"):
        _ = world.cached("b").object


async def test_missing_content_is_fetched_by_one_get_without_a_notification(api: ScriptedApi, world: World) -> None:
    """Nothing has changed in the cluster."""
    api.on("GET", fetched("b"), data(config_map("b", 4, k="2")))
    await world.cache.fetch_content(CONFIG_MAPS, "shop", ["a", "b", "c"])
    assert world.cached("b").object["data"] == {"k": "2"}
    assert [seen.path for seen in api.seen if seen.path != ALL] == [fetched("b")]
    assert world.changes == []


async def test_the_content_of_many_objects_is_fetched_by_one_list(api: ScriptedApi, world: World) -> None:
    """A request for each would take longer, and burden the API server."""
    names = [f"m{number}" for number in range(150)]
    api.on("GET", ALL, listing(9, *(config_map(name, 8, k=name) for name in names)))
    await world.cache.watch_scopes([])
    await world.cache.watch_scopes([SHOP])
    before = _reads(api)
    await world.cache.fetch_content(CONFIG_MAPS, "shop", names)
    assert all(world.cached(name).object["data"] == {"k": name} for name in names)
    assert _reads(api) == before + 1


async def test_a_deleted_object_is_removed_when_its_content_is_fetched(api: ScriptedApi, world: World) -> None:
    """The watch notifies the delete later."""
    api.on("GET", fetched("b"), refused(404, "NotFound", 'configmaps "b" not found', name="b"))
    await world.cache.fetch_content(CONFIG_MAPS, "shop", ["b"])
    assert world.cache.get(CONFIG_MAPS, "shop", "b") is None
    assert world.changes == []


async def test_content_that_may_not_be_read_stays_missing(api: ScriptedApi, world: World) -> None:
    """The error says why."""
    api.on("GET", fetched("b"), refused(403, "Forbidden", "no"))
    api.on("GET", ALL, refused(403, "Forbidden", "no"))
    with pytest.raises(Forbidden):
        await world.cache.fetch_content(CONFIG_MAPS, "shop", ["b"])
    assert world.cached("b").metadata_only


async def test_the_content_of_an_unwatched_object_is_not_fetched(world: World) -> None:
    """Nothing would keep it up to date."""
    with pytest.raises(KubeError, match="not watched"):
        await world.cache.fetch_content(CONFIG_MAPS, "other", ["b"])


async def test_events_older_than_fetched_content_are_skipped(api: ScriptedApi, cluster: Cluster, until: Until) -> None:
    """An object fetched at version 9 neither returns to version 7 nor is removed by an earlier delete."""
    fetching = asyncio.Event()
    late = (
        event("MODIFIED", config_map("b", 7, k="7")),
        event("DELETED", config_map("b", 8)),
        event("ADDED", config_map("b", 9, k="9")),
        event("MODIFIED", config_map("a", 10)),
    )
    api.on("GET", ALL, listing(5, config_map("a", 3), config_map("b", 4)))
    api.on("watch GET", ALL, _after(fetching, api.hold(*late)))
    api.on("GET", fetched("b"), data(config_map("b", 9, k="9")))
    world = World(cluster)
    await world.cache.watch_scopes([SHOP])
    world.declared.add("b")
    await world.cache.fetch_content(CONFIG_MAPS, "shop", ["b"])
    seen: list[Any] = []
    world.changes.clear()
    fetching.set()
    await until(lambda: bool(world.changes) and world.changes[-1].ref.name == "a")
    seen = [change.new.resource_version if change.new else None for change in world.changes if change.ref.name == "b"]
    assert seen == ["9"]
    assert world.cached("b").object["data"] == {"k": "9"}
    await world.cache.close()


async def test_fetched_content_older_than_the_watch_is_discarded(
    api: ScriptedApi, cluster: Cluster, until: Until
) -> None:
    """The watch has a newer version than the response."""
    declared, answering = asyncio.Event(), asyncio.Event()
    api.on("GET", ALL, listing(5, config_map("b", 4)))
    api.on("watch GET", ALL, _after(declared, api.hold(event("MODIFIED", config_map("b", 7, k="7")))))
    api.on("GET", fetched("b"), _after(answering, data(config_map("b", 4, k="4"))))
    world = World(cluster)
    await world.cache.watch_scopes([SHOP])
    world.declared.add("b")
    completing = asyncio.create_task(world.cache.fetch_content(CONFIG_MAPS, "shop", ["b"]))
    declared.set()
    await until(lambda: len(world.changes) == 1)
    answering.set()
    await completing
    assert world.cached("b").object["data"] == {"k": "7"}
    await world.cache.close()


async def test_objects_that_are_no_longer_declared_are_reduced_to_metadata(api: ScriptedApi, world: World) -> None:
    """Their content is fetched again when they are declared again."""
    world.declared.clear()
    await world.cache.drop_unneeded_content()
    assert world.cached("a").metadata_only
    assert world.cached("a").resource_version == "3"
    api.on("GET", fetched("a"), data(config_map("a", 3, k="1")))
    world.declared.add("a")
    await world.cache.fetch_content(CONFIG_MAPS, "shop", ["a"])
    assert world.cached("a").object["data"] == {"k": "1"}
    assert world.changes == []


@given(st.lists(st.dictionaries(st.sampled_from(["data", "spec"]), values), min_size=1, max_size=6))
def test_a_cached_object_is_the_object_itself(contents: list[dict[str, Any]]) -> None:
    """Whatever its content, and whatever was cached before it."""
    packer = Packer()
    objects = [{**content, "metadata": {"name": "a", "resourceVersion": "1"}} for content in contents]
    cached = [packer.pack(REF, content) for content in objects]
    assert [entry.object for entry in cached] == objects


def test_similar_objects_take_a_third_of_their_json() -> None:
    """What objects of a kind have in common, such as most of managedFields, is stored once."""
    fields = {f"f:field{number}": {"f:name": {}, "f:value": {}} for number in range(80)}

    def content(number: int) -> dict[str, Any]:
        managed = [{"manager": "pipeline", "operation": "Apply", "time": f"2026-11-22T08:{number % 60:02}:00Z"}]
        metadata = {"name": f"m{number}", "resourceVersion": str(number), "managedFields": managed}
        return {"metadata": metadata, "data": {f"field{n}": f"value{n * number % 7}" for n in range(80)}, "f": fields}

    packer = Packer()
    tracemalloc.start()
    cached = [packer.pack(REF, content(number)) for number in range(1000)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < sum(len(orjson.dumps(content(number))) for number in range(1000)) / 3
    assert cached[999].object == content(999)


def _reads(api: ScriptedApi) -> int:
    return len([seen for seen in api.seen if "watch" not in seen.query])


def _after(moment: asyncio.Event, answer: Answer) -> Answer:
    async def wait(request):  # type: ignore[no-untyped-def]
        await moment.wait()
        return await answer(request)

    return wait


async def test_the_latest_changed_objects_are_kept_decoded_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limited number per cluster, and none once nothing changes."""
    monkeypatch.setattr(cached_object, "_MAX_DECODED", 2)
    monkeypatch.setattr(cached_object, "_DECODED_SECONDS", 0.02)
    decoded = DecodedCache()
    entries = []
    for number in range(3):
        content = {"kind": "ConfigMap", "metadata": {"name": str(number), "resourceVersion": "1"}}
        entries.append((CachedObject(ResourceRef("", "ConfigMap", "web", str(number)), content), content))
        decoded.add(*entries[-1])
    assert [cached.object is content for cached, content in entries] == [False, True, True]
    await asyncio.sleep(0.1)
    assert [cached.object is content for cached, content in entries] == [False, False, False]
    assert [cached.object == content for cached, content in entries] == [True, True, True]
