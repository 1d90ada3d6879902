"""Where the cluster has what Git declares: each manifest in its namespace, with the collection that serves its kind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from driftd.kube.discovery import ApiResource
from driftd.live.cluster import ClusterView
from driftd.model.app import App
from driftd.model.errors import KubeError, UnknownKind
from driftd.model.resource import Manifest, group_of

GroupKind = tuple[str, str]
"""A group and a kind."""

_Served = tuple[ApiResource | None, str | None]
"""Where a kind is served, and what is wrong with it: the fields of `Wanted`."""


@dataclass(frozen=True, slots=True)
class MappedManifest:
    """One manifest and where the cluster serves it.

    `resource` is None for a kind that the cluster does not serve (its CRD may come yet): no object of it can be there.
    `error` says why nothing can be said of the object; beside a resource, that of another version, in which it can only
    be told whether there is one.
    """

    manifest: Manifest
    resource: ApiResource | None
    error: str | None = None

    def same_as(self, other: MappedManifest) -> bool:
        """Whether both map the same declaration to the same resource. One that is not fully served equals only itself:
        the cluster may serve it by now."""
        if self is other:
            return True
        served = self.resource is not None and self.error is None and other.error is None
        return served and self.resource == other.resource and self.manifest.same_as(other.manifest)


class RestMapping:
    """What an app declares, placed: in its order, and each object once."""

    def __init__(self, mapped: Iterable[MappedManifest] = ()) -> None:
        self.by_ref = {one.manifest.ref: one for one in mapped}
        self.resources = frozenset(one.resource for one in self.mapped if one.resource is not None)
        self.incomplete = any(one.error is not None or one.resource is None for one in self.mapped)
        """Whether the cluster may serve more of it soon."""

    @property
    def mapped(self) -> Collection[MappedManifest]:
        return self.by_ref.values()


class RestMapper:
    """The placements of one app. What was placed once stays, for as long as the cluster serves the same kinds."""

    def __init__(self, app: App, view: ClusterView) -> None:
        self._app = app
        self._view = view
        self._discovery: object = None
        self._manifests: Sequence[Manifest] = ()
        self._mapped: Sequence[MappedManifest] = ()
        self._last = RestMapping()

    async def map(self, manifests: Sequence[Manifest]) -> RestMapping:
        """Where the manifests are. Raises: KubeError, where the cluster cannot be asked at all."""
        discovery = await self._view.discovery()
        if discovery is self._discovery and manifests is self._manifests and not self._last.incomplete:
            return self._last
        known: dict[int, MappedManifest] = {}
        if discovery is self._discovery:
            # Only a shortcut: the parser keeps the manifests of an unchanged file. Copies are found by `_reused`.
            placed_before = zip(self._manifests, self._mapped, strict=True)
            known = {id(manifest): one for manifest, one in placed_before if one.resource and one.error is None}
        fresh = [manifest for manifest in manifests if id(manifest) not in known]
        placed = map(self._reused, await map_manifests(fresh, self._app, self._view, kinds_defined_by(manifests)))
        self._mapped = [known.get(id(manifest)) or next(placed) for manifest in manifests]
        # What kinds there are may have been asked for anew on the way.
        self._discovery = await self._view.discovery()
        self._manifests = manifests
        self._last = RestMapping(self._mapped)
        return self._last

    def _reused(self, fresh: MappedManifest) -> MappedManifest:
        """The mapping that the same declaration had before, so that a copy of it is not kept as well."""
        earlier = self._last.by_ref.get(fresh.manifest.ref)
        return earlier if earlier is not None and earlier.same_as(fresh) else fresh


async def map_manifests(
    manifests: Iterable[Manifest], app: App, view: ClusterView, defined_kinds: dict[GroupKind, bool] | None = None
) -> list[MappedManifest]:
    """Each manifest in the namespace that it would be applied to: its own, the app's, or the kubeconfig's.

    `brought` are the kinds that come with the same revision (`scopes_brought`), by default with these manifests.
    Raises: KubeError, where the cluster cannot be asked at all.
    """
    manifests = list(manifests)
    await view.discovery()
    if defined_kinds is None:
        defined_kinds = kinds_defined_by(manifests)
    served: dict[tuple[str, str], _Served] = {}
    placed = []
    for manifest in manifests:
        kind = (manifest.api_version, manifest.ref.kind)
        if kind not in served:
            served[kind] = await _served(manifest, view)
        resource, error = served[kind]
        namespaced = resource.namespaced if resource else defined_kinds.get((manifest.ref.group, manifest.ref.kind))
        if namespaced is not None:
            manifest = manifest.in_namespace(_namespace(manifest, app, view) if namespaced else None)  # noqa: PLW2901  # the same one, in its place
        placed.append(MappedManifest(manifest, resource, error))
    return placed


async def _served(manifest: Manifest, view: ClusterView) -> _Served:
    try:
        return await view.resource(manifest.api_version, manifest.ref.kind), None
    except UnknownKind as unserved:
        other = await _in_another_version(manifest, view)
        return other, str(unserved) if other else None
    except KubeError as unreadable:
        return None, str(unreadable)


async def _in_another_version(manifest: Manifest, view: ClusterView) -> ApiResource | None:
    """Where the kind is served all the same; None where it is not, so that no object of it can be there."""
    try:
        return (await view.discovery()).find_kind(manifest.ref.group, manifest.ref.kind)
    except UnknownKind:
        return None


def _namespace(manifest: Manifest, app: App, view: ClusterView) -> str:
    return manifest.ref.namespace or app.namespace or view.cluster.namespace


def kinds_defined_by(manifests: Iterable[Manifest]) -> dict[GroupKind, bool]:
    """The kinds that CustomResourceDefinitions among the manifests bring, and whether they have namespaces."""
    scopes: dict[GroupKind, bool] = {}
    for manifest in manifests:
        if manifest.ref.kind == "CustomResourceDefinition" and group_of(manifest.api_version) == "apiextensions.k8s.io":
            spec = manifest.body.get("spec") or {}
            kind = (spec.get("names") or {}).get("kind")
            scopes[str(spec.get("group")), str(kind)] = spec.get("scope") == "Namespaced"
    return scopes
