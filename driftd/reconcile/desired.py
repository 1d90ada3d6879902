"""What an app should be: the manifests of a revision, each in its namespace, each with where the cluster serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from driftd.git.mirror import Mirror
from driftd.kube.discovery import ApiResource
from driftd.model.errors import KubeError, UnknownKind
from driftd.model.resource import Manifest, digest, group_of
from driftd.model.revision import Revision
from driftd.reconcile.app import App
from driftd.reconcile.cluster_view import ClusterView
from driftd.render.app import Rendering, render

Kind = tuple[str, str]
"""A group and a kind."""


@dataclass(frozen=True, slots=True)
class Desired:
    """The manifests of one revision as they were rendered. `errors` are those that could not be."""

    revision: Revision
    manifests: tuple[Manifest, ...]
    digest: str
    errors: tuple[str, ...] = ()

    @property
    def error(self) -> str | None:
        """What is wrong with the app's folder as a whole, or None."""
        return "\n".join(self.errors) or None


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


class Renderer:
    """Renders revisions of one app. What the same tree gave is kept: a commit that does not touch it costs nothing."""

    def __init__(self, app: App, mirror: Mirror) -> None:
        self._app = app
        self._mirror = mirror
        self._last: tuple[str, Rendering] | None = None

    async def desired(self, revision: Revision) -> Desired:
        """The manifests of a revision. Raises: GitError, where the path is not there; RenderError."""
        tree = await self._mirror.tree(revision.sha, self._app.path)
        # Kustomize and Helm may look at other folders of the same revision.
        if self._last is not None and self._last[1].kind == "yaml" and self._last[0] == tree.oid:
            rendering = self._last[1]
        else:
            rendering = await asyncio.to_thread(render, tree, self._app.rendering)
            self._last = (tree.oid, rendering)
        return Desired(
            revision=revision,
            manifests=rendering.manifests,
            digest=digest(rendering.manifests),
            errors=tuple(str(error) for error in rendering.errors),
        )


async def place(manifests: Iterable[Manifest], app: App, view: ClusterView) -> list[Wanted]:
    """Each manifest in the namespace that it would be applied to: its own, the app's, or the kubeconfig's.

    Raises: KubeError, where the cluster cannot be asked at all.
    """
    manifests = list(manifests)
    await view.discovery()
    brought = scopes_brought(manifests)
    placed = []
    for manifest in manifests:
        error = None
        try:
            resource: ApiResource | None = await view.resource(manifest.api_version, manifest.ref.kind)
        except UnknownKind as unserved:
            resource, error = await _in_another_version(manifest, view), str(unserved)
        except KubeError as unreadable:
            placed.append(Wanted(manifest, None, str(unreadable)))
            continue
        namespaced = resource.namespaced if resource else brought.get((manifest.ref.group, manifest.ref.kind))
        if namespaced is not None:
            manifest = manifest.in_namespace(_namespace(manifest, app, view) if namespaced else None)  # noqa: PLW2901  # the same one, in its place
        placed.append(Wanted(manifest, resource, error if resource else None))
    return placed


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
