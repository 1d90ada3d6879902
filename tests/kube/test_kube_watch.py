"""One watch connection."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.kube.rest_client import Cluster
from driftd.kube.watch import EventType, WatchEvent, _lines, watch
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


async def follow(cluster: Cluster, silence: float = 30) -> list[WatchEvent]:
    return [event async for event in watch(cluster, CONFIG_MAPS, "shop", "5", silence=silence)]


async def test_a_watch_gives_its_events_and_ends_when_the_server_ends_it(api: ScriptedApi, cluster: Cluster) -> None:
    """A clean end is no error; bookmarks are asked for and passed on."""
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


async def test_a_line_of_megabytes_arrives_whole(api: ScriptedApi, cluster: Cluster) -> None:
    """Far more than any buffer holds, and what follows it is not lost."""
    huge = event("ADDED", config_map("huge", 6, value="x" * 20_000_000))
    api.on("watch GET", ALL, lines(huge + event("ADDED", config_map("small", 7))))
    first, second = await follow(cluster)
    assert len(first.object["data"]["value"]) == 20_000_000
    assert second.object["metadata"]["name"] == "small"


async def test_a_version_that_is_too_old_is_gone(api: ScriptedApi, cluster: Cluster) -> None:
    """The server says so by its status or by an event; both mean: list again."""
    for answer in (refused(410, "Expired", "too old"), lines(event("ADDED", config_map("a", 6)), too_old())):
        api.on("watch GET", ALL, answer)
        with pytest.raises(Gone):
            await follow(cluster)


async def test_a_watch_that_is_refused_or_broken_says_so(api: ScriptedApi, cluster: Cluster) -> None:
    """Forbidden, a kind that is gone, a connection that breaks, and lines that are no events."""
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


async def test_a_busy_server_says_when_to_ask_again(api: ScriptedApi, cluster: Cluster) -> None:
    """429 with Retry-After, as API Priority and Fairness answers."""
    api.on("watch GET", ALL, refused(429, "TooManyRequests", "later", {"Retry-After": "7"}))
    with pytest.raises(KubeError) as caught:
        await follow(cluster)
    assert (caught.value.status, caught.value.retry_after) == (429, 7)


async def test_a_last_line_that_was_cut_off_is_left_out(api: ScriptedApi, cluster: Cluster) -> None:
    """Half an event is none: the next connection brings it whole."""
    api.on("watch GET", ALL, lines(event("ADDED", config_map("a", 6)), b'{"type": "ADD'))
    assert [e.object["metadata"]["name"] for e in await follow(cluster)] == ["a"]


async def test_silence_beyond_the_bound_is_a_broken_connection(api: ScriptedApi, cluster: Cluster) -> None:
    """A connection that a firewall has forgotten says nothing for ever."""
    api.on("watch GET", ALL, api.hold(event("ADDED", config_map("a", 6))))
    started = time.monotonic()
    with pytest.raises(ClusterUnreachable, match="did not answer in time"):
        await follow(cluster, silence=0.3)
    assert time.monotonic() - started < 5


async def test_what_arrives_is_read_while_the_consumer_is_busy(api: ScriptedApi, cluster: Cluster) -> None:
    """The server has sent everything, and is done with us, before the second event is asked for."""
    api.on("watch GET", ALL, lines(*(event("ADDED", config_map(f"m{i}", i, v="x" * 10_000)) for i in range(1, 500))))
    seen = 0
    async for _ in watch(cluster, CONFIG_MAPS, "shop", "0"):
        if not seen:
            await asyncio.sleep(0.2)
        seen += 1
    assert seen == 499


@given(st.lists(st.binary().map(lambda part: part.replace(b"\n", b"-"))), st.lists(st.integers(1, 40)))
def test_lines_do_not_depend_on_how_they_were_cut_into_chunks(content: list[bytes], sizes: list[int]) -> None:
    """Whatever the network made of it, the same lines come out."""

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
