"""The live cache equals the cluster, or is not synced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from driftd.kube.cache import Freshness, LiveCache, ObjectChange, Timing
from driftd.kube.discovery import Scope
from driftd.kube.rest_client import Cluster
from driftd.model.errors import ClusterUnreachable, Forbidden, KubeError
from tests.kube.scripted import (
    CONFIG_MAPS,
    SECRETS,
    WIDGETS,
    ScriptedApi,
    bookmark,
    config_map,
    cut,
    event,
    lines,
    listing,
    never,
    refused,
    reset,
    text,
    too_old,
)

ALL = "/api/v1/namespaces/shop/configmaps"
SHOP: Scope = (CONFIG_MAPS, "shop")
Until = Callable[[Callable[[], bool]], Awaitable[None]]


class World:
    """A cache with short timeouts, and its notifications."""

    def __init__(self, cluster: Cluster) -> None:
        self.changes: list[ObjectChange] = []
        self.freshness: list[tuple[Scope, Freshness]] = []
        self.cache = LiveCache(
            cluster,
            self.changes.append,
            lambda scope, freshness: self.freshness.append((scope, freshness)),
            Timing(watch_timeout=300, bookmark_timeout=5, stale_after=0.3, backoff=0.02, backoff_cap=0.1),
        )

    @property
    def versions_notified(self) -> list[tuple[str, str | None, str | None]]:
        """Name, old and new resource version."""
        return [
            (c.ref.name, c.old.resource_version if c.old else None, c.new.resource_version if c.new else None)
            for c in self.changes
        ]

    def names(self) -> set[str]:
        return {item.ref.name for item in self.cache.items(SHOP)}


@pytest.fixture
async def world(cluster: Cluster) -> AsyncIterator[World]:
    created = World(cluster)
    yield created
    await created.cache.close()


async def test_watched_objects_are_cached_once_watch_scopes_returns(api: ScriptedApi, world: World) -> None:
    """The first list is the starting point and notifies nobody; absent objects are None."""
    api.on("GET", ALL, listing(5, config_map("a", 3)))
    api.on("watch GET", ALL, api.hold())
    await world.cache.watch_scopes([SHOP])
    found = world.cache.get(CONFIG_MAPS, "shop", "a")
    assert found is not None
    assert found.object["kind"] == "ConfigMap"
    assert world.cache.get(CONFIG_MAPS, "shop", "b") is None
    freshness = world.cache.freshness(SHOP)
    assert freshness.synced
    assert freshness.error is None
    assert freshness.last_contact is not None
    assert world.changes == []


async def test_every_change_is_notified_with_both_versions(api: ScriptedApi, world: World, until: Until) -> None:
    """Added, modified, deleted."""
    api.on("GET", ALL, listing(5, config_map("a", 3)))
    sent = (
        event("MODIFIED", config_map("a", 6)),
        event("ADDED", config_map("b", 7)),
        event("DELETED", config_map("a", 8)),
    )
    api.on("watch GET", ALL, api.hold(*sent))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: len(world.changes) == 3)
    assert world.versions_notified == [("a", "3", "6"), ("b", None, "7"), ("a", "6", None)]
    assert world.names() == {"b"}


async def test_status_updates_received_together_are_coalesced(api: ScriptedApi, world: World, until: Until) -> None:
    """Versions with other field owners are notified one by one, and so are a delete and a new add."""
    versions = [_by(6, "shop", 0), _by(7, "shop", 1), _by(8, "shop", 2), _by(9, "hand", 3), _by(10, "hand", 4)]
    sent = [event("MODIFIED", version) for version in versions]
    sent += [
        event("DELETED", _by(11, "hand", 4)),
        event("ADDED", _by(12, "hand", 0)),
        event("ADDED", config_map("b", 13)),
    ]
    api.on("GET", ALL, listing(5, _by(3, "shop", 0)))
    api.on("watch GET", ALL, api.hold(b"".join(sent)))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: any(change.ref.name == "b" for change in world.changes))
    assert world.versions_notified == [
        ("a", "3", "8"),
        ("a", "8", "10"),
        ("a", "10", None),
        ("a", None, "12"),
        ("b", None, "13"),
    ]


def _by(version: int, manager: str, reports: int) -> dict[str, Any]:
    """The object `a` with data of `manager` and a number of status updates."""
    body = config_map("a", version)
    status = {"manager": "controller", "subresource": "status", "time": f"2026-11-22T08:00:0{reports}Z"}
    body["metadata"]["managedFields"] = [{"manager": manager, "fieldsV1": {"f:data": {}}}, status]
    return body


async def test_a_watch_that_breaks_between_buffered_events_loses_none(
    api: ScriptedApi, world: World, until: Until
) -> None:
    """The next watch starts before the events that were not applied."""
    api.on("GET", ALL, listing(5))
    broken = event("ADDED", config_map("a", 6)) + b"nonsense\n"
    api.on("watch GET", ALL, lines(broken), api.hold(event("ADDED", config_map("a", 6))))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: bool(world.changes))
    assert [s.query["resourceVersion"] for s in api.requests("GET", ALL) if "watch" in s.query] == ["5", "5"]
    assert world.versions_notified == [("a", None, "6")]


async def test_a_watch_that_ended_cleanly_resumes(api: ScriptedApi, world: World, until: Until) -> None:
    """Without another list, from the last resource version, including that of bookmarks."""
    api.on("GET", ALL, listing(5))
    api.on("watch GET", ALL, lines(event("ADDED", config_map("a", 6)), bookmark(9)), api.hold())
    await world.cache.watch_scopes([SHOP])
    await until(lambda: len(api.requests("GET", ALL)) == 3)
    list_, first, second = api.requests("GET", ALL)
    assert "watch" not in list_.query
    assert (first.query["resourceVersion"], second.query["resourceVersion"]) == ("5", "9")
    assert world.names() == {"a"}


@pytest.mark.parametrize("how", ["event", "status"])
async def test_after_a_410_only_differences_are_notified(
    api: ScriptedApi, world: World, until: Until, how: str
) -> None:
    """The new list shows what was added, modified or deleted meanwhile; the rest is unchanged."""
    before = listing(5, config_map("same", 1), config_map("changed", 2), config_map("gone", 3))
    after = listing(50, config_map("same", 1), config_map("changed", 40), config_map("came", 41))
    api.on("GET", ALL, before, after)
    gone = lines(too_old()) if how == "event" else refused(410, "Expired", "too old")
    api.on("watch GET", ALL, gone, api.hold())
    await world.cache.watch_scopes([SHOP])
    await until(lambda: len(world.changes) == 3)
    assert sorted(world.versions_notified) == [("came", None, "41"), ("changed", "2", "40"), ("gone", "3", None)]
    assert world.names() == {"same", "changed", "came"}


async def test_a_410_of_one_scope_lists_no_other_one(api: ScriptedApi, world: World, until: Until) -> None:
    """Only the expired scope is listed again."""
    secrets = "/api/v1/namespaces/shop/secrets"
    api.on("GET", ALL, listing(5))
    api.on("GET", secrets, listing(5, of=SECRETS))
    api.on("watch GET", ALL, lines(too_old()), api.hold())
    api.on("watch GET", secrets, api.hold())
    await world.cache.watch_scopes([SHOP, (SECRETS, "shop")])
    await until(lambda: len([s for s in api.requests("GET", ALL) if "watch" not in s.query]) == 2)
    assert len([seen for seen in api.requests("GET", secrets) if "watch" not in seen.query]) == 1


async def test_a_server_that_always_answers_410_is_backed_off_from(api: ScriptedApi, world: World) -> None:
    """Lists are expensive."""
    api.on("GET", ALL, listing(5))
    api.on("watch GET", ALL, lines(too_old()))
    await world.cache.watch_scopes([SHOP])
    await asyncio.sleep(0.5)
    assert len(api.seen) < 40


async def test_a_server_that_closes_watches_at_once_is_backed_off_from(api: ScriptedApi, world: World) -> None:
    """Although a closed watch is no error."""
    api.on("GET", ALL, listing(5))
    api.on("watch GET", ALL, lines())
    await world.cache.watch_scopes([SHOP])
    await asyncio.sleep(0.5)
    assert len(api.seen) < 30
    assert world.cache.freshness(SHOP).synced


async def test_an_event_between_two_failures_resets_the_backoff(
    api: ScriptedApi, cluster: Cluster, until: Until
) -> None:
    """The tenth broken watch of a day waits as long as the first."""
    changes: list[ObjectChange] = []
    cache = LiveCache(cluster, changes.append, timing=Timing(backoff=0.05, backoff_cap=3600))
    api.on("GET", ALL, listing(5))
    api.on("watch GET", ALL, *(cut(event("ADDED", config_map(f"m{i}", i))) for i in range(6, 18)), api.hold())
    await cache.watch_scopes([SHOP])
    await until(lambda: len(changes) == 12)
    await cache.close()


async def test_a_scope_becomes_stale_when_its_watch_is_broken_for_too_long(
    api: ScriptedApi, world: World, until: Until
) -> None:
    """Until then it stays synced; the listener is notified when it becomes stale."""
    api.on("GET", ALL, listing(5, config_map("a", 3)), reset)
    api.on("watch GET", ALL, cut(event("MODIFIED", config_map("a", 6))), reset)
    await world.cache.watch_scopes([SHOP])
    await until(lambda: world.cache.freshness(SHOP).error is not None)
    assert world.names() == {"a"}
    await until(lambda: not world.cache.freshness(SHOP).synced)
    with pytest.raises(ClusterUnreachable, match="closed the connection"):
        world.cache.get(CONFIG_MAPS, "shop", "a")
    await until(lambda: not world.freshness[-1][1].synced)
    api.on("GET", ALL, listing(8, config_map("a", 6)))
    api.on("watch GET", ALL, api.hold(event("MODIFIED", config_map("a", 9))))
    await until(lambda: world.cache.freshness(SHOP).synced)
    assert world.freshness[-1] == (SHOP, Freshness(True, None, world.freshness[-1][1].last_contact))
    await until(lambda: ("a", "6", "9") in world.versions_notified)


@pytest.mark.parametrize("how", ["list", "watch"])
async def test_a_scope_becomes_stale_when_a_list_or_watch_hangs(
    api: ScriptedApi, world: World, until: Until, how: str
) -> None:
    """Also without an error: after a 410 the list hangs, or after a clean end the next watch."""
    api.on("GET", ALL, listing(5, config_map("a", 3)), never)
    ended = lines(too_old()) if how == "list" else lines(event("MODIFIED", config_map("a", 6)))
    api.on("watch GET", ALL, ended, never)
    await world.cache.watch_scopes([SHOP])
    await until(lambda: bool(world.freshness) and not world.freshness[-1][1].synced)
    with pytest.raises(KubeError, match="could not be opened again in time"):
        world.names()


@pytest.mark.parametrize("how", ["no byte", "no event", "old bookmarks", "closed at once"])
async def test_what_a_watch_does_not_tell_is_found_by_another_list(
    api: ScriptedApi, cluster: Cluster, until: Until, how: str
) -> None:
    """An open connection is no information: a proxy may answer watches with 200, and send nothing."""
    changes: list[ObjectChange] = []
    cache = LiveCache(cluster, changes.append, timing=Timing(bookmark_timeout=0.3, backoff=0.02, backoff_cap=0.05))
    api.on("GET", ALL, listing(5, config_map("a", 3)), listing(9, config_map("a", 8)))
    answers = {
        "no byte": api.hold(),
        "no event": api.hold(b"   "),
        "old bookmarks": lines(bookmark(5), bookmark(4)),
        "closed at once": lines(),
    }
    api.on("watch GET", ALL, answers[how])
    await cache.watch_scopes([SHOP])
    await until(lambda: len(changes) == 1)
    assert [(c.old and c.old.resource_version, c.new and c.new.resource_version) for c in changes] == [("3", "8")]
    assert cache.freshness(SHOP).synced
    await cache.close()


async def test_an_open_connection_does_not_make_a_stale_scope_synced(
    api: ScriptedApi, world: World, until: Until
) -> None:
    """The first event, bookmark or list does."""
    api.on("GET", ALL, listing(5, config_map("a", 3)), never)
    api.on("watch GET", ALL, reset)
    await world.cache.watch_scopes([SHOP])
    await until(lambda: not world.cache.freshness(SHOP).synced)
    api.on("watch GET", ALL, api.hold())
    api.on("GET", ALL, never)
    await asyncio.sleep(0.5)
    with pytest.raises(KubeError):
        world.names()


async def test_a_scope_is_listed_now_and_then_however_well_its_watch_works(
    api: ScriptedApi, cluster: Cluster, until: Until
) -> None:
    """A watch whose bookmarks come in time may leave events out; unchanged objects are not told of again."""
    changes: list[ObjectChange] = []
    cache = LiveCache(cluster, changes.append, timing=Timing(relist_interval=0.3))

    async def only_bookmarks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for version in range(5, 1000):
            await response.write(bookmark(version))
            await asyncio.sleep(0.05)
        return response

    before = listing(5, config_map("a", 3), config_map("same", 4))
    api.on("GET", ALL, before, listing(9, config_map("a", 8), config_map("same", 4)))
    api.on("watch GET", ALL, only_bookmarks)
    await cache.watch_scopes([SHOP])
    await until(lambda: bool(changes))
    assert [change.ref.name for change in changes] == ["a"]
    await cache.close()


async def test_a_scope_that_may_not_be_listed_is_forbidden_and_not_empty(api: ScriptedApi, world: World) -> None:
    """The caller receives the API server's message, and other scopes are not affected."""
    api.on("GET", ALL, refused(403, "Forbidden", 'configmaps is forbidden: User "jane" cannot list'))
    api.on("GET", "/api/v1/namespaces/shop/secrets", listing(5, of=SECRETS))
    api.on("watch GET", "/api/v1/namespaces/shop/secrets", api.hold())
    await world.cache.watch_scopes([SHOP, (SECRETS, "shop")])
    with pytest.raises(Forbidden, match='User "jane" cannot list'):
        world.cache.get(CONFIG_MAPS, "shop", "a")
    freshness = world.cache.freshness(SHOP)
    assert (freshness.synced, freshness.error) == (False, 'configmaps is forbidden: User "jane" cannot list')
    assert world.cache.get(SECRETS, "shop", "a") is None


async def test_a_throttled_watch_is_reopened_after_the_retry_after(
    api: ScriptedApi, world: World, until: Until
) -> None:
    """Not sooner, although the backoff is shorter, and not by another `watch_scopes`."""
    api.on("GET", ALL, listing(5))
    busy = refused(429, "TooManyRequests", "too many requests", {"Retry-After": "1"})
    api.on("watch GET", ALL, busy, api.hold(event("ADDED", config_map("a", 6))))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: world.cache.freshness(SHOP).error is not None)
    refused_at = time.monotonic()
    await asyncio.sleep(0.1)
    asking = asyncio.create_task(world.cache.watch_scopes([SHOP]))
    await until(lambda: world.versions_notified == [("a", None, "6")])
    assert time.monotonic() - refused_at >= 0.9
    await asking


async def test_a_revoked_permission_makes_a_scope_unsynced_at_once(
    api: ScriptedApi, world: World, until: Until
) -> None:
    """There is no grace period for an answer of the server."""
    api.on("GET", ALL, listing(5, config_map("a", 3)))
    api.on("watch GET", ALL, refused(403, "Forbidden", "no more"))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: world.cache.freshness(SHOP).error == "no more")
    with pytest.raises(Forbidden):
        world.names()


async def test_a_kind_is_listed_once_its_crd_is_installed(api: ScriptedApi, world: World, until: Until) -> None:
    """The list is retried, and its objects are notified as added."""
    path = "/apis/example.com/v1/namespaces/shop/widgets"
    scope: Scope = (WIDGETS, "shop")
    await world.cache.watch_scopes([scope])
    with pytest.raises(KubeError, match="does not serve Widget"):
        world.cache.items(scope)
    widget = {**config_map("w", 6), "apiVersion": "example.com/v1", "kind": "Widget"}
    api.on("watch GET", path, api.hold())
    api.on("GET", path, listing(7, widget, of=WIDGETS))
    await until(lambda: world.cache.freshness(scope).synced)
    assert world.versions_notified == [("w", None, "6")]
    assert world.freshness[-1][1].synced


async def test_watching_a_failed_scope_again_retries_it_at_once(api: ScriptedApi, cluster: Cluster) -> None:
    """Without waiting for the backoff."""
    cache = LiveCache(cluster, lambda _: None, timing=Timing(backoff=3600, backoff_cap=3600))
    api.on("GET", ALL, refused(403, "Forbidden", "no"), listing(5, config_map("a", 3)))
    api.on("watch GET", ALL, api.hold())
    await cache.watch_scopes([SHOP])
    assert not cache.freshness(SHOP).synced
    await cache.watch_scopes([SHOP])
    assert len(cache.items(SHOP)) == 1
    await cache.close()


async def test_scopes_that_are_no_longer_requested_are_stopped(api: ScriptedApi, world: World) -> None:
    """Their objects cannot be read any more; other scopes are not listed again."""
    api.on("GET", ALL, listing(5))
    api.on("GET", "/api/v1/configmaps", listing(5, config_map("a", 3)))
    api.on("watch GET", ALL, api.hold())
    api.on("watch GET", "/api/v1/configmaps", api.hold())
    await world.cache.watch_scopes([SHOP, (CONFIG_MAPS, None)])
    await world.cache.watch_scopes([(CONFIG_MAPS, None)])
    assert world.cache.freshness(SHOP) == Freshness(False, None, None)
    assert world.cache.get(CONFIG_MAPS, "shop", "a") is not None, "the wider scope covers it"
    await world.cache.watch_scopes([])
    with pytest.raises(KubeError, match="not watched"):
        world.cache.get(CONFIG_MAPS, "shop", "a")


async def test_a_stopped_scope_releases_its_waiters(api: ScriptedApi, world: World, until: Until) -> None:
    """A later call of `watch_scopes` ends the wait for scopes that it stops."""
    api.on("GET", ALL, never)
    waiting = asyncio.create_task(world.cache.watch_scopes([SHOP]))
    await until(lambda: bool(api.seen))
    await world.cache.watch_scopes([])
    await asyncio.wait_for(waiting, 5)


async def test_a_failing_listener_does_not_affect_the_cache(api: ScriptedApi, cluster: Cluster, until: Until) -> None:
    """The objects stay correct."""

    def fail(_: ObjectChange) -> None:
        raise RuntimeError

    cache = LiveCache(cluster, fail)
    api.on("GET", ALL, listing(5))
    api.on("watch GET", ALL, api.hold(event("ADDED", config_map("a", 6)), event("ADDED", config_map("b", 7))))
    await cache.watch_scopes([SHOP])
    await until(lambda: len(cache.items(SHOP)) == 2)
    assert cache.freshness(SHOP).error is None
    await cache.close()


async def test_a_malformed_list_is_an_error_and_not_an_empty_cluster(api: ScriptedApi, world: World) -> None:
    """The scope stays unsynced."""
    api.on("GET", ALL, text('{"kind": "ConfigMapList", "items": ['))
    await world.cache.watch_scopes([SHOP])
    with pytest.raises(KubeError, match="not JSON"):
        world.names()
    for item, says in (({"data": {}}, "no object"), ({"metadata": {}}, "without a name")):
        api.on("GET", ALL, listing(5, item))
        await world.cache.watch_scopes([SHOP])
        with pytest.raises(KubeError, match=says):
            world.names()


async def test_no_repr_contains_the_content_of_an_object(api: ScriptedApi, world: World, until: Until) -> None:
    """A Secret must not reach a log by way of repr."""
    api.on("GET", ALL, listing(5, config_map("a", 3, password="canary")))
    api.on("watch GET", ALL, api.hold(event("MODIFIED", config_map("a", 6, password="canary"))))
    await world.cache.watch_scopes([SHOP])
    await until(lambda: len(world.changes) == 1)
    assert "canary" not in f"{world.cache!r} {world.changes!r} {world.cache.items(SHOP)!r} {world.freshness!r}"
