"""The inventory of an app: the objects of earlier revisions that were applied, or seen declared and live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest, RestMapping, map_manifests
from driftd.model.app import App
from driftd.model.drift import Status, Verdict
from driftd.model.hook import hook_when
from driftd.model.report import Report
from driftd.model.resource import Manifest, ResourceRef, Source
from driftd.store.store import Store


@dataclass(slots=True)
class _Difference:
    """The difference of an earlier revision from the current one, by digests of manifests."""

    only_earlier: dict[bytes, Manifest]
    only_current: set[bytes]


class Inventory:
    """The objects that earlier revisions declared, and that may still be there.

    Those of applied revisions: these mostly differ in little, so each is stored as its difference from the current one,
    and rebased with it. And those that the last report saw live, in this process or in the one before: of an app that
    is only observed, no revision may ever be applied as a whole.
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
        self._last: Report | None = None
        self._seen: dict[ResourceRef, Manifest] = {}

    def observe(self, report: Report) -> None:
        """Takes in what a scan found."""
        self._last = report

    async def no_longer_declared(
        self, declared: RestMapping, current: str, applied: Sequence[str]
    ) -> tuple[MappedManifest, ...]:
        """The latest manifest of each object that was applied, or seen live, before and is not `declared` now, if its
        kind is served.

        `current` is the digest of the desired state, `applied` are those of applied ones, the latest first. A manifest
        without a namespace counts as declared if one of the same kind and name is declared in any namespace.
        """
        digests = [digest for digest in applied if digest != current]
        if declared is self._declared and digests == self._applied:
            return self._no_longer_declared
        manifests = _by_digest(declared)
        if declared is not self._declared:
            self._seen = await self._seen_live(declared)
            self._rebase(manifests)
        self._declared, self._current, self._applied = declared, current, None
        for digest in digests:
            if digest not in self._differences:
                only_earlier, only_current = await self._store.difference(digest, manifests.keys())
                self._differences[digest] = _Difference({m.digest: m for m in only_earlier}, only_current)
        self._differences = {digest: self._differences[digest] for digest in digests}
        mapped = await map_manifests(self._not_declared(), self._app, self._view)
        by_ref: dict[ResourceRef, MappedManifest] = {}  # one was applied without its namespace, and seen live with it
        for item in mapped:
            if item.resource is not None:
                by_ref.setdefault(item.manifest.ref, item)
        self._no_longer_declared = tuple(by_ref.values())
        self._applied = digests
        return self._no_longer_declared

    async def _seen_live(self, declared: RestMapping) -> dict[ResourceRef, Manifest]:
        """A manifest, without its content, of each object that the last report did not find missing, and that is not
        declared any more.
        """
        report = self._last or await self._store.last_report(self._app.name)
        if report is None or report.cluster != self._view.name:
            return {}
        return {
            verdict.ref: _without_content(verdict, verdict.source)
            for verdict in report.verdicts
            if verdict.ref not in declared.by_ref
            and verdict.status is not Status.MISSING
            and verdict.source is not None
        }

    def _rebase(self, manifests: Mapping[bytes, Manifest]) -> None:
        """Makes all differences relative to `manifests` instead of what was declared before."""
        before = _by_digest(self._declared)
        # Packed as the store returns them: `map_manifests` sets their namespaces again.
        removed = {
            digest: manifest.with_declared_namespace() for digest, manifest in before.items() if digest not in manifests
        }
        added = manifests.keys() - before.keys()
        if self._current:
            self._differences[self._current] = _Difference({}, set())
        for difference in self._differences.values():
            earlier, current = difference.only_earlier, difference.only_current
            left = {digest: manifest for digest, manifest in removed.items() if digest not in current}
            difference.only_earlier = {
                digest: manifest for digest, manifest in earlier.items() if digest not in added
            } | left
            difference.only_current = (current - removed.keys()) | (added - earlier.keys())

    def _not_declared(self) -> Sequence[Manifest]:
        """The manifests of earlier revisions, the latest first, whose objects the current one does not declare."""
        not_declared: dict[ResourceRef, Manifest] = {}
        names: set[tuple[str, str, str]] | None = None
        applied = chain.from_iterable([difference.only_earlier.values() for difference in self._differences.values()])
        for manifest in chain(applied, self._seen.values()):
            ref = manifest.ref
            if ref in self._declared.by_ref:
                continue
            if ref.namespace is None:
                if names is None:
                    names = {(other.group, other.kind, other.name) for other in self._declared.by_ref}
                if (ref.group, ref.kind, ref.name) in names:
                    continue
            if hook_when(manifest.body) is None:  # one that an earlier driftd took for an object is no orphan
                not_declared.setdefault(ref, manifest)
        return list(not_declared.values())


def _without_content(verdict: Verdict, source: Source) -> Manifest:
    ref = verdict.ref
    metadata = {"name": ref.name} | ({"namespace": ref.namespace} if ref.namespace else {})
    return Manifest.of({"apiVersion": verdict.api_version, "kind": ref.kind, "metadata": metadata}, source)


def _by_digest(declared: RestMapping) -> dict[bytes, Manifest]:
    return {item.manifest.digest: item.manifest for item in declared.mapped}
