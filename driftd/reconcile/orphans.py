"""Objects that an earlier revision of the app declared, that Git no longer declares, and that are live still."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.model.drift import Status, Verdict
from driftd.model.resource import Manifest, ResourceRef
from driftd.reconcile.app import App
from driftd.reconcile.cluster_view import ClusterView
from driftd.reconcile.placement import Placement, Wanted, place
from driftd.reconcile.reading import Reader
from driftd.store.store import Store


class Inventory:
    """What an app has had in its cluster, by its history."""

    def __init__(self, app: App, view: ClusterView, store: Store) -> None:
        self._app = app
        self._view = view
        self._store = store
        self._manifests: dict[str, tuple[Manifest, ...]] = {}
        self._last: tuple[list[str], Placement] | None = None
        self._dropped: tuple[Wanted, ...] = ()

    async def dropped(self, declared: Placement, current: str, applied: Sequence[str]) -> tuple[Wanted, ...]:
        """Each object that was applied before and is not `declared` now, by its latest manifest, where it is served.

        `current` is the digest of what is declared, `applied` are those of what was in the cluster, the latest first.
        A manifest that names no namespace counts as declared where one of the same kind and name is, whatever its
        namespace.
        """
        digests = [digest for digest in applied if digest != current]
        if self._last is not None and self._last[0] == digests and self._last[1] is declared:
            return self._dropped
        self._manifests = {d: self._manifests[d] for d in digests if d in self._manifests}
        names = {(ref.group, ref.kind, ref.name) for ref in declared.by_ref} if digests else set()
        dropped: dict[ResourceRef, Manifest] = {}
        for digest in digests:
            if digest not in self._manifests:
                self._manifests[digest] = await self._store.manifests(digest)
            for manifest in self._manifests[digest]:
                ref = manifest.ref
                if ref.namespace is None and (ref.group, ref.kind, ref.name) in names:
                    continue
                if ref not in declared.by_ref:
                    dropped.setdefault(ref, manifest)
        placed = await place(dropped.values(), self._app, self._view)
        self._dropped = tuple(one for one in placed if one.resource is not None)
        self._last = (digests, declared)
        return self._dropped


async def orphans(dropped: Sequence[Wanted], reader: Reader) -> tuple[Verdict, ...]:
    """A verdict for each object that should be gone and is not: orphaned, or unknown."""
    if not dropped:
        return ()
    readings = await reader.read(dropped)
    verdicts = []
    for one in dropped:
        manifest, reading = one.manifest, readings[one.manifest.ref]
        if reading.error is not None:
            status = Status.UNKNOWN
        elif reading.body is None or reading.body["metadata"].get("deletionTimestamp"):
            continue
        else:
            status = Status.ORPHANED
        verdicts.append(Verdict(manifest.ref, manifest.api_version, status, manifest.source, error=reading.error))
    return tuple(verdicts)
