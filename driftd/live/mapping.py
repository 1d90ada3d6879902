"""REST mapping: each manifest with its namespace and the resource that serves its kind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from driftd.kube.discovery import ApiResource
from driftd.live.cluster import ClusterView
from driftd.live.moved_groups import new_group
from driftd.model.app import App
from driftd.model.errors import KubeError, UnknownKind
from driftd.model.resource import Manifest, group_of
from driftd.policy.borders import Borders

GroupKind = tuple[str, str]
"""A group and a kind."""

_Served = tuple[ApiResource | None, str | None]
"""`resource` and `error` of a `MappedManifest`."""


@dataclass(frozen=True, slots=True)
class MappedManifest:
    """One manifest and the resource that serves it.

    `resource` is None for a kind that the cluster does not serve (its CRD may come yet): no such object can exist.
    `error` says why the object cannot be compared. With an error, `resource` is that of another API version or of the
    group that the kind has moved to, which only tells whether the object exists. `confined`: it lies where the app is
    not read.
    """

    manifest: Manifest
    resource: ApiResource | None
    error: str | None = None
    confined: bool = False

    def outside(self, borders: Borders) -> str | None:
        """Why the object is outside of an app's borders, as far as its scope is known; None for one within."""
        ref = self.manifest.ref
        return None if self.resource is None and ref.namespace is None else borders.outside(ref)

    def same_as(self, other: MappedManifest) -> bool:
        """Whether both map the same declaration to the same resource. One that is not fully served equals only itself:
        the cluster may serve it by now."""
        if self is other:
            return True
        served = self.resource is not None and self.error is None and other.error is None
        return served and self.resource == other.resource and self.manifest.same_as(other.manifest)


class RestMapping:
    """The mapped manifests of an app, in its order, each object once."""

    def __init__(self, mapped: Iterable[MappedManifest] = ()) -> None:
        self.by_ref = {item.manifest.ref: item for item in mapped}
        self.resources = frozenset(item.resource for item in self.mapped if item.resource is not None)
        self.incomplete = any(
            (item.error is not None or item.resource is None) and not item.confined for item in self.mapped
        )
        """Whether the cluster does not serve all of it (yet)."""

    @property
    def mapped(self) -> Collection[MappedManifest]:
        return self.by_ref.values()


class RestMapper:
    """Maps the manifests of one app. A mapping is reused for as long as the cluster serves the same kinds."""

    def __init__(self, app: App, view: ClusterView) -> None:
        self._app = app
        self._view = view
        self._discovery: object = None
        self._manifests: Sequence[Manifest] = ()
        self._mapped: Sequence[MappedManifest] = ()
        self._last = RestMapping()

    async def map(self, manifests: Sequence[Manifest]) -> RestMapping:
        """The mapping of some manifests. Raises: KubeError: discovery failed."""
        discovery = await self._view.discovery()
        if discovery is self._discovery and manifests is self._manifests and not self._last.incomplete:
            return self._last
        cached: dict[int, MappedManifest] = {}
        if discovery is self._discovery:
            # Only a shortcut: the parser keeps the manifests of an unchanged file. Copies are found by `_reused`.
            earlier = zip(self._manifests, self._mapped, strict=True)
            cached = {id(manifest): item for manifest, item in earlier if item.resource and item.error is None}
        fresh = [manifest for manifest in manifests if id(manifest) not in cached]
        mapped = map(self._reused, await map_manifests(fresh, self._app, self._view, kinds_defined_by(manifests)))
        self._mapped = [cached.get(id(manifest)) or next(mapped) for manifest in manifests]
        # Mapping may have renewed discovery.
        self._discovery = await self._view.discovery()
        self._manifests = manifests
        self._last = RestMapping(self._mapped)
        return self._last

    def _reused(self, fresh: MappedManifest) -> MappedManifest:
        """The earlier mapping of the same declaration, if there is one, so that no copy is held besides it."""
        earlier = self._last.by_ref.get(fresh.manifest.ref)
        return earlier if earlier is not None and earlier.same_as(fresh) else fresh


async def map_manifests(
    manifests: Iterable[Manifest], app: App, view: ClusterView, defined_kinds: dict[GroupKind, bool] | None = None
) -> list[MappedManifest]:
    """Each manifest in the namespace that it would be applied to: its own, the app's, or the kubeconfig's.

    `defined_kinds` are those that the revision's own CRDs define, by default those of these manifests. What an app with
    `confine_reads` declares outside of its borders has an error, and no resource: it is never asked for.
    Raises: KubeError: discovery failed.
    """
    manifests = list(manifests)
    await view.discovery()
    if defined_kinds is None:
        defined_kinds = kinds_defined_by(manifests)
    borders = Borders.of(app, view.cluster.namespace)
    served: dict[tuple[str, str], _Served] = {}
    mapped = []
    for manifest in manifests:
        kind = (manifest.api_version, manifest.ref.kind)
        if kind not in served:
            served[kind] = await _served(manifest, view)
        resource, error = served[kind]
        namespaced = resource.namespaced if resource else defined_kinds.get((manifest.ref.group, manifest.ref.kind))
        if namespaced is not None:
            manifest = manifest.in_namespace(_namespace(manifest, app, view) if namespaced else None)  # noqa: PLW2901  # the same manifest in its namespace
            if app.confine_reads and (reason := borders.outside(manifest.ref)) is not None:
                mapped.append(MappedManifest(manifest, None, f"not read: {reason}", confined=True))
                continue
        mapped.append(MappedManifest(manifest, resource, error))
    return mapped


async def _served(manifest: Manifest, view: ClusterView) -> _Served:
    group, kind = manifest.ref.group, manifest.ref.kind
    try:
        try:
            return await view.resource(manifest.api_version, kind), None
        except UnknownKind as error:
            if other := await _in_another_version(group, kind, view):
                return other, str(error)
        if (moved_to := new_group(group, kind)) is not None and (
            other := await _in_another_version(moved_to, kind, view)
        ):
            return other, (
                f"the cluster does not serve {kind} of {manifest.api_version}: it has moved to {other.api_version}; "
                "change the apiVersion in Git (and the fields that are different there)"
            )
    except KubeError as error:
        return None, str(error)
    return None, None


async def _in_another_version(group: str, kind: str, view: ClusterView) -> ApiResource | None:
    """The resource of a kind in whichever version the cluster prefers; None if it serves none. Raises: KubeError."""
    try:
        return (await view.discovery()).find_kind(group, kind)
    except UnknownKind:
        return None


def _namespace(manifest: Manifest, app: App, view: ClusterView) -> str:
    return manifest.ref.namespace or app.namespace or view.cluster.namespace


def kinds_defined_by(manifests: Iterable[Manifest]) -> dict[GroupKind, bool]:
    """The kinds that the CustomResourceDefinitions of some manifests define, and whether they are namespaced."""
    scopes: dict[GroupKind, bool] = {}
    for manifest in manifests:
        if manifest.ref.kind == "CustomResourceDefinition" and group_of(manifest.api_version) == "apiextensions.k8s.io":
            spec = manifest.body.get("spec")
            names = spec.get("names") if isinstance(spec, Mapping) else None
            if isinstance(spec, Mapping) and isinstance(names, Mapping):  # else the API server refuses it
                scopes[str(spec.get("group")), str(names.get("kind"))] = spec.get("scope") == "Namespaced"
    return scopes
