"""The status that the simulated kubelet reports for a pod, derived from its spec."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

CRASH_ANNOTATION = "kubelet.test/crashes"
"""A pod with this annotation crashes: CrashLoopBackOff, or Failed if it belongs to a Job."""

_UNPULLABLE = ("broken", "does-not-exist")

Object = Mapping[str, Any]


def status_of(pod: Object, address: str) -> dict[str, Any]:
    """The final status of a pod.

    Running and ready; Succeeded if a Job owns the pod; ImagePullBackOff if an image's name contains `broken` or
    `does-not-exist`; crashing if annotated with `CRASH_ANNOTATION`. `address` is the pod's address.
    """
    spec = pod["spec"]
    crashes = CRASH_ANNOTATION in (pod["metadata"].get("annotations") or {})
    ends = _belongs_to_job(pod)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    inits = [_init(container, now) for container in spec.get("initContainers") or []]
    stuck = any("waiting" in init["state"] for init in inits)
    containers = [_main(container, now, crashes=crashes, ends=ends, blocked=stuck) for container in spec["containers"]]
    phase = _phase(containers, crashes=crashes, ends=ends)
    ready = phase == "Running" and all(container["ready"] for container in containers)
    status: dict[str, Any] = {
        "phase": phase,
        "conditions": _conditions(now, initialized=not stuck, ready=ready, ended=phase == "Succeeded"),
        "containerStatuses": containers,
        "hostIP": "127.0.0.1",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "observedGeneration": pod["metadata"].get("generation"),
    }
    if inits:
        status["initContainerStatuses"] = inits
    if spec.get("ephemeralContainers"):
        status["ephemeralContainerStatuses"] = [_running(container, now) for container in spec["ephemeralContainers"]]
    return status


def needs_report(pod: Object) -> bool:
    """Whether no status has been reported for the pod yet, or its spec has changed since."""
    status = pod.get("status") or {}
    reported = [
        (each["name"], each["image"])
        for kind in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for each in status.get(kind) or []
    ]
    spec = pod["spec"]
    declared = [
        (each["name"], each["image"])
        for kind in ("initContainers", "containers", "ephemeralContainers")
        for each in spec.get(kind) or []
    ]
    return reported != declared


def _belongs_to_job(pod: Object) -> bool:
    return any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences") or [])


def _phase(containers: list[dict[str, Any]], *, crashes: bool, ends: bool) -> str:
    if any("waiting" in each["state"] and not each["restartCount"] for each in containers):
        return "Pending"
    if ends:
        return "Failed" if crashes else "Succeeded"
    return "Running"


def _init(container: Object, now: str) -> dict[str, Any]:
    if _unpullable(container):
        return _waiting(container, "ImagePullBackOff")
    if container.get("restartPolicy") == "Always":  # a sidecar
        return _running(container, now)
    return _terminated(container, now, code=0)


def _main(container: Object, now: str, *, crashes: bool, ends: bool, blocked: bool) -> dict[str, Any]:
    if blocked:
        return _waiting(container, "PodInitializing")
    if _unpullable(container):
        return _waiting(container, "ImagePullBackOff")
    if ends:
        return _terminated(container, now, code=1 if crashes else 0)
    if crashes:
        return {
            **_waiting(container, "CrashLoopBackOff"),
            "restartCount": 5,
            "lastState": _terminated(container, now, code=1)["state"],
        }
    return _running(container, now)


def _unpullable(container: Object) -> bool:
    return any(name in container["image"] for name in _UNPULLABLE)


def _running(container: Object, now: str) -> dict[str, Any]:
    return {**_container(container), "ready": True, "started": True, "state": {"running": {"startedAt": now}}}


def _terminated(container: Object, now: str, *, code: int) -> dict[str, Any]:
    reason = "Completed" if code == 0 else "Error"
    ended = {"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now}
    return {**_container(container), "ready": code == 0, "started": False, "state": {"terminated": ended}}


def _waiting(container: Object, reason: str) -> dict[str, Any]:
    messages = {
        "ImagePullBackOff": f'Back-off pulling image "{container["image"]}"',
        "CrashLoopBackOff": "back-off 5m0s restarting failed container",
    }
    waiting = {"reason": reason, "message": messages.get(reason, "")}
    return {**_container(container), "imageID": "", "ready": False, "started": False, "state": {"waiting": waiting}}


def _container(container: Object) -> dict[str, Any]:
    image = container["image"]
    digest = hashlib.sha256(image.encode()).hexdigest()
    return {"name": container["name"], "image": image, "imageID": f"{image}@sha256:{digest}", "restartCount": 0}


def _conditions(now: str, *, initialized: bool, ready: bool, ended: bool) -> list[dict[str, Any]]:
    reason = "PodCompleted" if ended else "ContainersNotReady"
    truths = {"PodScheduled": True, "Initialized": initialized, "ContainersReady": ready, "Ready": ready}
    return [
        {
            "type": kind,
            "status": "True" if truth else "False",
            "lastTransitionTime": now,
            **({} if truth else {"reason": reason}),
        }
        for kind, truth in truths.items()
    ]
