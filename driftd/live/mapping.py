"""Where the cluster has what Git declares: each manifest in its namespace, with the collection that serves its kind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from driftd.kube.discovery import ApiResource
from driftd.live.cluster import ClusterView
from driftd.model.app import App
from driftd.model.errors import KubeError, UnknownKind
from driftd.model.resource import Manifest, group_of

Kind = tuple[str, str]
"""A group and a kind."""

_Serving = tuple[ApiResource | None, str | None]
"""Where a kind is served, and what is wrong with it: the fields of `Wanted`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One manifest and where the cluster serves it.

    `resource` is None for a kind that the cluster does not serve (its CRD may come yet): no object of it can be there.
    `error` says why nothing can be said of the object; beside a resource, that of another version, in which it can only
    be told whether there is one.
    """

    manifest: Manifest
    resource: ApiResource | None
    error: str | None = None


class Placement:
    """What an app declares, placed: in its order, and each object once."""

    def __init__(self, wanted: Iterable[Wanted] = ()) -> None:
        self.by_ref = {one.manifest.ref: one for one in wanted}
        self.resources = frozenset(one.resource for one in self.wanted if one.resource is not None)
        self.incomplete = any(one.error is not None or one.resource is None for one in self.wanted)
        """Whether the cluster may serve more of it soon."""

    @property
    def wanted(self) -> Collection[Wanted]:
        return self.by_ref.values()


class Placements:
    """The placements of one app. What was placed once stays, for as long as the cluster serves the same kinds."""

    def __init__(self, app: App, view: ClusterView) -> None:
        self._app = app
        self._view = view
        self._discovery: object = None
        self._manifests: Sequence[Manifest] = ()
        self._placed: Sequence[Wanted] = ()
        self._last = Placement()

    async def of(self, manifests: Sequence[Manifest]) -> Placement:
        """Where the manifests are. Raises: KubeError, where the cluster cannot be asked at all."""
        discovery = await self._view.discovery()
        if discovery is self._discovery and manifests is self._manifests and not self._last.incomplete:
            return self._last
        known: dict[int, Wanted] = {}
        if discovery is self._discovery:
            # By identity: a manifest of the revision before is the same object for as long as its file is the same.
            placed_before = zip(self._manifests, self._placed, strict=True)
            known = {id(manifest): one for manifest, one in placed_before if one.resource and one.error is None}
        fresh = [manifest for manifest in manifests if id(manifest) not in known]
        placed = iter(await place(fresh, self._app, self._view, scopes_brought(manifests)))
        self._placed = [known.get(id(manifest)) or next(placed) for manifest in manifests]
        # What kinds there are may have been asked for anew on the way.
        self._discovery = await self._view.discovery()
        self._manifests = manifests
        self._last = Placement(self._placed)
        return self._last


async def place(
    manifests: Iterable[Manifest], app: App, view: ClusterView, brought: dict[Kind, bool] | None = None
) -> list[Wanted]:
    """Each manifest in the namespace that it would be applied to: its own, the app's, or the kubeconfig's.

    `brought` are the kinds that come with the same revision (`scopes_brought`), by default with these manifests.
    Raises: KubeError, where the cluster cannot be asked at all.
    """
    manifests = list(manifests)
    await view.discovery()
    if brought is None:
        brought = scopes_brought(manifests)
    served: dict[tuple[str, str], _Serving] = {}
    placed = []
    for manifest in manifests:
        kind = (manifest.api_version, manifest.ref.kind)
        if kind not in served:
            served[kind] = await _serving(manifest, view)
        resource, error = served[kind]
        namespaced = resource.namespaced if resource else brought.get((manifest.ref.group, manifest.ref.kind))
        if namespaced is not None:
            manifest = manifest.in_namespace(_namespace(manifest, app, view) if namespaced else None)  # noqa: PLW2901  # the same one, in its place
        placed.append(Wanted(manifest, resource, error))
    return placed


async def _serving(manifest: Manifest, view: ClusterView) -> _Serving:
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


def scopes_brought(manifests: Iterable[Manifest]) -> dict[Kind, bool]:
    """The kinds that CustomResourceDefinitions among the manifests bring, and whether they have namespaces."""
    scopes: dict[Kind, bool] = {}
    for manifest in manifests:
        if manifest.ref.kind == "CustomResourceDefinition" and group_of(manifest.api_version) == "apiextensions.k8s.io":
            spec = manifest.body.get("spec") or {}
            kind = (spec.get("names") or {}).get("kind")
            scopes[str(spec.get("group")), str(kind)] = spec.get("scope") == "Namespaced"
    return scopes
