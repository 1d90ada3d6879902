"""Lists are read page by page: the result for an object is that of its last page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from driftd.kube.rest_client import Cluster, ClusterAccess
from driftd.live.api_reader import ApiReader, ReadResult, ReadResults
from driftd.live.mapping import MappedManifest
from driftd.model.resource import ResourceRef
from tests.kube.scripted import CONFIG_MAPS, ScriptedApi, config_map, data, kubeconfig, listing, never, refused
from tests.support.samples import manifest

ALL = "/api/v1/namespaces/shop/configmaps"
NAMES = ("a", "b", "c", "d")
ITEMS = [MappedManifest(manifest("ConfigMap", name).in_namespace("shop"), CONFIG_MAPS) for name in NAMES]


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    async with ScriptedApi() as server:
        yield server


@pytest.fixture
async def reader(api: ScriptedApi, tmp_path: Path) -> AsyncIterator[ApiReader]:
    cluster = await Cluster.connect(ClusterAccess("shop", kubeconfig(tmp_path, api.url)))
    yield ApiReader(cluster)
    await cluster.close()


def versions(*batches: ReadResults) -> dict[str, str | None]:
    """The last result for each object: its version, None if it does not exist, or the error."""
    last: dict[ResourceRef, ReadResult] = {}
    for batch in batches:
        last |= batch
    return {
        ref.name: result.error or (result.body and result.body["metadata"]["resourceVersion"])
        for ref, result in last.items()
    }


async def streamed(reader: ApiReader) -> list[ReadResults]:
    return [batch async for batch in reader.stream(ITEMS)]


async def test_a_page_is_streamed_while_the_next_one_is_requested(api: ScriptedApi, reader: ApiReader) -> None:
    """Its objects can be assessed meanwhile."""
    requested_again = asyncio.Event()

    async def second(request: web.Request) -> web.StreamResponse:
        requested_again.set()
        return await never(request)

    api.on("GET", ALL, listing(7, config_map("a", 1), config_map("other", 2), token="more"), second)
    batches = reader.stream(ITEMS)
    assert versions(await anext(batches)) == {"a": "1"}
    await asyncio.wait_for(requested_again.wait(), 10)
    await batches.aclose()


async def test_an_object_on_no_page_does_not_exist(api: ScriptedApi, reader: ApiReader) -> None:
    """This is known after the last page."""
    api.on("GET", ALL, listing(7, config_map("a", 1), token="more"), listing(7, config_map("c", 3)))
    batches = await streamed(reader)
    assert [set(versions(batch)) for batch in batches] == [{"a"}, {"c"}, {"b", "d"}]
    assert versions(*batches) == {"a": "1", "c": "3", "b": None, "d": None}


async def test_a_list_that_starts_again_replaces_earlier_results(api: ScriptedApi, reader: ApiReader) -> None:
    """Objects may have been changed or deleted since."""
    gone = refused(410, "Expired", "The provided continue parameter is too old")
    first = listing(7, config_map("a", 1), config_map("b", 2), token="more")
    api.on("GET", ALL, first, gone, listing(9, config_map("b", 8), config_map("d", 4)))
    assert versions(*await streamed(reader)) == {"a": None, "b": "8", "c": None, "d": "4"}


async def test_a_list_that_fails_makes_all_of_its_objects_unknown(api: ScriptedApi, reader: ApiReader) -> None:
    """Also those of its earlier pages: they may have changed by now."""
    api.on("GET", ALL, listing(7, config_map("a", 1), token="more"), refused(400, "BadRequest", "no such token"))
    results = versions(*await streamed(reader))
    assert set(results) == set(NAMES)
    assert all("no such token" in str(error) for error in results.values())


async def test_a_prefetched_list_is_not_requested_again(api: ScriptedApi, reader: ApiReader) -> None:
    """Reading continues after the prefetched page, for all items."""
    api.on("GET", ALL, listing(7, config_map("a", 1), token="more"), listing(7, config_map("c", 3)))
    reader.prefetch([MappedManifest(manifest("ConfigMap", name).in_namespace("shop"), CONFIG_MAPS) for name in "abef"])
    assert versions(*await streamed(reader)) == {"a": "1", "b": None, "c": "3", "d": None}
    assert [request.query for request in api.requests("GET", ALL)] == [
        {"limit": "500"},
        {"limit": "500", "continue": "more"},
    ]


async def test_a_prefetched_list_that_is_not_needed_is_cancelled(api: ScriptedApi, reader: ApiReader) -> None:
    """The first items may suggest another list than all of them need."""
    shops = [f"shop-{number}" for number in range(8)]
    api.on("GET", ALL, never)
    everywhere = {"metadata": {"namespace": "shop-3", "name": "a", "uid": "u", "resourceVersion": "4"}}
    api.on("GET", "/api/v1/configmaps", listing(7, everywhere))
    reader.prefetch(ITEMS)
    items = [MappedManifest(manifest("ConfigMap", "a").in_namespace(shop), CONFIG_MAPS) for shop in (*shops, "shop")]
    results = await asyncio.wait_for(reader.read(items), 10)
    assert [ref.namespace for ref, result in results.items() if result.body is not None] == ["shop-3"]
    assert len(results) == 9


async def test_an_error_of_a_prefetched_list_is_handled_by_the_read(api: ScriptedApi, reader: ApiReader) -> None:
    """An expired list is requested again, and if lists are forbidden each object is read alone."""
    reader.prefetch(ITEMS)
    api.on("GET", ALL, refused(410, "Expired", "too old"), listing(9, config_map("b", 8)))
    assert versions(*await streamed(reader)) == {"a": None, "b": "8", "c": None, "d": None}
    api.on("GET", ALL, refused(403, "Forbidden", "no"))
    for name in NAMES:
        api.on("GET", f"{ALL}/{name}", data(config_map(name, 5)))
    reader.prefetch(ITEMS)
    assert versions(*await streamed(reader)) == dict.fromkeys(NAMES, "5")


async def test_closing_cancels_prefetched_lists(api: ScriptedApi, reader: ApiReader) -> None:
    """Whether they have arrived, are pending, or have failed."""
    for answer in (listing(7, config_map("a", 1)), refused(400, "BadRequest", "no")):
        api.on("GET", ALL, answer)
        reader.prefetch(ITEMS)
        await asyncio.wait(reader._prefetched.values(), timeout=10)
        await reader.close()
    api.on("GET", ALL, never)
    reader.prefetch(ITEMS)
    await asyncio.wait_for(reader.close(), 10)
