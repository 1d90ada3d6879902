"""Drift of the pods of declared workloads: a workload that is in sync may still run other pods."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import structlog

from driftd.detect.assessor import Assessment
from driftd.diff.pods import needs_revisions, pod_drift, pods_of
from driftd.health.workloads import health
from driftd.kube.discovery import ApiResource
from driftd.kube.listing import list_objects
from driftd.live.api_reader import Reader
from driftd.live.cluster import ClusterView
from driftd.live.pod_index import workload_of
from driftd.live.pods import is_workload
from driftd.model.drift import FieldDrift, Status, Verdict
from driftd.model.errors import DriftdError
from driftd.model.health import HealthState
from driftd.model.resource import JsonObject, ResourceRef

log = structlog.get_logger(__name__)

_REVISIONS = {"Deployment": "ReplicaSet", "DaemonSet": "ControllerRevision"}

_PodsByWorkload = dict[ResourceRef, list[JsonObject]]


async def with_pods(assessments: Sequence[Assessment], reader: Reader, view: ClusterView) -> list[Assessment]:
    """The assessments, those of workloads with the drift of their pods.

    Without a cache this costs a LIST of pods for each namespace with workloads in it, or one of all namespaces. If
    pods may not be listed the verdicts stay as they are, and a warning is logged: the declared objects themselves were
    assessed.
    """
    workloads: dict[str | None, set[ResourceRef]] = defaultdict(set)
    for assessment in assessments:
        if _has_pods(assessment):
            workloads[assessment.verdict.ref.namespace].add(assessment.verdict.ref)
    if not workloads:
        return list(assessments)
    try:
        resource = await view.resource("v1", "Pod")
    except DriftdError as error:
        log.warning("pods not read", error=str(error))
        return list(assessments)
    pods = await _pods(reader, resource, workloads)
    result = list(assessments)
    positions = [at for at, one in enumerate(assessments) if one.verdict.ref in pods and _has_pods(one)]
    compared = await asyncio.gather(
        *(_with_pod_drift(result[at], pods[result[at].verdict.ref], view) for at in positions)
    )
    for at, assessment in zip(positions, compared, strict=True):
        result[at] = assessment
    return result


def _has_pods(assessment: Assessment) -> bool:
    verdict = assessment.verdict
    return is_workload(verdict.ref) and assessment.live is not None and verdict.status is not Status.UNKNOWN


async def _pods(
    reader: Reader, resource: ApiResource, workloads: Mapping[str | None, Collection[ResourceRef]]
) -> _PodsByWorkload:
    """The pods of workloads. Workloads without pods are included, unless none in their namespace has any."""
    by_workload: _PodsByWorkload = {}
    for namespace, pods in (await reader.pods_of(resource, workloads)).items():
        if isinstance(pods, DriftdError):
            log.warning("pods not read", namespace=namespace, error=str(pods))
            continue
        controlled: _PodsByWorkload = defaultdict(list)
        for pod in pods:
            if (workload := workload_of(pod)) is not None:
                controlled[workload].append(pod)
        if controlled:
            by_workload |= {workload: controlled[workload] for workload in workloads[namespace]}
    return by_workload


async def _with_pod_drift(assessment: Assessment, pods: Sequence[JsonObject], view: ClusterView) -> Assessment:
    workload, verdict = assessment.live, assessment.verdict
    if workload is None:
        return assessment
    own = pods_of(workload, pods)
    revisions = await _revisions(workload, verdict.ref, view) if needs_revisions(workload, own) else ()
    settled = health(verdict.ref, workload).state is HealthState.HEALTHY and len(own) == _expected_pods(workload)
    drifts = pod_drift(workload, own, revisions, rollout_complete=settled)
    return replace(assessment, verdict=_with_fields(verdict, drifts)) if drifts else assessment


def _expected_pods(workload: JsonObject) -> int | None:
    """The number of pods in the workload's status: if it is not that of the listed pods, one was read too early."""
    status = workload.get("status") or {}
    count: int | None = status.get("currentNumberScheduled", status.get("replicas"))
    return count


async def _revisions(workload: JsonObject, ref: ResourceRef, view: ClusterView) -> Sequence[JsonObject]:
    selector = (workload.get("spec", {}).get("selector") or {}).get("matchLabels") or {}
    try:
        resource = await view.resource("apps/v1", _REVISIONS[ref.kind])
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        return (await list_objects(view.cluster, resource, ref.namespace, label_selector=labels)).items
    except DriftdError as error:
        log.warning("revisions not read", object=str(ref), error=str(error))
        return ()


def _with_fields(verdict: Verdict, drifts: Sequence[FieldDrift]) -> Verdict:
    return replace(verdict, status=Status.DRIFTED, fields=(*verdict.fields, *drifts))
