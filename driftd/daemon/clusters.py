"""The live side: connections to clusters, and a scan of an app without a store.

`driftd check` imports this in a thread while Git is at work: with it comes all that talks to clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from driftd.attribution.git_attribution import GitAttribution
from driftd.config.folders import cache_folder
from driftd.desired.state import Desired
from driftd.detect.detector import Detector
from driftd.diff.compare import Comparison
from driftd.diff.explain import Explanation
from driftd.git.mirrored_commits import MirroredCommits
from driftd.kube.kubeconfig import ClusterAccess
from driftd.kube.openapi import SchemaSource
from driftd.kube.rest_client import Cluster
from driftd.live.api_reader import ApiReader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest, map_manifests
from driftd.model.app import App
from driftd.model.errors import DriftdError, KubeError
from driftd.model.report import Report
from driftd.model.resource import Manifest, ResourceRef
from driftd.reconcile.preview import Base
from driftd.reconcile.scan import scan_once


class Clusters:
    """The clusters of a daemon or a command, each connected to once, when it is first needed."""

    def __init__(self) -> None:
        self._views: dict[ClusterAccess, ClusterView] = {}

    async def connect(self, access: ClusterAccess) -> ClusterView:
        """Raises: ConfigError, KubeError: its kubeconfig is of no use, or there are no credentials."""
        if access not in self._views:
            cluster = await Cluster.connect(access)
            self._views[access] = ClusterView(cluster, SchemaSource(cluster, cache_folder() / "openapi"))
        return self._views[access]

    async def connect_and_discover(self, access: ClusterAccess) -> ClusterView:
        """The same, and the kinds that it serves are known then, unless it does not answer."""
        view = await self.connect(access)
        with suppress(KubeError):  # the scan reports it
            await view.discovery()
        return view

    async def close(self) -> None:
        for view in self._views.values():
            await view.cluster.close()


async def prefetch(reader: ApiReader, app: App, view: ClusterView, manifests: Sequence[Manifest]) -> None:
    """Makes a reader begin to list what some of an app's manifests show to be needed; their types are known then.

    What fails is reported when all of it is read.
    """
    with suppress(DriftdError):
        mapped = await map_manifests(manifests, app, view)
        reader.prefetch(mapped)
        for resource in {item.resource for item in mapped if item.resource is not None}:
            await view.schema(resource)


async def scan(
    app: App,
    view: ClusterView,
    mirror: MirroredCommits,
    desired: Desired,
    comparison: Comparison,
    reader: ApiReader,
    next_desired: Desired | None = None,
    base: Base | None = None,
) -> Report:
    """The report on an app as it is now; with a `base`, and what deploying it would do.

    `next_desired` is what its deployer may be bringing in.
    """
    attribution = GitAttribution(app, mirror, comparison)
    detector = Detector(app, view, comparison)
    return await scan_once(detector, attribution, desired, reader, datetime.now(UTC), next_desired, base)


def base_of(name: str, app: App, mirror: MirroredCommits, desired: Desired, comparison: Comparison) -> Base:
    """What a preview of an app is told from."""
    return Base(name, desired.revision, desired, GitAttribution(app, mirror, comparison))


async def scan_release(app: App, view: ClusterView, desired: Desired, comparison: Comparison) -> Report:
    """The report on what Helm has installed, as it is now. What is declared is in the cluster, too, and not in Git."""
    return await scan_once(Detector(app, view, comparison), None, desired, ApiReader(view.cluster), datetime.now(UTC))


async def explain(
    name: str, app: App, view: ClusterView, desired: Desired, comparison: Comparison
) -> tuple[ResourceRef, list[Explanation]] | None:
    """Every field of the object with this KIND/NAME or KIND/NAMESPACE/NAME; None where the app declares none.

    Raises: DriftdError: it is not there, or cannot be read or assessed.
    """
    for item in await map_manifests(desired.manifests, app, view):
        if _is_named(name, item):
            return item.manifest.ref, await Detector(app, view, comparison).explain(item)
    return None


def _is_named(name: str, item: MappedManifest) -> bool:
    """Whether an object is meant by a KIND as kubectl knows it, and a NAME with or without its namespace."""
    kind, *names = name.split("/")
    ref = item.manifest.ref
    is_kind = item.resource.is_called(kind) if item.resource is not None else kind.lower() == ref.kind.lower()
    return is_kind and names in ([ref.name], [ref.namespace, ref.name])
