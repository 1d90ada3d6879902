"""The health of workloads by their own status.

Source of the rules: sigs.k8s.io/cli-utils "kstatus", and `kubectl rollout status`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from driftd.model.health import Health, HealthState
from driftd.model.resource import JsonObject, ResourceRef
from driftd.model.text import plural

Reading = tuple[HealthState, str]

_NONE: Mapping[str, Any] = {}


def health(ref: ResourceRef, live: JsonObject | None) -> Health:
    """The health of one object; `live` is None where it does not exist.

    Kinds that have no health of their own are healthy as soon as they exist.
    """
    if live is None:
        return Health(ref, HealthState.DEGRADED, "does not exist")
    metadata = live.get("metadata") or {}
    if metadata.get("deletionTimestamp"):
        return Health(ref, HealthState.PROGRESSING, "is being deleted")
    rule = _RULES.get((ref.group, ref.kind))
    if rule is None:
        return Health(ref, HealthState.HEALTHY)
    status = live.get("status") or {}
    generation, observed = metadata.get("generation"), status.get("observedGeneration")
    if generation is not None and observed is not None and observed < generation:
        return Health(ref, HealthState.PROGRESSING, "its controller has not seen the latest change yet")
    state, message = rule(live.get("spec") or {}, status)
    return Health(ref, state, message)


def has_health(ref: ResourceRef) -> bool:
    """Whether objects of this kind can be anything but healthy once they exist."""
    return (ref.group, ref.kind) in _RULES


def _deployment(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Reading:
    if "observedGeneration" not in status:
        return HealthState.PROGRESSING, "the rollout has not started"
    progressing = _condition(status, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return HealthState.DEGRADED, _said(progressing, "the rollout exceeded its progress deadline")
    failing = _condition(status, "ReplicaFailure")
    if failing.get("status") == "True":
        return HealthState.DEGRADED, _said(failing, "pods cannot be created")
    wanted = _replicas(spec)
    updated, total = status.get("updatedReplicas") or 0, status.get("replicas") or 0
    available = status.get("availableReplicas") or 0
    if updated < wanted:
        return HealthState.PROGRESSING, f"{updated} of {wanted} replicas are updated"
    if total > updated:
        lacking = f", {_are(total - available, 'replica')} not available" if available < total else ""
        return HealthState.PROGRESSING, f"{_are(total - updated, 'old replica')} still there{lacking}"
    if available < wanted:
        return HealthState.PROGRESSING, f"{available} of {wanted} replicas are available"
    return HealthState.HEALTHY, ""


def _stateful_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Reading:
    if "observedGeneration" not in status:
        return HealthState.PROGRESSING, "the rollout has not started"
    wanted = _replicas(spec)
    ready = status.get("readyReplicas") or 0
    if ready < wanted:
        return HealthState.PROGRESSING, f"{ready} of {wanted} replicas are ready"
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "OnDelete":
        return HealthState.HEALTHY, ""
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    updated = status.get("updatedReplicas") or 0
    if partition is not None:  # the API server fills in 0
        if updated < wanted - partition:
            return HealthState.PROGRESSING, f"{updated} of {wanted - partition} replicas are updated"
    elif status.get("updateRevision") != status.get("currentRevision"):
        return HealthState.PROGRESSING, f"{updated} of {wanted} replicas are updated"
    return HealthState.HEALTHY, ""


def _daemon_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Reading:
    if "observedGeneration" not in status:
        return HealthState.PROGRESSING, "the rollout has not started"
    wanted = status.get("desiredNumberScheduled") or 0
    updated, available = status.get("updatedNumberScheduled") or 0, status.get("numberAvailable") or 0
    on_delete = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    if updated < wanted and not on_delete:
        return HealthState.PROGRESSING, f"{updated} of {wanted} pods are updated"
    if available < wanted:
        return HealthState.PROGRESSING, f"{available} of {wanted} pods are available"
    return HealthState.HEALTHY, ""


def _job(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Reading:
    failed = _condition(status, "Failed")
    if failed.get("status") == "True":
        return HealthState.DEGRADED, _said(failed, "the job has failed")
    if _condition(status, "Complete").get("status") == "True" or spec.get("suspend"):
        return HealthState.HEALTHY, ""
    return HealthState.PROGRESSING, "the job is still running"


def _definition(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Reading:
    del spec
    refused = _condition(status, "NamesAccepted")
    if refused.get("status") == "False":
        return HealthState.DEGRADED, _said(refused, "its names are taken")
    if _condition(status, "Established").get("status") == "True":
        return HealthState.HEALTHY, ""
    return HealthState.PROGRESSING, "the API server does not serve it yet"


_RULES: dict[tuple[str, str], Callable[[Mapping[str, Any], Mapping[str, Any]], Reading]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}


def _replicas(spec: Mapping[str, Any]) -> int:
    replicas = spec.get("replicas")
    return 1 if replicas is None else int(replicas)


def _are(count: int, noun: str) -> str:
    return f"{plural(count, noun)} {'is' if count == 1 else 'are'}"


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind:
            found: Mapping[str, Any] = condition
            return found
    return _NONE


def _said(condition: Mapping[str, Any], otherwise: str) -> str:
    return str(condition.get("message") or otherwise)
