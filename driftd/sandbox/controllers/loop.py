"""The controllers' work queue: writes enqueue keys, which are reconciled one at a time when they are due."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

import structlog

from driftd.sandbox.controllers.access import Access
from driftd.sandbox.controllers.daemonsets import DaemonSets
from driftd.sandbox.controllers.deployments import Deployments
from driftd.sandbox.controllers.jobs import Jobs
from driftd.sandbox.controllers.kubelet import Kubelet
from driftd.sandbox.controllers.replicasets import ReplicaSets
from driftd.sandbox.controllers.settings import RolloutSettings
from driftd.sandbox.controllers.statefulsets import StatefulSets
from driftd.sandbox.crds import Definitions
from driftd.sandbox.deletion import Deletion
from driftd.sandbox.resources.registry import CRDS
from driftd.sandbox.status import ApiError
from driftd.sandbox.store import Change, CollectionKey, Name
from driftd.sandbox.world import World
from driftd.sandbox.writes import Writes

Key = tuple[CollectionKey, Name]
Reconcile = Callable[[Name], float | None]

_BATCH_SIZE = 50
"""Keys reconciled before control returns to the event loop, so that requests are served in between."""

log = structlog.get_logger(__name__)


class Controllers:
    """All controllers of a world. Writes are enqueued from the start, and processed while `run` runs."""

    def __init__(self, world: World, writes: Writes, deletion: Deletion, settings: RolloutSettings) -> None:
        self._world = world
        self._definitions = Definitions(world, writes, deletion)
        self._deletion = deletion
        access = Access(world, writes, deletion)
        self._reconcilers: dict[CollectionKey, Reconcile] = {
            CRDS: self._reconcile_definition,
            ("", "namespaces"): self._reconcile_namespace,
        }
        if settings.enabled:
            kubelet = Kubelet(access, settings)
            self._reconcilers |= {
                ("apps", "deployments"): Deployments(access).reconcile,
                ("apps", "replicasets"): ReplicaSets(access).reconcile,
                ("apps", "statefulsets"): StatefulSets(access).reconcile,
                ("apps", "daemonsets"): DaemonSets(access).reconcile,
                ("batch", "jobs"): Jobs(access).reconcile,
                ("", "pods"): kubelet.reconcile,
            }
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = count()
        self._wake: asyncio.Event | None = None
        self._now: Callable[[], float] = lambda: 0.0
        world.store.subscribe(self._on_change)

    async def run(self) -> None:
        """Reconciles keys that are due, until cancelled."""
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self._wake = asyncio.Event()
        for key in list(self._due):  # the clock of an earlier event loop does not apply to this one
            self._due.pop(key)
            self._add(key, 0.0)
        while True:
            for _ in range(_BATCH_SIZE):
                if not self._heap or self._heap[0][0] > loop.time():
                    break
                time, _, key = heapq.heappop(self._heap)
                if self._due.get(key) == time:
                    del self._due[key]
                    self._reconcile(key)
            wait = self._heap[0][0] - loop.time() if self._heap else None
            if wait is not None and wait <= 0:
                await asyncio.sleep(0)
                continue
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except TimeoutError:
                continue

    def _on_change(self, key: CollectionKey, change: Change) -> None:
        self._definitions.on_change(key, change)
        obj = change.after or change.before
        if obj is None:
            return
        metadata = obj["metadata"]
        if change.after is not None and key in self._reconcilers:
            self._add((key, (metadata.get("namespace", ""), metadata["name"])), 0.0)
        for reference in metadata.get("ownerReferences") or ():
            group = reference["apiVersion"].rpartition("/")[0]
            kind = self._world.registry.of_kind(group, reference["kind"])
            if kind is not None and kind.resource.key in self._reconcilers:
                self._add((kind.resource.key, (metadata.get("namespace", ""), reference["name"])), 0.0)
        if change.after is None and key[0] in {kind.resource.group for kind in self._world.registry.custom_kinds()}:
            self._add((CRDS, ("", f"{key[1]}.{key[0]}")), 0.0)

    def _add(self, key: Key, delay: float) -> None:
        time = self._now() + delay
        due = self._due.get(key)
        if due is not None and due <= time:
            return
        self._due[key] = time
        heapq.heappush(self._heap, (time, next(self._order), key))
        if self._wake is not None:
            self._wake.set()

    def _reconcile(self, key: Key) -> None:
        try:
            delay = self._reconcilers[key[0]](key[1])
        except ApiError as error:
            # for example a name in use or a terminating namespace: the state of the cluster, which may change
            log.debug("sandbox controller will try again", resource=key[0][1], name=key[1][1], error=str(error))
            delay = 1.0
        if delay is not None:
            self._add(key, delay)

    def _reconcile_definition(self, name: Name) -> float | None:
        self._definitions.reconcile(name[1])
        return None

    def _reconcile_namespace(self, name: Name) -> float | None:
        self._deletion.advance(("", "namespaces"), name)
        return None
