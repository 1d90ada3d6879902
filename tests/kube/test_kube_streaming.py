"""Streaming lists: a list and the watch that continues it over one connection, where the server supports that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from driftd.kube.cache import LiveCache, ObjectChange, Timing
from driftd.kube.discovery import Scope
from driftd.kube.rest_client import Cluster
from driftd.model.errors import Forbidden, KubeError
from tests.kube.scripted import (
    CONFIG_MAPS,
    SECRETS,
    Answer,
    ScriptedApi,
    bookmark,
    config_map,
    cut,
    end_of_list,
    event,
    lines,
    listing,
    not_offered,
    refused,
    too_old,
)

ALL = "/api/v1/namespaces/shop/configmaps"
SHOP: Scope = (CONFIG_MAPS, "shop")
Until = Callable[[Callable[[], bool]], Awaitable[None]]


class World:
    """A cache with short timeouts, and its notifications."""

    def __init__(self, cluster: Cluster) -> None:
        self.changes: list[ObjectChange] = []
        timing = Timing(bookmark_timeout=0.3, stale_after=0.3, backoff=0.02, backoff_cap=0.1)
        self.cache = LiveCache(cluster, self.changes.append, timing=timing)

    @property
    def versions_notified(self) -> list[tuple[str, str | None, str | None]]:
        """Name, old and new resource version."""
        return [
            (c.ref.name, c.old.resource_version if c.old else None, c.new.resource_version if c.new else None)
            for c in self.changes
        ]

    def versions(self) -> dict[str, str]:
        return {item.ref.name: item.resource_version for item in self.cache.items(SHOP)}


@pytest.fixture
async def world(cluster: Cluster) -> AsyncIterator[World]:
    created = World(cluster)
    yield created
    await created.cache.close()


async def test_list_and_watch_share_a_connection(api: ScriptedApi, world: World, until: Until) -> None:
    """Listed objects are not notified; later events are."""
    sent = (
        event("ADDED", config_map("a", 3)),
        event("ADDED", config_map("b", 4)),
        end_of_list(5),
        event("MODIFIED", config_map("a", 6)),
    )
    api.on("stream GET", ALL, api.hold(*sent))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: len(world.changes) == 1)
    assert world.versions_notified == [("a", "3", "6")]
    assert world.versions() == {"a": "6", "b": "4"}
    assert world.cache.version(*SHOP) == "6"
    [request] = api.seen
    assert request.query["resourceVersionMatch"] == "NotOlderThan"
    assert request.query["allowWatchBookmarks"] == "true"


async def test_when_the_stream_ends_a_watch_resumes_it(api: ScriptedApi, world: World, until: Until) -> None:
    """Without another list."""
    api.on("stream GET", ALL, lines(event("ADDED", config_map("a", 3)), end_of_list(5), bookmark(9)))
    api.on("watch GET", ALL, api.hold(event("ADDED", config_map("b", 10))))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: len(world.changes) == 1)
    assert [seen.query["resourceVersion"] for seen in api.seen] == ["", "9"]
    assert world.versions() == {"a": "3", "b": "10"}


async def test_changes_during_the_initial_events_are_applied(api: ScriptedApi, world: World) -> None:
    """The server may send them in between."""
    sent = (
        event("ADDED", config_map("a", 3)),
        event("ADDED", config_map("b", 4)),
        event("MODIFIED", config_map("a", 6)),
        event("DELETED", config_map("b", 7)),
        bookmark(7),
        end_of_list(8),
    )
    api.on("stream GET", ALL, api.hold(*sent))
    await world.cache.watch_scopes([SHOP])
    assert world.versions() == {"a": "6"}
    assert world.changes == []


async def test_a_server_without_streaming_lists_is_read_by_pages(api: ScriptedApi, world: World) -> None:
    """Its first refusal applies to all of its kinds."""
    secrets = "/api/v1/namespaces/shop/secrets"
    for path, kind in ((ALL, CONFIG_MAPS), (secrets, SECRETS)):
        api.on("stream GET", path, not_offered)
        api.on("GET", path, listing(5, config_map("a", 3), of=kind))
        api.on("watch GET", path, api.hold())
    await world.cache.watch_scopes([SHOP])
    await world.cache.watch_scopes([SHOP, (SECRETS, "shop")])
    assert world.versions() == {"a": "3"}
    assert len([seen for seen in api.seen if "sendInitialEvents" in seen.query]) == 1


@pytest.mark.parametrize("how", ["cut", "ended", "too old", "silent", "nonsense"])
async def test_an_incomplete_streaming_list_is_discarded_and_read_by_pages(
    api: ScriptedApi, world: World, until: Until, how: str
) -> None:
    """Otherwise the missing objects would count as deleted."""
    half = event("ADDED", config_map("a", 3))
    answers: dict[str, Answer] = {
        "cut": cut(half),
        "ended": lines(half),
        "too old": lines(half, too_old()),
        "silent": api.hold(half),
        "nonsense": lines(half, b"nonsense\n"),
    }
    released = asyncio.Event()
    pages = listing(5, config_map("a", 3), config_map("b", 4))

    async def late(request):  # type: ignore[no-untyped-def]
        await released.wait()
        return await pages(request)

    api.on("stream GET", ALL, answers[how])
    api.on("GET", ALL, late)
    api.on("watch GET", ALL, api.hold())
    ensuring = asyncio.create_task(world.cache.watch_scopes([SHOP]))
    await until(lambda: any("watch" not in seen.query for seen in api.seen))
    with pytest.raises(KubeError):
        world.cache.get(CONFIG_MAPS, "shop", "b")
    released.set()
    await ensuring
    await until(lambda: world.cache.freshness(SHOP).synced)
    assert world.versions() == {"a": "3", "b": "4"}


async def test_after_a_410_the_new_stream_notifies_only_differences(
    api: ScriptedApi, world: World, until: Until
) -> None:
    """The cached objects are replaced once the new list is complete."""
    first = (event("ADDED", config_map("same", 1)), event("ADDED", config_map("gone", 3)), end_of_list(5))
    second = (event("ADDED", config_map("same", 1)), event("ADDED", config_map("came", 41)), end_of_list(50))
    api.on("stream GET", ALL, lines(*first, too_old()), api.hold(*second))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: len(world.changes) == 2)
    assert sorted(world.versions_notified) == [("came", None, "41"), ("gone", "3", None)]
    assert world.versions() == {"same": "1", "came": "41"}


async def test_a_forbidden_list_has_the_servers_message(api: ScriptedApi, world: World) -> None:
    """The message of the paginated list, since `list` is the permission to grant."""
    api.on("stream GET", ALL, refused(403, "Forbidden", 'User "jane" cannot watch'))
    api.on("GET", ALL, refused(403, "Forbidden", 'User "jane" cannot list'))
    await world.cache.watch_scopes([SHOP])
    with pytest.raises(Forbidden, match='User "jane" cannot list'):
        world.cache.get(CONFIG_MAPS, "shop", "a")


async def test_streams_that_end_at_once_are_backed_off_from(api: ScriptedApi, world: World) -> None:
    """Lists are expensive, even if each of them is complete."""
    api.on("stream GET", ALL, lines(event("ADDED", config_map("a", 3)), end_of_list(5)))
    api.on("watch GET", ALL, lines(too_old()))
    await world.cache.watch_scopes([SHOP])
    await asyncio.sleep(0.5)
    assert len(api.seen) < 40
