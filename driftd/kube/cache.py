"""The live cache of a cluster: list and watch for as many scopes as the apps need (client-go: shared informers)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from driftd.kube.cached_object import CachedObject, DecodedCache, Packer
from driftd.kube.discovery import ApiResource, Scope
from driftd.kube.listing import list_each
from driftd.kube.object_store import NeedsContent, ObjectChange, ObjectStore
from driftd.kube.objects import get
from driftd.kube.reflector import Freshness, ListState, Reflector, Timing
from driftd.kube.rest_client import Cluster
from driftd.model.errors import KubeError

__all__ = ["CachedObject", "Freshness", "LiveCache", "NeedsContent", "ObjectChange", "Timing"]

_MIN_GETS_FOR_LIST = 100
"""Number of objects of a namespace from which on one LIST is cheaper than a GET for each."""


@dataclass(slots=True)
class _RunningReflector:
    reflector: Reflector
    task: asyncio.Task[None]


class LiveCache:
    """One reflector per scope of one cluster.

    `on_change` is called for every object that is added, modified or deleted after the first list of its scope;
    `on_freshness` when a scope becomes synced, stale, or has another error. Both run on the event loop and must
    return at once: enqueue a key, no more.

    Objects for which `needs_content` is false are cached as metadata only. When its answers change, call
    `drop_unneeded_content` and `fetch_content`. Another function set here applies to scopes that are watched later.
    """

    def __init__(
        self,
        cluster: Cluster,
        on_change: Callable[[ObjectChange], None],
        on_freshness: Callable[[Scope, Freshness], None] = lambda _scope, _freshness: None,
        timing: Timing | None = None,
        needs_content: NeedsContent = lambda _ref, _content: True,
    ) -> None:
        self._cluster = cluster
        self._on_change = on_change
        self._on_freshness = on_freshness
        self._timing = timing or Timing()
        self.needs_content = needs_content
        self._list_state = ListState()
        self._packers: defaultdict[ApiResource, Packer] = defaultdict(Packer)
        self._decoded = DecodedCache()
        self._running: dict[Scope, _RunningReflector] = {}
        self._lock = asyncio.Lock()

    async def watch_scopes(self, scopes: Iterable[Scope], awaited: Iterable[Scope] | None = None) -> None:
        """Watches exactly these scopes: starts missing reflectors and stops all others.

        Returns when each of the `awaited` ones (by default, of all) has been listed, its list has failed, or
        `Timing.attempt_timeout` is over; `freshness` tells which. Failed ones are retried in the background, and at
        once by another call of this.
        """
        requested = set(scopes)
        waited_for = requested.intersection(requested if awaited is None else awaited)
        async with self._lock:
            await self._stop(self._running.keys() - requested)
            for scope in requested:
                if scope in self._running:
                    self._running[scope].reflector.retry_now()
                else:
                    self._running[scope] = self._start(scope)
            reflectors = [self._running[scope].reflector for scope in waited_for]
        with suppress(TimeoutError):  # one kind whose list hangs does not hold up all others
            async with asyncio.timeout(self._timing.attempt_timeout):
                await asyncio.gather(*(reflector.wait_for_attempt() for reflector in reflectors))

    def get(self, resource: ApiResource, namespace: str | None, name: str) -> CachedObject | None:
        """One object, or None if the cluster has none of that name.

        Raises: KubeError: the object is in no watched scope, or in one that is not synced (never listed, or its watch
            broken for too long); Forbidden and other types as the server answered.
        """
        reflector = self._synced_reflector(resource, namespace)
        return reflector.store.objects.get((namespace if resource.namespaced else None, name))

    def version(self, resource: ApiResource, namespace: str | None) -> str | None:
        """The last resource version of a scope; None while it has to be listed again. Raises: as `get`."""
        return self._synced_reflector(resource, namespace).version

    def items(self, scope: Scope) -> list[CachedObject]:
        """Every object of a scope. Raises: as `get`."""
        return list(self._synced_reflector(*scope).store.objects.values())

    async def fetch_content(self, resource: ApiResource, namespace: str | None, names: Sequence[str]) -> None:
        """Fetches the objects of which only metadata is cached, after which `get` returns them complete, or None.

        Raises: as `get`; KubeError, UnknownKind: they could not be read.
        """
        if len(names) >= _MIN_GETS_FOR_LIST:
            store, requested = self._synced_reflector(resource, namespace).store, frozenset(names)

            def set_content(item: dict[str, Any]) -> None:
                if item["metadata"]["name"] in requested or store.needs_content(item):
                    store.set_content(item)

            await list_each(self._cluster, resource, namespace, set_content)
        await asyncio.gather(*(self._fetch_content(resource, namespace, name) for name in names))

    async def drop_unneeded_content(self) -> None:
        """Reduces objects to metadata for which `needs_content` is false by now."""
        for running in list(self._running.values()):
            await running.reflector.store.drop_unneeded_content()

    def freshness(self, scope: Scope) -> Freshness:
        """Whether a scope is synced. One that is not watched is not."""
        running = self._running.get(scope)
        return running.reflector.freshness if running else Freshness(synced=False, error=None, last_contact=None)

    async def close(self) -> None:
        """Stops every watch."""
        async with self._lock:
            await self._stop(set(self._running))
        self._decoded.clear()

    def __repr__(self) -> str:
        return f"LiveCache({self._cluster.name!r}, {len(self._running)} scopes)"

    def _start(self, scope: Scope) -> _RunningReflector:
        resource, namespace = scope
        reflector = Reflector(
            self._cluster,
            resource,
            namespace,
            ObjectStore(resource, self._packers[resource], self.needs_content, self._on_change, self._decoded),
            lambda freshness: self._on_freshness(scope, freshness),
            self._timing,
            self._list_state,
        )
        task = asyncio.create_task(reflector.run(), name=f"watch {resource} {namespace or '*'}")
        return _RunningReflector(reflector, task)

    async def _stop(self, scopes: Iterable[Scope]) -> None:
        stopped = [self._running.pop(scope) for scope in set(scopes)]
        for running in stopped:
            running.task.cancel()
            running.reflector.stop()
        if stopped:
            await asyncio.wait([running.task for running in stopped])

    async def _fetch_content(self, resource: ApiResource, namespace: str | None, name: str) -> None:
        cached = self.get(resource, namespace, name)
        if cached is None or not cached.metadata_only:
            return
        content = await get(self._cluster, resource, namespace, name)
        store = self._synced_reflector(resource, namespace).store
        if content is not None:
            store.set_content(content)
        else:
            store.remove(cached)

    def _synced_reflector(self, resource: ApiResource, namespace: str | None) -> Reflector:
        running = self._running.get((resource, namespace)) or self._running.get((resource, None))
        where = f"{resource} in {namespace}" if namespace else str(resource)
        if running is None:
            raise KubeError(f"{where}: not watched")
        reflector = running.reflector
        if not reflector.freshness.synced:
            if isinstance(reflector.failure, KubeError):
                raise type(reflector.failure)(
                    str(reflector.failure), status=reflector.failure.status, reason=reflector.failure.reason
                )
            raise KubeError(f"{where}: {reflector.not_synced_reason}")
        return reflector
