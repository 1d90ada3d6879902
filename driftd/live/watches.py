"""The watches of one cluster: what is watched for its apps, what is cached, and which apps a change concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from time import monotonic

from driftd.diff.autoscaler import scale_target
from driftd.health.runs import runs_to_an_end
from driftd.kube.cache import CachedObject, Freshness, LiveCache, ObjectChange
from driftd.kube.discovery import Scope
from driftd.kube.object_store import log_defect
from driftd.live.actors import ActorLog
from driftd.live.cache_reader import CacheReader
from driftd.live.pod_index import PodIndex, workload_of
from driftd.live.pods import affects_verdict
from driftd.live.version_log import VersionLog
from driftd.model.audit import ApiPath, AuditEvent
from driftd.model.resource import JsonObject, ResourceRef

_TRIM_AFTER = 30.0
"""Seconds without a new subscription after which the content of undeclared objects is dropped.

Until then all content is kept: while a daemon starts, what one app does not declare the next one may.
"""

_POD = ("", "Pod")
_AUTOSCALER = ("autoscaling", "HorizontalPodAutoscaler")


CacheMaker = Callable[[Callable[[ObjectChange], None], Callable[[Scope, Freshness], None]], LiveCache]
"""Makes a cache with callbacks for changed objects and for changes of a scope's freshness."""


class ClusterWatches:
    """The live cache of one cluster, shared by the apps that deploy to it."""

    def __init__(
        self,
        cache_of: CacheMaker,
        changed: Callable[[str], None],
        now: Callable[[], datetime],
        *,
        trim_after: float = _TRIM_AFTER,
    ) -> None:
        self._cache = cache_of(self._on_change, self._on_freshness)
        self._cache.needs_content = self._keeps_content
        self._changed = changed
        self._scopes: dict[str, set[Scope]] = {}
        self._refs: dict[str, set[ResourceRef]] = {}
        self._apps_by_ref: dict[ResourceRef, tuple[str, ...]] = {}
        self._readers: dict[str, CacheReader] = {}
        self._dirty: dict[str, set[ResourceRef] | None] = {}
        self._pods = PodIndex()
        self._now = now
        self._trim_after = trim_after
        self._trimming: asyncio.Task[None] | None = None
        self._keep_all = True
        self._deleted: dict[ResourceRef, CachedObject] = {}
        self.versions = VersionLog(now, monotonic)
        self.actors = ActorLog()

    async def subscribe(self, app: str, scopes: set[Scope], refs: set[ResourceRef]) -> CacheReader:
        """Watches what an app declares, and stops watching what it no longer declares."""
        if self._refs.get(app) != refs:
            self._declare(app, refs)
        if self._scopes.get(app) != scopes:
            self._scopes[app] = set(scopes)
            watched = set().union(*self._scopes.values())
            self._pods.retain(watched)
            await self._cache.watch_scopes(watched, awaited=scopes)
        return self._readers.setdefault(app, CacheReader(self._cache, self._pods))

    def drain_changes(self, app: str) -> set[ResourceRef] | None:
        """The app's objects that have changed since the last call; None if any of them may have."""
        return self._dirty.pop(app, set())

    def last_seen(self, ref: ResourceRef) -> JsonObject | None:
        """The last version of a declared Job or Pod that was deleted, and has not come back."""
        return _content(self._deleted.get(ref))

    def forget_versions(self, app: str) -> None:
        """Drops the versions that the app's objects had: another process has made the passes over it."""
        for ref in self._refs.get(app, ()):
            self.versions.forget(app, ref)

    async def close(self) -> None:
        if self._trimming is not None:
            self._trimming.cancel()
            await asyncio.wait([self._trimming])
        await self._cache.close()

    def record_audit(self, events: Iterable[AuditEvent]) -> None:
        """Records the audit events of objects that some app declares."""
        for event in events:
            ref = self._ref_of(event.path)
            if ref is not None and ref in self._apps_by_ref:
                self.actors.record_audit(ref, event)
                self._mark_dirty(ref)

    def _ref_of(self, path: ApiPath) -> ResourceRef | None:
        """The object at a path, if some app declares objects of its kind."""
        for scopes in self._scopes.values():
            for resource, _ in scopes:
                if (resource.group, resource.plural) == (path.group, path.plural):
                    namespace = path.namespace if resource.namespaced else None
                    return ResourceRef(path.group, resource.kind, namespace, path.name)
        return None

    def _declare(self, app: str, refs: set[ResourceRef]) -> None:
        shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # most objects are of the same few apps
        for ref in refs - self._refs.get(app, set()):
            apps = (*self._apps_by_ref.get(ref, ()), app)
            self._apps_by_ref[ref] = shared.setdefault(apps, apps)
        for ref in self._refs.get(app, set()) - refs:
            self._deleted.pop(ref, None)
            self.versions.forget(app, ref)
            self._apps_by_ref[ref] = tuple([other for other in self._apps_by_ref[ref] if other != app])
            if not self._apps_by_ref[ref]:
                del self._apps_by_ref[ref]
        self._refs[app] = set(refs)
        self._keep_all = True
        if self._trimming is not None:
            self._trimming.cancel()
        self._trimming = asyncio.create_task(self._trim(), name="trim the live cache")

    async def _trim(self) -> None:
        await asyncio.sleep(self._trim_after)
        self._keep_all = False
        try:
            await self._cache.drop_unneeded_content()
        except Exception as error:  # noqa: BLE001  a defect costs memory, and nothing else
            log_defect("trimming the live cache failed", error)

    def _keeps_content(self, ref: ResourceRef, content: Callable[[], JsonObject]) -> bool:
        """Whether some app needs more than the metadata of an object."""
        if self._keep_all or ref in self._apps_by_ref:
            return True
        kind = (ref.group, ref.kind)
        return kind == _AUTOSCALER or (kind == _POD and workload_of(content()) in self._apps_by_ref)

    def _on_change(self, change: ObjectChange) -> None:
        old, new = change.old, change.new
        kind = (change.ref.group, change.ref.kind)
        if kind == _POD:
            self._pods.apply(change)
            workload = _workload(new or old)
            if workload is not None and workload in self._apps_by_ref and _affects_workload(old, new):
                self._mark_dirty(workload)
        elif kind == _AUTOSCALER:
            for autoscaler in (_content(old), _content(new)):
                if autoscaler is not None and (scaled := scale_target(autoscaler)) is not None:
                    self._mark_dirty(scaled)
        if change.ref in self._apps_by_ref:
            self.actors.record_change(change.ref, old, new, self._now())
            self.versions.record(self._apps_by_ref[change.ref], change)
            if new is not None:
                self._deleted.pop(change.ref, None)
            elif old is not None and runs_to_an_end(change.ref):
                self._deleted[change.ref] = old
            self._mark_dirty(change.ref)

    def _mark_dirty(self, ref: ResourceRef) -> None:
        for app in self._apps_by_ref.get(ref, ()):
            dirty = self._dirty.setdefault(app, set())
            if dirty is not None:
                dirty.add(ref)
            self._changed(app)

    def _on_freshness(self, scope: Scope, _freshness: Freshness) -> None:
        for app, scopes in self._scopes.items():
            if scope in scopes:
                self._dirty[app] = None
                self._changed(app)


def _content(cached: CachedObject | None) -> JsonObject | None:
    """The object, unless it is held as metadata only."""
    return cached.object if cached is not None and not cached.metadata_only else None


def _affects_workload(old: CachedObject | None, new: CachedObject | None) -> bool:
    """Whether a pod's change can change the verdict on its workload."""
    return (old is not None and old.metadata_only) or affects_verdict(_content(old), _content(new))


def _workload(pod: CachedObject | None) -> ResourceRef | None:
    return workload_of(pod.metadata) if pod is not None else None
