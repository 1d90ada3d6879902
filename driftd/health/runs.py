"""How far what runs to an end has come: Jobs, and Pods that are not restarted."""

from __future__ import annotations

from driftd.health.workloads import health
from driftd.model.health import HealthState
from driftd.model.resource import JsonObject, ResourceRef
from driftd.model.run import RunState

_JOB = ("batch", "Job")
_POD = ("", "Pod")


def runs_to_an_end(ref: ResourceRef) -> bool:
    """Whether an object of this kind may be gone because its work is done."""
    return (ref.group, ref.kind) in (_JOB, _POD)


def run_state(ref: ResourceRef, live: JsonObject) -> tuple[RunState, str] | None:
    """How far a Job or a Pod has come, and why it failed. None for a Pod that is not known to run to an end."""
    status = live.get("status") or {}
    if (ref.group, ref.kind) == _POD:
        return (RunState.COMPLETE, "") if status.get("phase") == "Succeeded" else None
    conditions = status.get("conditions") or ()
    if any(one.get("type") == "Complete" and one.get("status") == "True" for one in conditions):
        return RunState.COMPLETE, ""
    current = health(ref, {**live, "metadata": {}})
    return (RunState.FAILED, current.message) if current.state is HealthState.DEGRADED else (RunState.RUNNING, "")


def removes_itself(manifest: JsonObject) -> bool:
    """Whether a Job declares that it is to be removed once it has finished."""
    return (manifest.get("spec") or {}).get("ttlSecondsAfterFinished") is not None
