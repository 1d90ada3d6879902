"""The kubelet of the only node: pods start, become ready, finish or fail, depending on their images and commands."""

from __future__ import annotations

from datetime import datetime

from driftd.sandbox.controllers.access import Access, with_condition
from driftd.sandbox.controllers.settings import FAIL_ANNOTATION, RolloutSettings
from driftd.sandbox.document import Object
from driftd.sandbox.store import Name
from driftd.sandbox.strategy import controller_of

NODE = "sandbox"
_PODS = ("", "pods")
_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
_BROKEN_IMAGES = ("broken", "does-not-exist")


class Kubelet:
    def __init__(self, access: Access, settings: RolloutSettings) -> None:
        self._access = access
        self._settings = settings
        self._addresses = 0
        self._starting: dict[str, datetime] = {}

    def reconcile(self, name: Name) -> float | None:
        pod = self._access.get(_PODS, name)
        if pod is None or pod["status"].get("phase") in ("Succeeded", "Failed"):
            return None
        if not pod["spec"].get("nodeName"):
            self._access.bind(pod, NODE)
            return self._settings.pod_start
        if not pod["status"].get("startTime"):
            remaining = self._settings.pod_start - self._age(pod)
            if remaining > 0:
                return remaining
            self._starting.pop(pod["metadata"]["uid"], None)
            self._start(pod)
        elif pod["status"]["phase"] == "Running" and _is_job(pod):
            self._finish(pod)
        return self._settings.job_duration if _is_job(pod) else None

    def _age(self, pod: Object) -> float:
        """Seconds since a pod's first reconciliation, since creation timestamps have no fractions of a second."""
        first = self._starting.setdefault(pod["metadata"]["uid"], self._access.now())
        return (self._access.now() - first).total_seconds()

    def _start(self, pod: Object) -> None:
        failure = _failure(pod)
        now = self._access.stamp()
        running = failure is None
        self._addresses += 1
        statuses = [_container_status(container, failure, now) for container in pod["spec"]["containers"]]
        phase = "Pending" if failure == "ImagePullBackOff" else "Running"
        if failure == "Error":
            phase = "Failed"
        conditions: list[Object] = list(pod["status"].get("conditions") or ())
        for kind in _CONDITIONS:
            met = running or kind not in ("Ready", "ContainersReady")
            condition: Object = {"type": kind, "status": "True" if met else "False", "lastProbeTime": None}
            if not met:
                names = " ".join(container["name"] for container in pod["spec"]["containers"])
                condition |= {"reason": "ContainersNotReady", "message": f"containers with unready status: [{names}]"}
            conditions = with_condition(conditions, condition, now)
        address = f"10.244.{self._addresses // 250 % 250}.{self._addresses % 250 + 2}"
        status = {
            **pod["status"],
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": statuses,
            "startTime": now,
            "hostIP": "127.0.0.1",
            "podIP": address,
            "podIPs": [{"ip": address}],
        }
        self._access.set_status(_PODS, pod, status, manager="kubelet")

    def _finish(self, pod: Object) -> None:
        now = self._access.stamp()
        statuses = [
            {**status, "ready": False, "started": False,
             "state": {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}}}
            for status in pod["status"]["containerStatuses"]
        ]  # fmt: skip
        conditions = pod["status"]["conditions"]
        for kind in ("Ready", "ContainersReady"):
            condition = {"type": kind, "status": "False", "reason": "PodCompleted", "lastProbeTime": None}
            conditions = with_condition(conditions, condition, now)
        status = {**pod["status"], "phase": "Succeeded", "containerStatuses": statuses, "conditions": conditions}
        self._access.set_status(_PODS, pod, status, manager="kubelet")


def _failure(pod: Object) -> str | None:
    """The reason why a pod fails; None if it runs."""
    for container in pod["spec"]["containers"]:
        if any(name in container.get("image", "") for name in _BROKEN_IMAGES):
            return "ImagePullBackOff"
    commands = ([*(c.get("command") or ()), *(c.get("args") or ())] for c in pod["spec"]["containers"])
    crashes = any(command and command[-1].strip().endswith("exit 1") for command in commands)
    if crashes or FAIL_ANNOTATION in (pod["metadata"].get("annotations") or {}):
        return "Error" if pod["spec"].get("restartPolicy") == "Never" else "CrashLoopBackOff"
    return None


def _container_status(container: Object, failure: str | None, now: str) -> Object:
    status: Object = {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "ready": failure is None,
        "started": failure is None,
        "restartCount": 1 if failure == "CrashLoopBackOff" else 0,
    }
    if failure is None:
        status["containerID"] = "containerd://sandbox"
        status["state"] = {"running": {"startedAt": now}}
        return status
    ended = {"exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now}
    if failure == "Error":
        return {**status, "state": {"terminated": ended}}
    if failure == "CrashLoopBackOff":
        message = f"back-off 10s restarting failed container={container['name']}"
        status["lastState"] = {"terminated": ended}
    else:
        message = f'Back-off pulling image "{container.get("image", "")}"'
    return {**status, "state": {"waiting": {"reason": failure, "message": message}}}


def _is_job(pod: Object) -> bool:
    return (controller_of(pod) or {}).get("kind") == "Job"
