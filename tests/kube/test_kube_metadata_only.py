"""What nobody declares is held in outline, and nothing is ever judged by an outline."""

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
from driftd.kube.cache import Changed, LiveCache
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
    """A cache that holds whole what is in `declared`, and everything it told."""

    def __init__(self, cluster: Cluster) -> None:
        self.changes: list[Changed] = []
        self.declared = {"a"}
        self.cache = LiveCache(cluster, self.changes.append, keep=lambda ref, _content: ref.name in self.declared)

    def held(self, name: str) -> CachedObject:
        found = self.cache.get(CONFIG_MAPS, "shop", name)
        assert found is not None
        return found


@pytest.fixture
async def world(api: ScriptedApi, cluster: Cluster) -> AsyncIterator[World]:
    """Two objects are there, `a` is declared and `b` is not."""
    api.on("GET", ALL, listing(5, config_map("a", 3, k="1"), config_map("b", 4, k="2")))
    api.on("watch GET", ALL, api.hold())
    created = World(cluster)
    await created.cache.watch_scopes([SHOP])
    yield created
    await created.cache.close()


def fetched(name: str) -> str:
    return f"{ALL}/{name}"


async def test_what_is_declared_is_whole_and_the_rest_an_outline(world: World) -> None:
    """Of an outline it is known that it is there, and in which version; its content is not to be had."""
    assert world.held("a").object["data"] == {"k": "1"}
    assert world.held("b").resource_version == "4"
    assert world.held("b").metadata["metadata"]["uid"] == "uid-b"
    with pytest.raises(LookupError, match="in outline only"):
        _ = world.held("b").object


async def test_an_outline_is_completed_by_one_request_and_nobody_is_told(api: ScriptedApi, world: World) -> None:
    """Nothing has changed in the cluster."""
    api.on("GET", fetched("b"), data(config_map("b", 4, k="2")))
    await world.cache.fetch_content(CONFIG_MAPS, "shop", ["a", "b", "c"])
    assert world.held("b").object["data"] == {"k": "2"}
    assert [seen.path for seen in api.seen if seen.path != ALL] == [fetched("b")]
    assert world.changes == []


async def test_many_outlines_are_completed_by_one_list(api: ScriptedApi, world: World) -> None:
    """A thousand requests would take longer, and keep the API server from its work."""
    names = [f"m{number}" for number in range(150)]
    api.on("GET", ALL, listing(9, *(config_map(name, 8, k=name) for name in names)))
    await world.cache.watch_scopes([])
    await world.cache.watch_scopes([SHOP])
    before = _reads(api)
    await world.cache.fetch_content(CONFIG_MAPS, "shop", names)
    assert all(world.held(name).object["data"] == {"k": name} for name in names)
    assert _reads(api) == before + 1


async def test_an_outline_whose_object_has_gone_is_dropped(api: ScriptedApi, world: World) -> None:
    """Its going is told by the watch, when that comes to it."""
    api.on("GET", fetched("b"), refused(404, "NotFound", 'configmaps "b" not found', name="b"))
    await world.cache.fetch_content(CONFIG_MAPS, "shop", ["b"])
    assert world.cache.get(CONFIG_MAPS, "shop", "b") is None
    assert world.changes == []


async def test_an_outline_that_cannot_be_completed_stays_one(api: ScriptedApi, world: World) -> None:
    """Whoever needs the object is told why it cannot be had."""
    api.on("GET", fetched("b"), refused(403, "Forbidden", "no"))
    api.on("GET", ALL, refused(403, "Forbidden", "no"))
    with pytest.raises(Forbidden):
        await world.cache.fetch_content(CONFIG_MAPS, "shop", ["b"])
    assert not world.held("b").is_whole


async def test_what_is_not_watched_cannot_be_completed(world: World) -> None:
    """Nothing would keep it up to date."""
    with pytest.raises(KubeError, match="not watched"):
        await world.cache.fetch_content(CONFIG_MAPS, "other", ["b"])


async def test_a_watch_that_is_behind_what_was_fetched_does_not_bring_the_past_back(
    api: ScriptedApi, cluster: Cluster, until: Until
) -> None:
    """An object that was fetched at version 9 does not become the one of version 7 again, nor is it gone by then."""
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
    assert world.held("b").object["data"] == {"k": "9"}
    await world.cache.close()


async def test_an_object_that_changes_while_it_is_fetched_is_left_to_the_watch(
    api: ScriptedApi, cluster: Cluster, until: Until
) -> None:
    """The watch has brought a newer one than the answer that was under way."""
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
    assert world.held("b").object["data"] == {"k": "7"}
    await world.cache.close()


async def test_what_nobody_declares_any_more_is_cut_down(api: ScriptedApi, world: World) -> None:
    """And is whole again when it is declared again."""
    world.declared.clear()
    await world.cache.drop_unneeded_content()
    assert not world.held("a").is_whole
    assert world.held("a").resource_version == "3"
    api.on("GET", fetched("a"), data(config_map("a", 3, k="1")))
    world.declared.add("a")
    await world.cache.fetch_content(CONFIG_MAPS, "shop", ["a"])
    assert world.held("a").object["data"] == {"k": "1"}
    assert world.changes == []


@given(st.lists(st.dictionaries(st.sampled_from(["data", "spec"]), values), min_size=1, max_size=6))
def test_packing_loses_nothing(contents: list[dict[str, Any]]) -> None:
    """Whatever is in an object, and whatever was packed before it."""
    packer = Packer()
    objects = [{**content, "metadata": {"name": "a", "resourceVersion": "1"}} for content in contents]
    held = [packer.pack(REF, content) for content in objects]
    assert [one.object for one in held] == objects


def test_objects_that_resemble_each_other_take_a_third_of_their_json() -> None:
    """What objects of a kind have in common, as much of managedFields is, is not held a thousand times."""
    fields = {f"f:field{number}": {"f:name": {}, "f:value": {}} for number in range(80)}

    def content(number: int) -> dict[str, Any]:
        managed = [{"manager": "pipeline", "operation": "Apply", "time": f"2026-11-22T08:{number % 60:02}:00Z"}]
        metadata = {"name": f"m{number}", "resourceVersion": str(number), "managedFields": managed}
        return {"metadata": metadata, "data": {f"field{n}": f"value{n * number % 7}" for n in range(80)}, "f": fields}

    packer = Packer()
    tracemalloc.start()
    held = [packer.pack(REF, content(number)) for number in range(1000)]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < sum(len(orjson.dumps(content(number))) for number in range(1000)) / 3
    assert held[999].object == content(999)


def _reads(api: ScriptedApi) -> int:
    return len([seen for seen in api.seen if "watch" not in seen.query])


def _after(moment: asyncio.Event, answer: Answer) -> Answer:
    async def wait(request):  # type: ignore[no-untyped-def]
        await moment.wait()
        return await answer(request)

    return wait


async def test_what_changed_last_is_held_decoded_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few objects of a cluster, however many scopes it has, and none once nothing changes."""
    monkeypatch.setattr(cached_object, "_AT_HAND", 2)
    monkeypatch.setattr(cached_object, "_FOR", 0.02)
    at_hand = DecodedCache()
    some = []
    for number in range(3):
        content = {"kind": "ConfigMap", "metadata": {"name": str(number), "resourceVersion": "1"}}
        some.append((CachedObject(ResourceRef("", "ConfigMap", "web", str(number)), content), content))
        at_hand.hold(*some[-1])
    assert [cached.object is content for cached, content in some] == [False, True, True]
    await asyncio.sleep(0.1)
    assert [cached.object is content for cached, content in some] == [False, False, False]
    assert [cached.object == content for cached, content in some] == [True, True, True]
