"""Jobs: run pods to completion or up to the backoff limit."""

from __future__ import annotations

from driftd.sandbox.controllers.access import Access, is_ready, pod_from
from driftd.sandbox.document import Object
from driftd.sandbox.store import Name

_KEY = ("batch", "jobs")
_PODS = ("", "pods")


class Jobs:
    def __init__(self, access: Access) -> None:
        self._access = access

    def reconcile(self, name: Name) -> float | None:
        job = self._access.get(_KEY, name)
        if job is None or any(c["type"] in ("Complete", "Failed") for c in job["status"].get("conditions") or ()):
            return None
        spec = job["spec"]
        if spec.get("suspend"):
            return None
        pods = self._access.controlled_by(job, _PODS)
        succeeded = sum(pod["status"].get("phase") == "Succeeded" for pod in pods)
        failed = sum(pod["status"].get("phase") == "Failed" for pod in pods)
        active = [pod for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")]
        completions = spec.get("completions") or spec.get("parallelism", 1)
        gave_up = failed > spec.get("backoffLimit", 6)
        missing = 0 if gave_up else min(spec.get("parallelism", 1), completions - succeeded) - len(active)
        body = pod_from(spec["template"], {"generateName": f"{name[1]}-"})
        active.extend(self._access.create(_PODS, job, body) for _ in range(missing))
        self._update_status(job, active, succeeded, failed, done=succeeded >= completions, gave_up=gave_up)
        return None

    def _update_status(
        self, job: Object, active: list[Object], succeeded: int, failed: int, *, done: bool, gave_up: bool
    ) -> None:
        now = self._access.stamp()
        counts = {"active": len(active), "succeeded": succeeded, "failed": failed}
        status: Object = {key: value for key, value in counts.items() if value}
        status |= {
            "startTime": job["status"].get("startTime") or now,
            "ready": sum(map(is_ready, active)),
            "terminating": 0,
            "uncountedTerminatedPods": {},
        }
        if done:
            status["completionTime"] = now
            reason, text = "CompletionsReached", "Reached expected number of succeeded pods"
            status["conditions"] = [_condition(kind, reason, text, now) for kind in ("SuccessCriteriaMet", "Complete")]
        elif gave_up:
            reason, text = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
            status["conditions"] = [_condition(kind, reason, text, now) for kind in ("FailureTarget", "Failed")]
        self._access.set_status(_KEY, job, status)


def _condition(kind: str, reason: str, message: str, now: str) -> Object:
    times = {"lastProbeTime": now, "lastTransitionTime": now}
    return {"type": kind, "status": "True", "reason": reason, "message": message, **times}
