"""A look takes in lists page by page: what is said in the end is what was read last."""

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
WANTED = [MappedManifest(manifest("ConfigMap", name).in_namespace("shop"), CONFIG_MAPS) for name in NAMES]


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    async with ScriptedApi() as server:
        yield server


@pytest.fixture
async def reader(api: ScriptedApi, tmp_path: Path) -> AsyncIterator[ApiReader]:
    cluster = await Cluster.connect(ClusterAccess("shop", kubeconfig(tmp_path, api.url)))
    yield ApiReader(cluster)
    await cluster.close()


def versions(*told: ReadResults) -> dict[str, str | None]:
    """What was read last of each object: its version, None where there is none, or what went wrong."""
    last: dict[ResourceRef, ReadResult] = {}
    for part in told:
        last |= part
    return {ref.name: one.error or (one.body and one.body["metadata"]["resourceVersion"]) for ref, one in last.items()}


async def told(reader: ApiReader) -> list[ReadResults]:
    return [part async for part in reader.stream(WANTED)]


async def test_a_page_is_told_while_the_next_one_is_on_its_way(api: ScriptedApi, reader: ApiReader) -> None:
    """Who takes it in need not wait for the rest."""
    asked_again = asyncio.Event()

    async def second(request: web.Request) -> web.StreamResponse:
        asked_again.set()
        return await never(request)

    api.on("GET", ALL, listing(7, config_map("a", 1), config_map("other", 2), token="more"), second)
    parts = reader.stream(WANTED)
    assert versions(await anext(parts)) == {"a": "1"}
    await asyncio.wait_for(asked_again.wait(), 10)
    await parts.aclose()


async def test_what_no_page_had_is_not_there(api: ScriptedApi, reader: ApiReader) -> None:
    """That is known once the last one is read."""
    api.on("GET", ALL, listing(7, config_map("a", 1), token="more"), listing(7, config_map("c", 3)))
    parts = await told(reader)
    assert [set(versions(part)) for part in parts] == [{"a"}, {"c"}, {"b", "d"}]
    assert versions(*parts) == {"a": "1", "c": "3", "b": None, "d": None}


async def test_a_list_that_starts_anew_takes_back_what_has_gone(api: ScriptedApi, reader: ApiReader) -> None:
    """And what has changed since is as it is now."""
    gone = refused(410, "Expired", "The provided continue parameter is too old")
    first = listing(7, config_map("a", 1), config_map("b", 2), token="more")
    api.on("GET", ALL, first, gone, listing(9, config_map("b", 8), config_map("d", 4)))
    assert versions(*await told(reader)) == {"a": None, "b": "8", "c": None, "d": "4"}


async def test_a_list_that_breaks_off_leaves_nothing_of_its_pages(api: ScriptedApi, reader: ApiReader) -> None:
    """An object that was read in it may be another one by now: it is unknown like the others."""
    api.on("GET", ALL, listing(7, config_map("a", 1), token="more"), refused(400, "BadRequest", "no such token"))
    said = versions(*await told(reader))
    assert set(said) == set(NAMES)
    assert all("no such token" in str(error) for error in said.values())


async def test_a_list_that_was_begun_is_not_asked_for_again(api: ScriptedApi, reader: ApiReader) -> None:
    """It goes on from the page that is there, with all that is wanted by then."""
    api.on("GET", ALL, listing(7, config_map("a", 1), token="more"), listing(7, config_map("c", 3)))
    reader.prefetch([MappedManifest(manifest("ConfigMap", name).in_namespace("shop"), CONFIG_MAPS) for name in "abef"])
    assert versions(*await told(reader)) == {"a": "1", "b": None, "c": "3", "d": None}
    assert [request.query for request in api.requests("GET", ALL)] == [
        {"limit": "500"},
        {"limit": "500", "continue": "more"},
    ]


async def test_a_begun_list_may_turn_out_to_be_of_no_use(api: ScriptedApi, reader: ApiReader) -> None:
    """What some objects promise, others may not hold: it is given up, and what is wanted is read."""
    shops = [f"shop-{number}" for number in range(8)]
    api.on("GET", ALL, never)
    everywhere = {"metadata": {"namespace": "shop-3", "name": "a", "resourceVersion": "4"}}
    api.on("GET", "/api/v1/configmaps", listing(7, everywhere))
    reader.prefetch(WANTED)
    wanted = [MappedManifest(manifest("ConfigMap", "a").in_namespace(shop), CONFIG_MAPS) for shop in (*shops, "shop")]
    found = await asyncio.wait_for(reader.read(wanted), 10)
    assert [ref.namespace for ref, reading in found.items() if reading.body is not None] == ["shop-3"]
    assert len(found) == 9


async def test_a_begun_list_that_fails_fails_for_who_wants_it(api: ScriptedApi, reader: ApiReader) -> None:
    """One that has expired by then is asked for anew, and where it is not allowed each object is asked for."""
    reader.prefetch(WANTED)
    api.on("GET", ALL, refused(410, "Expired", "too old"), listing(9, config_map("b", 8)))
    assert versions(*await told(reader)) == {"a": None, "b": "8", "c": None, "d": None}
    api.on("GET", ALL, refused(403, "Forbidden", "no"))
    for name in NAMES:
        api.on("GET", f"{ALL}/{name}", data(config_map(name, 5)))
    reader.prefetch(WANTED)
    assert versions(*await told(reader)) == dict.fromkeys(NAMES, "5")


async def test_what_was_begun_and_not_read_is_given_up(api: ScriptedApi, reader: ApiReader) -> None:
    """Whether it had come by then, was on its way, or could not be had."""
    for answer in (listing(7, config_map("a", 1)), refused(400, "BadRequest", "no")):
        api.on("GET", ALL, answer)
        reader.prefetch(WANTED)
        await asyncio.wait(reader._prefetched.values(), timeout=10)
        await reader.close()
    api.on("GET", ALL, never)
    reader.prefetch(WANTED)
    await asyncio.wait_for(reader.close(), 10)
