"""The health of workloads, by their status.

Source of the rules: sigs.k8s.io/cli-utils "kstatus", and `kubectl rollout status`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from driftd.model.health import Health, HealthState
from driftd.model.resource import JsonObject, ResourceRef
from driftd.model.text import plural

_StateAndMessage = tuple[HealthState, str]

_NONE: Mapping[str, Any] = {}


def health(ref: ResourceRef, live: JsonObject | None) -> Health:
    """The health of one object; `live` is None if it does not exist.

    Objects of kinds without health rules are healthy as soon as they exist.
    """
    if live is None:
        return Health(ref, HealthState.DEGRADED, "does not exist")
    metadata = live.get("metadata") or {}
    if metadata.get("deletionTimestamp"):
        return Health(ref, HealthState.PROGRESSING, "is being deleted", own_pace=True)
    rule = _RULES.get((ref.group, ref.kind))
    if rule is None:
        return Health(ref, HealthState.HEALTHY)
    spec, status = live.get("spec") or {}, live.get("status") or {}
    generation, observed = metadata.get("generation"), status.get("observedGeneration")
    if generation is not None and observed is not None and observed < generation:
        state, message = HealthState.PROGRESSING, "its controller has not seen the latest change yet"
    else:
        state, message = rule(spec, status)
    current = Health(ref, state, message)
    if state is HealthState.HEALTHY:
        return current
    return replace(current, own_pace=_has_own_pace(ref, spec, state), rollout=_rollout_of(spec))


def _has_own_pace(ref: ResourceRef, spec: Mapping[str, Any], state: HealthState) -> bool:
    """Whether no deadline but the object's own applies.

    A Job runs for as long as its work takes, or until its `activeDeadlineSeconds`: then it has failed. A paused
    Deployment rolls out once somebody resumes it.
    """
    if state.failed:
        return False
    kind = (ref.group, ref.kind)
    return kind == ("batch", "Job") or (kind == ("apps", "Deployment") and bool(spec.get("paused")))


def _rollout_of(spec: Mapping[str, Any]) -> str:
    """A hash of what a workload rolls out: all of its spec but the number of replicas, which autoscalers change."""
    rolled_out = {key: value for key, value in spec.items() if key != "replicas"}
    return hashlib.sha256(json.dumps(rolled_out, sort_keys=True).encode()).hexdigest()[:16]


def _deployment(spec: Mapping[str, Any], status: Mapping[str, Any]) -> _StateAndMessage:
    if "observedGeneration" not in status:
        return HealthState.PROGRESSING, "the rollout has not started"
    progressing = _condition(status, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return HealthState.DEGRADED, _message_of(progressing, "the rollout exceeded its progress deadline")
    failing = _condition(status, "ReplicaFailure")
    if failing.get("status") == "True":
        return HealthState.DEGRADED, _message_of(failing, "pods cannot be created")
    desired = _replicas(spec)
    updated, total = status.get("updatedReplicas") or 0, status.get("replicas") or 0
    available = status.get("availableReplicas") or 0
    if updated < desired:
        paused = ", and the rollout is paused" if spec.get("paused") else ""
        return HealthState.PROGRESSING, f"{updated} of {desired} replicas are updated{paused}"
    if total > updated:
        unavailable = f", {_count_is(total - available, 'replica')} not available" if available < total else ""
        return HealthState.PROGRESSING, f"{_count_is(total - updated, 'old replica')} still there{unavailable}"
    if available < desired:
        return HealthState.PROGRESSING, f"{available} of {desired} replicas are available"
    return HealthState.HEALTHY, ""


def _stateful_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> _StateAndMessage:
    if "observedGeneration" not in status:
        return HealthState.PROGRESSING, "the rollout has not started"
    desired = _replicas(spec)
    ready = status.get("readyReplicas") or 0
    if ready < desired:
        return HealthState.PROGRESSING, f"{ready} of {desired} replicas are ready"
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "OnDelete":
        return HealthState.HEALTHY, ""
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    updated = status.get("updatedReplicas") or 0
    if partition is not None:  # the API server fills in 0
        if updated < desired - partition:
            return HealthState.PROGRESSING, f"{updated} of {desired - partition} replicas are updated"
    elif status.get("updateRevision") != status.get("currentRevision"):
        return HealthState.PROGRESSING, f"{updated} of {desired} replicas are updated"
    return HealthState.HEALTHY, ""


def _daemon_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> _StateAndMessage:
    if "observedGeneration" not in status:
        return HealthState.PROGRESSING, "the rollout has not started"
    desired = status.get("desiredNumberScheduled") or 0
    updated, available = status.get("updatedNumberScheduled") or 0, status.get("numberAvailable") or 0
    on_delete = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    if updated < desired and not on_delete:
        return HealthState.PROGRESSING, f"{updated} of {desired} pods are updated"
    if available < desired:
        return HealthState.PROGRESSING, f"{available} of {desired} pods are available"
    return HealthState.HEALTHY, ""


def _job(spec: Mapping[str, Any], status: Mapping[str, Any]) -> _StateAndMessage:
    failed = _condition(status, "Failed")
    if failed.get("status") == "True":
        return HealthState.DEGRADED, _message_of(failed, "the job has failed")
    if _condition(status, "Complete").get("status") == "True" or spec.get("suspend"):
        return HealthState.HEALTHY, ""
    return HealthState.PROGRESSING, "the job is still running"


def _custom_resource_definition(spec: Mapping[str, Any], status: Mapping[str, Any]) -> _StateAndMessage:
    del spec
    accepted = _condition(status, "NamesAccepted")
    if accepted.get("status") == "False":
        return HealthState.DEGRADED, _message_of(accepted, "its names are taken")
    if _condition(status, "Established").get("status") == "True":
        return HealthState.HEALTHY, ""
    return HealthState.PROGRESSING, "the API server does not serve it yet"


_RULES: dict[tuple[str, str], Callable[[Mapping[str, Any], Mapping[str, Any]], _StateAndMessage]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _custom_resource_definition,
}


def _replicas(spec: Mapping[str, Any]) -> int:
    replicas = spec.get("replicas")
    return 1 if replicas is None else int(replicas)


def _count_is(count: int, noun: str) -> str:
    return f"{plural(count, noun)} {'is' if count == 1 else 'are'}"


def _condition(status: Mapping[str, Any], condition_type: str) -> Mapping[str, Any]:
    condition: Mapping[str, Any]
    for condition in status.get("conditions") or ():
        if condition.get("type") == condition_type:
            return condition
    return _NONE


def _message_of(condition: Mapping[str, Any], default: str) -> str:
    return str(condition.get("message") or default)
