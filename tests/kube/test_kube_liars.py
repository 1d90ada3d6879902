"""Watches and lists that lie, hang or have no end: what they cost, and that the cache stays right or says that it is
not synced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from driftd.kube import rest_client, watch
from driftd.kube.cache import LiveCache, Timing
from driftd.kube.discovery import Scope
from driftd.kube.rest_client import Cluster
from driftd.model.errors import KubeError
from tests.kube.scripted import (
    CONFIG_MAPS,
    SECRETS,
    Answer,
    ScriptedApi,
    bookmark,
    config_map,
    cut,
    event,
    lines,
    listing,
    never,
    streamed,
)

ALL = "/api/v1/namespaces/shop/configmaps"
ALL_SECRETS = "/api/v1/namespaces/shop/secrets"
SHOP: Scope = (CONFIG_MAPS, "shop")
Until = Callable[[Callable[[], bool]], Awaitable[None]]


@asynccontextmanager
async def caching(cluster: Cluster, **timing: float) -> AsyncIterator[LiveCache]:
    cache = LiveCache(cluster, lambda _: None, timing=Timing(**{"backoff": 0.05, "backoff_cap": 60.0, **timing}))
    try:
        yield cache
    finally:
        await cache.close()


def endless(part: bytes, pause: float = 0.0) -> Answer:
    """A stream that sends the same over and over."""

    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield part
            await asyncio.sleep(pause)

    return streamed(parts)


@pytest.mark.parametrize("sent", ["the same bookmark", "an old bookmark", "an old event", "the same event"])
async def test_a_watch_that_repeats_itself_and_ends_is_asked_ever_less_often(
    api: ScriptedApi, cluster: Cluster, sent: str
) -> None:
    """A proxy may answer each watch with the same stored body: that is no reason to ask it as fast as it answers."""
    body = {
        "the same bookmark": bookmark(60),
        "an old bookmark": bookmark(10),
        "an old event": event("MODIFIED", config_map("a", 10)),
        "the same event": event("MODIFIED", config_map("a", 60)),
    }
    api.on("GET", ALL, listing(50, config_map("a", 3)))
    api.on("watch GET", ALL, lines(body[sent]))
    async with caching(cluster) as cache:
        await cache.watch_scopes([SHOP])
        await asyncio.sleep(1)
    # 0.05 s doubled each time, less up to a half, are at most six waits in a second, each with a list and a watch.
    assert len(api.requests("GET", ALL)) <= 16


@pytest.mark.parametrize(
    ("type_", "name", "version"), [("ADDED", "gone", 7), ("DELETED", "a", 8), ("MODIFIED", "a", 9)]
)
async def test_an_event_of_the_past_does_not_undo_what_a_list_has_said(
    api: ScriptedApi, cluster: Cluster, until: Until, type_: str, name: str, version: int
) -> None:
    """It is older than the list: what it says has been overtaken, and the scope is listed again."""
    api.on("GET", ALL, listing(50, config_map("a", 3, now="yes")))
    api.on("watch GET", ALL, api.hold(event(type_, config_map(name, version, now="no"))))
    async with caching(cluster) as cache:
        await cache.watch_scopes([SHOP])
        await until(lambda: len(api.requests("GET", ALL)) >= 4)  # a list and a watch, and both again
        assert [(item.ref.name, item.object["data"]) for item in cache.items(SHOP)] == [("a", {"now": "yes"})]


async def test_a_stream_that_never_ends_its_list_is_given_up_for_pages(
    api: ScriptedApi, cluster: Cluster, until: Until
) -> None:
    """A proxy may leave out the parameter that asks for a list: objects and bookmarks come, and no end of the list."""
    api.on("stream GET", ALL, endless(event("ADDED", config_map("a", 3)) + bookmark(10), pause=0.05))
    api.on("GET", ALL, listing(50, config_map("a", 3)))
    api.on("watch GET", ALL, api.hold())
    async with caching(cluster, bookmark_timeout=0.5) as cache:
        async with asyncio.timeout(10):
            await cache.watch_scopes([SHOP])
        await until(lambda: cache.freshness(SHOP).synced)
        assert [item.ref.name for item in cache.items(SHOP)] == ["a"]


async def test_a_kind_whose_list_hangs_holds_up_no_other(api: ScriptedApi, cluster: Cluster) -> None:
    """Its own objects cannot be read; everything else can, and another app does not even wait."""
    secrets: Scope = (SECRETS, "shop")
    api.on("GET", ALL, listing(50, config_map("a", 3)))
    api.on("watch GET", ALL, api.hold())
    api.on("stream GET", ALL_SECRETS, never)
    async with caching(cluster, attempt_timeout=0.5) as cache:
        async with asyncio.timeout(10):
            await cache.watch_scopes([SHOP, secrets])
        assert [item.ref.name for item in cache.items(SHOP)] == ["a"]
        assert not cache.freshness(secrets).synced
        with pytest.raises(KubeError, match="not listed yet"):
            cache.get(SECRETS, "shop", "a")
    async with caching(cluster, attempt_timeout=60) as cache, asyncio.timeout(10):
        await cache.watch_scopes([SHOP, secrets], awaited=[SHOP])
        assert cache.freshness(SHOP).synced


async def test_a_line_or_an_answer_without_an_end_is_an_error(
    api: ScriptedApi, cluster: Cluster, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fill the memory, and with it end the watches of all other clusters."""
    monkeypatch.setattr(watch, "_MAX_LINE_BYTES", 100_000)
    monkeypatch.setattr(rest_client, "_MAX_BODY_BYTES", 100_000)
    api.on("GET", ALL, listing(50, config_map("a", 3)))
    api.on("watch GET", ALL, endless(b"x" * 10_000))
    async with caching(cluster) as cache:
        await cache.watch_scopes([SHOP])
        await until(lambda: "line of more than" in str(cache.freshness(SHOP).error))
    for answer in (endless(b"x" * 10_000), cut(*[b"x" * 10_000] * 20)):
        api.on("GET", ALL, answer)
        with pytest.raises(KubeError, match="at once"):
            await cluster.request("GET", ALL)


async def test_an_answer_just_within_the_limit_is_read(
    api: ScriptedApi, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts decompressed bytes."""
    monkeypatch.setattr(rest_client, "_MAX_BODY_BYTES", 100_000)

    async def compressed(size: int) -> bytes:
        async def answer(_: web.Request) -> web.StreamResponse:
            response = web.Response(body=b" " * (size - 2) + b"{}")
            response.enable_compression(web.ContentCoding.gzip)
            return response

        api.on("GET", ALL, answer)
        body: bytes = await cluster.request("GET", ALL, decode=False)
        return body

    assert len(await compressed(100_000)) == 100_000
    with pytest.raises(KubeError, match="at once"):
        await compressed(100_001)
