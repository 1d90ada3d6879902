"""Lists as streams: a list and the watch that goes on from it over one connection, where the server offers that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from driftd.kube.cache import Changed, LiveCache, Timing
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
    """A cache with quick timing, and everything it told."""

    def __init__(self, cluster: Cluster) -> None:
        self.changes: list[Changed] = []
        timing = Timing(silence=0.3, stale_after=0.3, backoff=0.02, backoff_cap=0.1)
        self.cache = LiveCache(cluster, self.changes.append, timing=timing)

    @property
    def told(self) -> list[tuple[str, str | None, str | None]]:
        """Name, and the versions before and after."""
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


async def test_one_connection_brings_what_is_there_and_what_happens_then(
    api: ScriptedApi, world: World, until: Until
) -> None:
    """What is there is no news; what follows is."""
    sent = (
        event("ADDED", config_map("a", 3)),
        event("ADDED", config_map("b", 4)),
        end_of_list(5),
        event("MODIFIED", config_map("a", 6)),
    )
    api.on("stream GET", ALL, api.hold(*sent))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: len(world.changes) == 1)
    assert world.told == [("a", "3", "6")]
    assert world.versions() == {"a": "6", "b": "4"}
    assert world.cache.version(*SHOP) == "6"
    [request] = api.seen
    assert request.query["resourceVersionMatch"] == "NotOlderThan"
    assert request.query["allowWatchBookmarks"] == "true"


async def test_when_the_stream_ends_a_watch_goes_on_from_there(api: ScriptedApi, world: World, until: Until) -> None:
    """Without another list."""
    api.on("stream GET", ALL, lines(event("ADDED", config_map("a", 3)), end_of_list(5), bookmark(9)))
    api.on("watch GET", ALL, api.hold(event("ADDED", config_map("b", 10))))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: len(world.changes) == 1)
    assert [seen.query["resourceVersion"] for seen in api.seen] == ["", "9"]
    assert world.versions() == {"a": "3", "b": "10"}


async def test_what_happens_while_the_list_is_told_is_taken_in(api: ScriptedApi, world: World) -> None:
    """The server may mix news into what is there."""
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


async def test_a_server_that_does_not_offer_streams_is_read_by_pages_and_asked_once(
    api: ScriptedApi, world: World
) -> None:
    """The first no counts for every kind of that server."""
    secrets = "/api/v1/namespaces/shop/secrets"
    for path in (ALL, secrets):
        api.on("stream GET", path, not_offered)
        api.on("GET", path, listing(5, config_map("a", 3)))
        api.on("watch GET", path, api.hold())
    await world.cache.watch_scopes([SHOP])
    await world.cache.watch_scopes([SHOP, (SECRETS, "shop")])
    assert world.versions() == {"a": "3"}
    assert len([seen for seen in api.seen if "sendInitialEvents" in seen.query]) == 1


@pytest.mark.parametrize("how", ["cut", "ended", "too old", "silent", "nonsense"])
async def test_a_list_that_breaks_off_is_not_believed_and_read_by_pages(
    api: ScriptedApi, world: World, until: Until, how: str
) -> None:
    """Half a list would make the other half missing."""
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
    await until(lambda: world.cache.fresh(SHOP).synced)
    assert world.versions() == {"a": "3", "b": "4"}


async def test_after_a_410_the_new_stream_tells_only_the_difference(
    api: ScriptedApi, world: World, until: Until
) -> None:
    """What is held is replaced once the new list is complete, and not bit by bit."""
    first = (event("ADDED", config_map("same", 1)), event("ADDED", config_map("gone", 3)), end_of_list(5))
    second = (event("ADDED", config_map("same", 1)), event("ADDED", config_map("came", 41)), end_of_list(50))
    api.on("stream GET", ALL, lines(*first, too_old()), api.hold(*second))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: len(world.changes) == 2)
    assert sorted(world.told) == [("came", None, "41"), ("gone", "3", None)]
    assert world.versions() == {"same": "1", "came": "41"}


async def test_what_may_not_be_listed_is_forbidden(api: ScriptedApi, world: World) -> None:
    """In the API server's own words, of a list: that is what has to be allowed."""
    api.on("stream GET", ALL, refused(403, "Forbidden", 'User "jane" cannot watch'))
    api.on("GET", ALL, refused(403, "Forbidden", 'User "jane" cannot list'))
    await world.cache.watch_scopes([SHOP])
    with pytest.raises(Forbidden, match='User "jane" cannot list'):
        world.cache.get(CONFIG_MAPS, "shop", "a")


async def test_a_stream_that_ends_at_once_is_not_asked_for_without_end(api: ScriptedApi, world: World) -> None:
    """Lists are dear: they back off, also when each of them is complete."""
    api.on("stream GET", ALL, lines(event("ADDED", config_map("a", 3)), end_of_list(5)))
    api.on("watch GET", ALL, lines(too_old()))
    await world.cache.watch_scopes([SHOP])
    await asyncio.sleep(0.5)
    assert len(api.seen) < 40
