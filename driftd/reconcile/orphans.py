"""Objects that an earlier revision of the app declared, that Git no longer declares, and that are live still."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from driftd.kube.objects import get
from driftd.model.drift import Status, Verdict
from driftd.model.errors import DriftdError
from driftd.model.resource import Manifest, ResourceRef
from driftd.reconcile.app import App
from driftd.reconcile.cluster_view import ClusterView
from driftd.reconcile.desired import Wanted, place
from driftd.store.store import Store

_REVISIONS = 10
"""So many of the latest revisions that were in the cluster make up an app's inventory."""


class Inventory:
    """What an app has had in its cluster, by its history."""

    def __init__(self, app: str, store: Store) -> None:
        self._app = app
        self._store = store
        self._manifests: dict[str, tuple[Manifest, ...]] = {}

    async def dropped(self, declared: AbstractSet[ResourceRef], current: str) -> list[Manifest]:
        """The latest manifest of each object that was applied before and is not among those `declared` now.

        `current` is the digest of what is declared. A manifest that names no namespace counts as declared where one of
        the same kind and name is, whatever its namespace.
        """
        digests = [d for d in await self._store.applied_digests(self._app, limit=_REVISIONS) if d != current]
        self._manifests = {d: self._manifests[d] for d in digests if d in self._manifests}
        names = {(ref.group, ref.kind, ref.name) for ref in declared}
        dropped: dict[ResourceRef, Manifest] = {}
        for digest in digests:
            if digest not in self._manifests:
                self._manifests[digest] = await self._store.manifests(digest)
            for manifest in self._manifests[digest]:
                ref = manifest.ref
                if ref.namespace is None and (ref.group, ref.kind, ref.name) in names:
                    continue
                if ref not in declared:
                    dropped.setdefault(ref, manifest)
        return list(dropped.values())


async def orphans(dropped: Iterable[Manifest], app: App, view: ClusterView) -> tuple[Verdict, ...]:
    """A verdict for each object that should be gone and is not: orphaned, or unknown. Costs a GET for each."""
    placed = await place(dropped, app, view)
    found = await asyncio.gather(*(_look(one, view) for one in placed if one.resource is not None))
    return tuple(verdict for verdict in found if verdict is not None)


async def _look(one: Wanted, view: ClusterView) -> Verdict | None:
    manifest, resource = one.manifest, one.resource
    assert resource is not None  # noqa: S101  # the caller has looked
    try:
        live = await get(view.cluster, resource, manifest.ref.namespace, manifest.ref.name)
    except DriftdError as error:
        return Verdict(manifest.ref, manifest.api_version, Status.UNKNOWN, manifest.source, error=str(error))
    if live is None or live["metadata"].get("deletionTimestamp"):
        return None
    return Verdict(manifest.ref, manifest.api_version, Status.ORPHANED, manifest.source)
