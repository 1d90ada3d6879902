"""An index of pods by the workload that controls them, updated from watch events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterator
from typing import TYPE_CHECKING

from driftd.kube.discovery import Scope
from driftd.model.resource import JsonObject, ResourceRef

if TYPE_CHECKING:
    from driftd.kube.cache import CachedObject, LiveCache, ObjectChange

_PodNames = defaultdict[ResourceRef, set[str]]
"""Names of pods by workload."""


def workload_of(pod: JsonObject) -> ResourceRef | None:
    """The workload that controls a pod; a Deployment by its ReplicaSet's name, which ends in the template's hash."""
    metadata = pod["metadata"]
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    if owner is None:
        return None
    kind, name = owner.get("kind"), str(owner.get("name"))
    if kind == "ReplicaSet":
        kind, name = "Deployment", name.rpartition("-")[0]
    return ResourceRef("apps", str(kind), metadata.get("namespace"), name)


class PodIndex:
    """The names of the pods of each workload, per scope. A scope is indexed when it is first queried."""

    def __init__(self) -> None:
        self._scopes: dict[Scope, _PodNames] = {}

    def names(self, scope: Scope, cache: LiveCache, workloads: Collection[ResourceRef]) -> Iterator[str]:
        """The pods of some workloads. Raises: KubeError: the scope is not fresh."""
        pods = self._scopes.get(scope)
        if pods is None:
            pods = defaultdict(set)
            for pod in cache.items(scope):
                _put(pods, pod)
            self._scopes[scope] = pods
        return (name for workload in workloads for name in pods.get(workload, ()))

    def apply(self, change: ObjectChange) -> None:
        """Applies a change of a pod to the index."""
        for (_, namespace), pods in self._scopes.items():
            if namespace in (None, change.ref.namespace):
                if change.old is not None:
                    workload = workload_of(change.old.metadata)
                    if workload is not None:
                        pods[workload].discard(change.ref.name)
                if change.new is not None:
                    _put(pods, change.new)

    def retain(self, watched: Container[Scope]) -> None:
        """Drops scopes that are no longer watched; they are indexed again if they come back."""
        self._scopes = {scope: pods for scope, pods in self._scopes.items() if scope in watched}


def _put(pods: _PodNames, pod: CachedObject) -> None:
    workload = workload_of(pod.metadata)
    if workload is not None:
        pods[workload].add(pod.ref.name)
