"""Which pods belong to which workload, kept up with what the watches bring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterator
from typing import TYPE_CHECKING

from driftd.kube.discovery import Scope
from driftd.model.resource import JsonObject, ResourceRef

if TYPE_CHECKING:
    from driftd.kube.cache import CachedObject, LiveCache, ObjectChange

_ByWorkload = defaultdict[ResourceRef, set[str]]


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
    """The names of the pods of each workload, per scope. A scope is read through once, when it is first asked about."""

    def __init__(self) -> None:
        self._scopes: dict[Scope, _ByWorkload] = {}

    def names(self, scope: Scope, cache: LiveCache, workloads: Collection[ResourceRef]) -> Iterator[str]:
        """The pods of some workloads. Raises: KubeError: the scope cannot be trusted."""
        known = self._scopes.get(scope)
        if known is None:
            known = defaultdict(set)
            for pod in cache.items(scope):
                _put(known, pod)
            self._scopes[scope] = known
        return (name for workload in workloads for name in known.get(workload, ()))

    def apply(self, change: ObjectChange) -> None:
        """Takes in what became of a pod."""
        for (_, namespace), known in self._scopes.items():
            if namespace in (None, change.ref.namespace):
                if change.old is not None:
                    workload = workload_of(change.old.metadata)
                    if workload is not None:
                        known[workload].discard(change.ref.name)
                if change.new is not None:
                    _put(known, change.new)

    def retain(self, watched: Container[Scope]) -> None:
        """Lets go of scopes that are watched no longer: should they be again, they are read through anew."""
        self._scopes = {scope: known for scope, known in self._scopes.items() if scope in watched}


def _put(known: _ByWorkload, pod: CachedObject) -> None:
    workload = workload_of(pod.metadata)
    if workload is not None:
        known[workload].add(pod.ref.name)
