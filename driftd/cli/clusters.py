"""The live side of a look: connections, and what is said of an app.

Much of what a check imports is imported from here; so this is imported while Git is at work (`driftd.cli.check`).
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
from driftd.git.mirror import Mirror
from driftd.kube.kubeconfig import ClusterAccess
from driftd.kube.openapi import SchemaSource
from driftd.kube.rest_client import Cluster
from driftd.live.api_reader import ApiReader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import map_manifests
from driftd.model.app import App
from driftd.model.errors import DriftdError, KubeError
from driftd.model.report import Report
from driftd.model.resource import Manifest, ResourceRef
from driftd.reconcile.scan import scan_once


class Clusters:
    """The clusters of one look, each connected to once."""

    def __init__(self) -> None:
        self._views: dict[ClusterAccess, ClusterView] = {}

    async def connect(self, access: ClusterAccess) -> ClusterView:
        """Raises: ConfigError, KubeError: there are no credentials to be had."""
        if access not in self._views:
            cluster = await Cluster.connect(access)
            self._views[access] = ClusterView(cluster, SchemaSource(cluster, cache_folder() / "openapi"))
        view = self._views[access]
        with suppress(KubeError):  # whoever asks for a kind hears of it
            await view.discovery()
        return view

    async def close(self) -> None:
        for view in self._views.values():
            await view.cluster.close()


def api_reader(view: ClusterView) -> ApiReader:
    """What reads the live side of a cluster."""
    return ApiReader(view.cluster)


async def prefetch(reader: ApiReader, app: App, view: ClusterView, some: Sequence[Manifest]) -> None:
    """Has a reader begin to ask, as far as some of an app's manifests show what to ask for. Their types are known then,
    too. What fails is told of when all of it is asked for.
    """
    with suppress(DriftdError):
        wanted = await map_manifests(some, app, view)
        reader.prefetch(wanted)
        for resource in {one.resource for one in wanted if one.resource is not None}:
            await view.schema(resource)


async def report(
    app: App, view: ClusterView, mirror: Mirror, desired: Desired, how: Comparison, reader: ApiReader
) -> Report:
    """What is to be said of an app at this moment."""
    attribution = GitAttribution(app, mirror, how)
    return await scan_once(Detector(app, view, how), attribution, desired, reader, datetime.now(UTC))


async def explained(
    wanted: str, app: App, view: ClusterView, desired: Desired, how: Comparison
) -> tuple[ResourceRef, list[Explanation]] | None:
    """Every field of the object that is called so, None where the app declares none.

    Raises: DriftdError: it is not there, or cannot be read or judged.
    """
    for one in await map_manifests(desired.manifests, app, view):
        if _is_called(wanted, one.manifest.ref):
            return one.manifest.ref, await Detector(app, view, how).explain(one)
    return None


def _is_called(wanted: str, ref: ResourceRef) -> bool:
    kind, *names = wanted.split("/")
    return kind.lower() == ref.kind.lower() and names in ([ref.name], [ref.namespace, ref.name])
