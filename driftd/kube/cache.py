"""The live cache: what the cluster holds, for as many collections as the apps need and no more."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from driftd.kube.cached_object import CachedObject, DecodedCache, Packer
from driftd.kube.discovery import ApiResource, Scope
from driftd.kube.object_store import Changed, Collection, Keep
from driftd.kube.objects import get, list_each
from driftd.kube.reflector import Freshness, Loading, Reflector, Timing
from driftd.kube.rest_client import Cluster
from driftd.model.errors import KubeError

__all__ = ["CachedObject", "Changed", "Freshness", "Keep", "LiveCache", "Timing"]

_MIN_GETS_FOR_LIST = 100
"""From so many outlines in a namespace on, one LIST completes them for less than a GET for each."""


@dataclass(slots=True)
class _Running:
    reflector: Reflector
    task: asyncio.Task[None]


class LiveCache:
    """One list and watch per scope of one cluster.

    `on_change` hears of every object that came, changed or went after its scope was first listed; `on_freshness` of
    every scope that came to be trusted, or is not any more. Both are called on the event loop and must be quick:
    enqueue a key, no more. What `keep` says no to is held in outline: `trim` and `complete` follow its change of mind.
    Another `keep` counts for scopes that are watched later.
    """

    def __init__(
        self,
        cluster: Cluster,
        on_change: Callable[[Changed], None],
        on_freshness: Callable[[Scope, Freshness], None] = lambda _scope, _freshness: None,
        timing: Timing | None = None,
        keep: Keep = lambda _ref, _content: True,
    ) -> None:
        self._cluster = cluster
        self._on_change = on_change
        self._on_freshness = on_freshness
        self._timing = timing or Timing()
        self.keep = keep
        self._loading = Loading()
        self._packers: defaultdict[ApiResource, Packer] = defaultdict(Packer)
        self._at_hand = DecodedCache()
        self._running: dict[Scope, _Running] = {}
        self._ensuring = asyncio.Lock()

    async def watch_scopes(self, scopes: Iterable[Scope]) -> None:
        """Watches exactly these scopes: starts what is missing, stops what nobody needs.

        Returns when each of them has been listed or has failed to be; `fresh` tells which. What failed goes on being
        tried in the background, and at once when it is asked for here again.
        """
        wanted = set(scopes)
        async with self._ensuring:
            await self._stop(self._running.keys() - wanted)
            for scope in wanted:
                if scope in self._running:
                    self._running[scope].reflector.try_now()
                else:
                    self._running[scope] = self._start(scope)
            waited = [self._running[scope].reflector for scope in wanted]
        await asyncio.gather(*(reflector.settled() for reflector in waited))

    def get(self, resource: ApiResource, namespace: str | None, name: str) -> CachedObject | None:
        """One object; None means that the cluster has none of that name.

        Raises: KubeError: no scope covers it, or the one that does cannot be trusted just now (never listed, or its
            watch broken for too long); Forbidden and the like as the server said it.
        """
        reflector = self._trusted(resource, namespace)
        return reflector.collection.objects.get((namespace if resource.namespaced else None, name))

    def version(self, resource: ApiResource, namespace: str | None) -> str | None:
        """The resource version up to which the scope is known; None while it has to be listed again.

        Raises: as `get`.
        """
        return self._trusted(resource, namespace).version

    def items(self, scope: Scope) -> list[CachedObject]:
        """Every object of a scope. Raises: as `get`."""
        return list(self._trusted(*scope).collection.objects.values())

    async def fetch_content(self, resource: ApiResource, namespace: str | None, names: Sequence[str]) -> None:
        """Reads what is held in outline of some objects, so that `get` has them whole, or not at all.

        Raises: as `get`; KubeError, UnknownKind: they could not be read.
        """
        if len(names) >= _MIN_GETS_FOR_LIST:
            collection, asked = self._trusted(resource, namespace).collection, frozenset(names)

            def take(item: dict[str, Any]) -> None:
                if item["metadata"]["name"] in asked or collection.keeps(item):
                    collection.set_content(item)

            await list_each(self._cluster, resource, namespace, take)
        await asyncio.gather(*(self._fetch_content(resource, namespace, name) for name in names))

    async def drop_unneeded_content(self) -> None:
        """Holds in outline what `keep` says no to by now."""
        for running in list(self._running.values()):
            await running.reflector.collection.drop_unneeded_content()

    def fresh(self, scope: Scope) -> Freshness:
        """How far a scope can be trusted. One that is not watched is not synced."""
        running = self._running.get(scope)
        return running.reflector.freshness if running else Freshness(synced=False, error=None, last_contact=None)

    async def close(self) -> None:
        """Ends every watch."""
        async with self._ensuring:
            await self._stop(set(self._running))
        self._at_hand.let_go()

    def __repr__(self) -> str:
        return f"LiveCache({self._cluster.name!r}, {len(self._running)} scopes)"

    def _start(self, scope: Scope) -> _Running:
        resource, namespace = scope
        reflector = Reflector(
            self._cluster,
            resource,
            namespace,
            Collection(resource, self._packers[resource], self.keep, self._on_change, self._at_hand),
            lambda freshness: self._on_freshness(scope, freshness),
            self._timing,
            self._loading,
        )
        return _Running(reflector, asyncio.create_task(reflector.run(), name=f"watch {resource} {namespace or '*'}"))

    async def _stop(self, scopes: Iterable[Scope]) -> None:
        stopped = [self._running.pop(scope) for scope in set(scopes)]
        for running in stopped:
            running.task.cancel()
            running.reflector.give_up()
        if stopped:
            await asyncio.wait([running.task for running in stopped])

    async def _fetch_content(self, resource: ApiResource, namespace: str | None, name: str) -> None:
        held = self.get(resource, namespace, name)
        if held is None or held.is_whole:
            return
        found = await get(self._cluster, resource, namespace, name)
        collection = self._trusted(resource, namespace).collection
        if found is not None:
            collection.set_content(found)
        else:
            collection.gone(held)

    def _trusted(self, resource: ApiResource, namespace: str | None) -> Reflector:
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
            raise KubeError(f"{where}: {reflector.doubt}")
        return reflector
