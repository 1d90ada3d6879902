"""What an app has had in its cluster, by its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest, RestMapping, map_manifests
from driftd.model.app import App
from driftd.model.resource import Manifest, ResourceRef
from driftd.store.store import Store


@dataclass(slots=True)
class _Difference:
    """By what a revision differs from what is declared: what only it has, and the digests of what only that has."""

    only_then: dict[bytes, Manifest]
    only_now: set[bytes]


class Inventory:
    """Knows the objects that earlier revisions declared.

    Revisions mostly differ in little: kept is by what each differs from the current one, which moves with it.
    """

    def __init__(self, app: App, view: ClusterView, store: Store) -> None:
        self._app = app
        self._view = view
        self._store = store
        self._declared = RestMapping()
        self._current = ""
        self._applied: Sequence[str] | None = None
        self._differences: dict[str, _Difference] = {}
        self._no_longer_declared: tuple[MappedManifest, ...] = ()

    async def no_longer_declared(
        self, declared: RestMapping, current: str, applied: Sequence[str]
    ) -> tuple[MappedManifest, ...]:
        """Each object that was applied before and is not `declared` now, by its latest manifest, where it is served.

        `current` is the digest of what is declared, `applied` are those of what was in the cluster, the latest first.
        A manifest that names no namespace counts as declared where one of the same kind and name is, whatever its
        namespace.
        """
        digests = [digest for digest in applied if digest != current]
        if declared is self._declared and digests == self._applied:
            return self._no_longer_declared
        here = _by_digest(declared)
        if declared is not self._declared:
            self._rebase(here)
        self._declared, self._current, self._applied = declared, current, None
        for digest in digests:
            if digest not in self._differences:
                only_there, only_here = await self._store.difference(digest, here.keys())
                self._differences[digest] = _Difference({one.digest: one for one in only_there}, only_here)
        self._differences = {digest: self._differences[digest] for digest in digests}
        placed = await map_manifests(self._not_declared(), self._app, self._view)
        self._no_longer_declared = tuple([one for one in placed if one.resource is not None])
        self._applied = digests
        return self._no_longer_declared

    def _rebase(self, here: Mapping[bytes, Manifest]) -> None:
        """From what was declared to what is `here`."""
        before = _by_digest(self._declared)
        # As the history would give them: which namespace they are in is said anew by `place`.
        gone = {digest: manifest.with_declared_namespace() for digest, manifest in before.items() if digest not in here}
        came = here.keys() - before.keys()
        if self._current:
            self._differences[self._current] = _Difference({}, set())
        for one in self._differences.values():
            there, not_there = one.only_then, one.only_now
            left = {digest: manifest for digest, manifest in gone.items() if digest not in not_there}
            one.only_then = {digest: manifest for digest, manifest in there.items() if digest not in came} | left
            one.only_now = (not_there - gone.keys()) | (came - there.keys())

    def _not_declared(self) -> Sequence[Manifest]:
        """What earlier revisions declared, the latest first, and the current one does not under any manifest."""
        dropped: dict[ResourceRef, Manifest] = {}
        names: set[tuple[str, str, str]] | None = None
        for one in self._differences.values():
            for manifest in one.only_then.values():
                ref = manifest.ref
                if ref in self._declared.by_ref:
                    continue
                if ref.namespace is None:
                    if names is None:
                        names = {(other.group, other.kind, other.name) for other in self._declared.by_ref}
                    if (ref.group, ref.kind, ref.name) in names:
                        continue
                dropped.setdefault(ref, manifest)
        return list(dropped.values())


def _by_digest(declared: RestMapping) -> dict[bytes, Manifest]:
    return {one.manifest.digest: one.manifest for one in declared.mapped}
