"""Drift of the pods of declared workloads: a workload that is in sync may still run other pods."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from driftd.detect.assessor import Assessment
from driftd.diff.pods import needs_revisions, pod_drift, pods_of
from driftd.health.workloads import health
from driftd.kube.listing import list_objects
from driftd.live.api_reader import Reader
from driftd.live.cluster import ClusterView
from driftd.live.pod_index import workload_of
from driftd.live.pods import is_workload
from driftd.model.drift import FieldDrift, Status, Verdict
from driftd.model.errors import DriftdError
from driftd.model.health import HealthState
from driftd.model.resource import JsonObject, ResourceRef
from driftd.model.text import plural

_REVISIONS = {"Deployment": "ReplicaSet", "DaemonSet": "ControllerRevision"}

_PodsByWorkload = dict[ResourceRef, list[JsonObject] | DriftdError]


async def with_pods(assessments: Sequence[Assessment], reader: Reader, view: ClusterView) -> list[Assessment]:
    """The assessments, those of workloads with the drift of their pods.

    Without a cache this costs a LIST of pods for each namespace with workloads in it, or one of all namespaces. A
    workload whose pods cannot be read may run anything: it is never in sync.
    """
    workloads: dict[str | None, set[ResourceRef]] = defaultdict(set)
    for assessment in assessments:
        if _has_pods(assessment):
            workloads[assessment.verdict.ref.namespace].add(assessment.verdict.ref)
    if not workloads:
        return list(assessments)
    pods = await _pods(reader, view, workloads)
    return list(await asyncio.gather(*(_with_pods(assessment, pods, view) for assessment in assessments)))


async def _with_pods(assessment: Assessment, pods: _PodsByWorkload, view: ClusterView) -> Assessment:
    if not _has_pods(assessment):
        return assessment
    own = pods.get(assessment.verdict.ref, ())
    if isinstance(own, DriftdError):
        return _unjudged(assessment, f"its pods could not be read: {own}")
    if not own:
        counted = _expected_pods(assessment.live) if assessment.live is not None else None
        return (
            _unjudged(assessment, f"its status counts {plural(counted, 'pod')}, and none is seen")
            if counted
            else assessment
        )
    return await _with_pod_drift(assessment, own, view)


def _has_pods(assessment: Assessment) -> bool:
    verdict = assessment.verdict
    return is_workload(verdict.ref) and assessment.live is not None and verdict.status is not Status.UNKNOWN


async def _pods(
    reader: Reader, view: ClusterView, workloads: Mapping[str | None, Collection[ResourceRef]]
) -> _PodsByWorkload:
    """The pods of workloads, or why they cannot be read.

    Workloads without pods are included, unless none in their namespace has any.
    """
    try:
        resource = await view.resource("v1", "Pod")
    except DriftdError as error:
        return dict.fromkeys((ref for refs in workloads.values() for ref in refs), error)
    by_workload: _PodsByWorkload = {}
    for namespace, pods in (await reader.pods_of(resource, workloads)).items():
        if isinstance(pods, DriftdError):
            by_workload |= dict.fromkeys(workloads[namespace], pods)
            continue
        controlled: defaultdict[ResourceRef, list[JsonObject]] = defaultdict(list)
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
    try:
        revisions = await _revisions(workload, verdict.ref, view) if needs_revisions(workload, own) else ()
    except DriftdError as error:
        return _unjudged(assessment, f"which of its pods are up to date could not be read: {error}")
    settled = health(verdict.ref, workload).state is HealthState.HEALTHY and len(own) == _expected_pods(workload)
    drifts = pod_drift(workload, own, revisions, rollout_complete=settled)
    return replace(assessment, verdict=_with_fields(verdict, drifts)) if drifts else assessment


def _unjudged(assessment: Assessment, reason: str) -> Assessment:
    return replace(assessment, verdict=assessment.verdict.with_unjudged(reason))


def _expected_pods(workload: JsonObject) -> int | None:
    """The number of pods in the workload's status: if it is not that of the listed pods, one was read too early."""
    status = workload.get("status") or {}
    count: int | None = status.get("currentNumberScheduled", status.get("replicas"))
    return count


async def _revisions(workload: JsonObject, ref: ResourceRef, view: ClusterView) -> Sequence[JsonObject]:
    """Raises: DriftdError: they cannot be read."""
    selector = (workload.get("spec", {}).get("selector") or {}).get("matchLabels") or {}
    resource = await view.resource("apps/v1", _REVISIONS[ref.kind])
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    return (await list_objects(view.cluster, resource, ref.namespace, label_selector=labels)).items


def _with_fields(verdict: Verdict, drifts: Sequence[FieldDrift]) -> Verdict:
    return replace(verdict, status=Status.DRIFTED, fields=(*verdict.fields, *drifts))
