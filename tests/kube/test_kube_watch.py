"""One watch connection."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from driftd.kube.rest_client import Cluster
from driftd.kube.watch import EventType, WatchEvent, WatchSilent, _lines, watch
from driftd.model.errors import ClusterUnreachable, Forbidden, Gone, KubeError, UnknownKind
from tests.kube.scripted import (
    CONFIG_MAPS,
    ScriptedApi,
    bookmark,
    config_map,
    cut,
    data,
    event,
    lines,
    page_not_found,
    refused,
    too_old,
)

ALL = "/api/v1/namespaces/shop/configmaps"


async def follow(cluster: Cluster, bookmark_timeout: float = 30) -> list[WatchEvent]:
    return [event async for event in watch(cluster, CONFIG_MAPS, "shop", "5", bookmark_timeout=bookmark_timeout)]


async def test_a_watch_yields_its_events_until_the_server_ends_it(api: ScriptedApi, cluster: Cluster) -> None:
    """A clean end is no error; bookmarks are requested and passed on."""
    sent = (event("ADDED", config_map("a", 6)), event("DELETED", config_map("a", 7)), bookmark(9))
    api.on("watch GET", ALL, lines(*sent))
    assert [(e.type, e.resource_version) for e in await follow(cluster)] == [
        (EventType.ADDED, "6"),
        (EventType.DELETED, "7"),
        (EventType.BOOKMARK, "9"),
    ]
    query = api.seen[0].query
    assert (query["allowWatchBookmarks"], query["resourceVersion"]) == ("true", "5")
    assert 240 <= int(query["timeoutSeconds"]) <= 360


async def test_an_event_of_megabytes_is_complete(api: ScriptedApi, cluster: Cluster) -> None:
    """Far larger than any buffer; the next event is not lost."""
    huge = event("ADDED", config_map("huge", 6, value="x" * 20_000_000))
    api.on("watch GET", ALL, lines(huge + event("ADDED", config_map("small", 7))))
    first, second = await follow(cluster)
    assert len(first.object["data"]["value"]) == 20_000_000
    assert second.object["metadata"]["name"] == "small"


async def test_an_expired_resource_version_is_gone(api: ScriptedApi, cluster: Cluster) -> None:
    """As a status or as an event; both mean that the scope has to be listed again."""
    for answer in (refused(410, "Expired", "too old"), lines(event("ADDED", config_map("a", 6)), too_old())):
        api.on("watch GET", ALL, answer)
        with pytest.raises(Gone):
            await follow(cluster)


async def test_a_refused_or_broken_watch_is_an_error(api: ScriptedApi, cluster: Cluster) -> None:
    """Forbidden, a kind that is not served, a broken connection, and malformed events."""
    for answer, kind in (
        (refused(403, "Forbidden", "no"), Forbidden),
        (page_not_found, UnknownKind),
        (cut(event("ADDED", config_map("a", 6))), ClusterUnreachable),
        (lines(b'{"type": "ADDED", "object": {"data": "canary"}}\n'), KubeError),
        (lines(b"canary\n"), KubeError),
        (lines(b'{"type": "NOVEL", "object": {"metadata": {"resourceVersion": "1"}}}\n'), KubeError),
        (lines(event("ERROR", {"kind": "Status", "code": 500, "message": "etcd is away"})), KubeError),
        (data([], 500), KubeError),
    ):
        api.on("watch GET", ALL, answer)
        with pytest.raises(kind) as caught:
            await follow(cluster)
        assert "canary" not in f"{caught.value}{caught.value.__cause__}"


async def test_a_throttled_watch_carries_its_retry_after(api: ScriptedApi, cluster: Cluster) -> None:
    """429 with Retry-After, as from API Priority and Fairness."""
    api.on("watch GET", ALL, refused(429, "TooManyRequests", "later", {"Retry-After": "7"}))
    with pytest.raises(KubeError) as caught:
        await follow(cluster)
    assert (caught.value.status, caught.value.retry_after) == (429, 7)


async def test_a_truncated_last_event_is_left_out(api: ScriptedApi, cluster: Cluster) -> None:
    """The next connection sends it again."""
    api.on("watch GET", ALL, lines(event("ADDED", config_map("a", 6)), b'{"type": "ADD'))
    assert [e.object["metadata"]["name"] for e in await follow(cluster)] == ["a"]


async def test_a_watch_that_sends_no_event_in_time_is_silent(api: ScriptedApi, cluster: Cluster) -> None:
    """A connection dropped by a firewall receives nothing for ever; other bytes than events are no news."""

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    for answer in (api.hold(event("ADDED", config_map("a", 6))), api.hold(), trickle):
        api.on("watch GET", ALL, answer)
        started = time.monotonic()
        with pytest.raises(WatchSilent, match=r"neither an event nor a bookmark in 0.3 s"):
            await follow(cluster, bookmark_timeout=0.3)
        assert time.monotonic() - started < 5


async def test_events_are_read_ahead_of_the_consumer(api: ScriptedApi, cluster: Cluster) -> None:
    """The server has sent everything and finished before the second event is requested."""
    api.on("watch GET", ALL, lines(*(event("ADDED", config_map(f"m{i}", i, v="x" * 10_000)) for i in range(1, 500))))
    seen = 0
    async for _ in watch(cluster, CONFIG_MAPS, "shop", "0"):
        if not seen:
            await asyncio.sleep(0.2)
        seen += 1
    assert seen == 499


@given(st.lists(st.binary().map(lambda part: part.replace(b"\n", b"-"))), st.lists(st.integers(1, 40)))
def test_lines_do_not_depend_on_chunks(content: list[bytes], sizes: list[int]) -> None:
    """The network may split a stream anywhere."""

    class Body:
        async def iter_any(self):  # type: ignore[no-untyped-def]
            rest = b"".join(line + b"\n" for line in content)
            for size in sizes:
                if rest[:size]:
                    yield rest[:size]
                rest = rest[size:]
            if rest:
                yield rest

    async def read() -> list[bytes]:
        return [line async for line, _ in _lines(Body())]  # type: ignore[arg-type]

    assert asyncio.run(read()) == content
