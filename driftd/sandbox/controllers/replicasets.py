"""ReplicaSets: keep the desired number of pods."""

from __future__ import annotations

from driftd.sandbox.controllers.access import Access, is_finished, is_ready, pod_from
from driftd.sandbox.document import Object
from driftd.sandbox.store import Name

_KEY = ("apps", "replicasets")
_PODS = ("", "pods")


class ReplicaSets:
    def __init__(self, access: Access) -> None:
        self._access = access

    def reconcile(self, name: Name) -> float | None:
        replica_set = self._access.get(_KEY, name)
        if replica_set is None:
            return None
        spec = replica_set["spec"]
        pods = [pod for pod in self._access.controlled_by(replica_set, _PODS) if not is_finished(pod)]
        desired = spec.get("replicas", 1)
        for _ in range(desired - len(pods)):
            body = pod_from(spec["template"], {"generateName": f"{name[1]}-"})
            pods.append(self._access.create(_PODS, replica_set, body))
        surplus = sorted(pods, key=is_ready)[: max(len(pods) - desired, 0)]
        for pod in surplus:
            self._access.delete(_PODS, pod)
        pods = [pod for pod in pods if pod not in surplus]
        ready = sum(map(is_ready, pods))
        status: Object = {"replicas": len(pods), "observedGeneration": replica_set["metadata"]["generation"]}
        for key, value in (("fullyLabeledReplicas", len(pods)), ("readyReplicas", ready), ("availableReplicas", ready)):
            if value:
                status[key] = value
        self._access.set_status(_KEY, replica_set, status)
        return None
