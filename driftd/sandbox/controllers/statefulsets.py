"""StatefulSets: numbered pods, created in ascending and replaced in descending order, one at a time."""

from __future__ import annotations

from driftd.sandbox.controllers.access import Access, is_ready, pod_from, template_hash
from driftd.sandbox.document import Object
from driftd.sandbox.store import Name

_KEY = ("apps", "statefulsets")
_PODS = ("", "pods")
_REVISION = "controller-revision-hash"


class StatefulSets:
    def __init__(self, access: Access) -> None:
        self._access = access

    def reconcile(self, name: Name) -> float | None:
        stateful_set = self._access.get(_KEY, name)
        if stateful_set is None:
            return None
        spec = stateful_set["spec"]
        revision = f"{name[1]}-{template_hash(spec['template'])}"
        pods = {pod["metadata"]["name"]: pod for pod in self._access.controlled_by(stateful_set, _PODS)}
        first = (spec.get("ordinals") or {}).get("start", 0)
        pod_names = [f"{name[1]}-{first + index}" for index in range(spec.get("replicas", 1))]
        for surplus in pods.keys() - set(pod_names):
            self._access.delete(_PODS, pods.pop(surplus))
        self._create_missing(stateful_set, pod_names, pods, revision)
        self._replace_outdated(stateful_set, pod_names, pods, revision)
        self._update_status(stateful_set, list(pods.values()), revision)
        return None

    def _create_missing(
        self, stateful_set: Object, pod_names: list[str], pods: dict[str, Object], revision: str
    ) -> None:
        parallel = stateful_set["spec"].get("podManagementPolicy") == "Parallel"
        for pod_name in pod_names:
            if pod_name in pods:
                if not parallel and not is_ready(pods[pod_name]):
                    return
                continue
            labels = {
                _REVISION: revision,
                "statefulset.kubernetes.io/pod-name": pod_name,
                "apps.kubernetes.io/pod-index": pod_name.rsplit("-", 1)[1],
            }
            body = pod_from(stateful_set["spec"]["template"], {"name": pod_name}, labels)
            pods[pod_name] = self._access.create(_PODS, stateful_set, body)
            if not parallel:
                return

    def _replace_outdated(
        self, stateful_set: Object, pod_names: list[str], pods: dict[str, Object], revision: str
    ) -> None:
        strategy = stateful_set["spec"]["updateStrategy"]
        if strategy["type"] != "RollingUpdate":
            return
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        for pod_name in reversed(pod_names[partition:]):
            pod = pods.get(pod_name)
            if pod is None:
                return
            if pod["metadata"]["labels"].get(_REVISION) != revision:
                self._access.delete(_PODS, pods.pop(pod_name))
                return
            if not is_ready(pod):
                return

    def _update_status(self, stateful_set: Object, pods: list[Object], revision: str) -> None:
        before = stateful_set["status"]
        updated = [pod for pod in pods if pod["metadata"]["labels"].get(_REVISION) == revision]
        ready, desired = sum(map(is_ready, pods)), stateful_set["spec"].get("replicas", 1)
        done = len(updated) == desired and ready == desired
        current = revision if done else before.get("currentRevision") or revision
        holding = [pod for pod in pods if pod["metadata"]["labels"].get(_REVISION) == current]
        counts = {
            "readyReplicas": ready,
            "currentReplicas": len(holding),
            "updatedReplicas": len(updated),
        }
        status: Object = {
            "observedGeneration": stateful_set["metadata"]["generation"],
            "replicas": len(pods),
            "availableReplicas": ready,
            "currentRevision": current,
            "updateRevision": revision,
            "collisionCount": 0,
            **{key: value for key, value in counts.items() if value},
        }
        self._access.set_status(_KEY, stateful_set, status)
