"""DaemonSets: one pod each, since there is one node."""

from __future__ import annotations

from driftd.sandbox.controllers.access import Access, is_ready, pod_from, template_hash
from driftd.sandbox.controllers.kubelet import NODE
from driftd.sandbox.document import Object
from driftd.sandbox.store import Name

_KEY = ("apps", "daemonsets")
_PODS = ("", "pods")
_REVISION = "controller-revision-hash"


class DaemonSets:
    def __init__(self, access: Access) -> None:
        self._access = access

    def reconcile(self, name: Name) -> float | None:
        daemon_set = self._access.get(_KEY, name)
        if daemon_set is None:
            return None
        spec = daemon_set["spec"]
        revision = template_hash(spec["template"])
        pods = self._access.controlled_by(daemon_set, _PODS)
        desired = self._fits(spec["template"]["spec"])
        if spec["updateStrategy"]["type"] == "RollingUpdate" or not desired:
            for pod in [p for p in pods if not desired or p["metadata"]["labels"].get(_REVISION) != revision]:
                self._access.delete(_PODS, pod)
                pods.remove(pod)
        if desired and not pods:
            body = pod_from(spec["template"], {"generateName": f"{name[1]}-"}, {_REVISION: revision})
            pods = [self._access.create(_PODS, daemon_set, body)]
        self._update_status(daemon_set, pods, revision, desired=desired)
        return None

    def _fits(self, spec: Object) -> bool:
        selector = spec.get("nodeSelector") or {}
        labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}
        return all(labels.get(key) == value for key, value in selector.items())

    def _update_status(self, daemon_set: Object, pods: list[Object], revision: str, *, desired: bool) -> None:
        ready = sum(map(is_ready, pods))
        updated = sum(pod["metadata"]["labels"].get(_REVISION) == revision for pod in pods)
        status: Object = {
            "currentNumberScheduled": len(pods),
            "desiredNumberScheduled": int(desired),
            "numberMisscheduled": 0,
            "numberReady": ready,
            "observedGeneration": daemon_set["metadata"]["generation"],
        }
        counts = {
            "updatedNumberScheduled": updated,
            "numberAvailable": ready,
            "numberUnavailable": int(desired) - ready,
        }
        status |= {key: value for key, value in counts.items() if value}
        self._access.set_status(_KEY, daemon_set, status)
