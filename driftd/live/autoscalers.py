"""The replica ranges that autoscalers have, by namespace."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.diff.autoscaler import Autoscalers, ReplicaRange
from driftd.kube.listing import list_objects
from driftd.live.cluster import ClusterView
from driftd.model.errors import UnknownKind
from driftd.model.resource import JsonObject, ResourceRef

_KINDS = (("autoscaling/v2", "HorizontalPodAutoscaler"), ("keda.sh/v1alpha1", "ScaledObject"))


class AutoscalerReader:
    """The autoscalers of one cluster, read when they are first asked for: a LIST of each kind and namespace."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        self._by_namespace: dict[str | None, Autoscalers] = {}

    async def range_of(self, ref: ResourceRef) -> ReplicaRange | None:
        """The range of the autoscaler that scales an object; None if it has none. Raises: DriftdError: unreadable."""
        if ref.namespace not in self._by_namespace:
            bodies = [body for kind in _KINDS for body in await self._list(*kind, ref.namespace)]
            self._by_namespace[ref.namespace] = Autoscalers.of(bodies)
        return self._by_namespace[ref.namespace].range_of(ref)

    async def _list(self, api_version: str, kind: str, namespace: str | None) -> Sequence[JsonObject]:
        try:
            resource = (await self._view.discovery()).find(api_version, kind)
            return (await list_objects(self._view.cluster, resource, namespace)).items
        except UnknownKind:
            return ()  # there can be none
