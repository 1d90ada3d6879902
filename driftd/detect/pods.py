"""The pods of the workloads that an app declares: a template that is in sync may still run something else."""

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
from driftd.kube.objects import list_objects
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

_ByWorkload = dict[ResourceRef, list[JsonObject]]


async def with_pods(judged: Sequence[Assessment], reader: Reader, view: ClusterView) -> list[Assessment]:
    """The verdicts, those on workloads with what of their pods differs.

    Without a cache this costs a LIST of pods for each namespace with workloads in it, or one of all namespaces. Where
    pods may not be listed the verdicts stay as they are, and a warning says so: the declared objects themselves could
    be judged.
    """
    workloads: dict[str | None, set[ResourceRef]] = defaultdict(set)
    for one in judged:
        if _has_pods(one):
            workloads[one.verdict.ref.namespace].add(one.verdict.ref)
    if not workloads:
        return list(judged)
    try:
        resource = await view.resource("v1", "Pod")
    except DriftdError as error:
        log.warning("pods not looked at", error=str(error))
        return list(judged)
    listed = await _pods(reader, resource, workloads)
    found = list(judged)
    concerned = [at for at, one in enumerate(judged) if one.verdict.ref in listed and _has_pods(one)]
    told = await asyncio.gather(*(_one(judged[at], listed[judged[at].verdict.ref], view) for at in concerned))
    for at, one in zip(concerned, told, strict=True):
        found[at] = one
    return found


def _has_pods(one: Assessment) -> bool:
    return is_workload(one.verdict.ref) and one.live is not None and one.verdict.status is not Status.UNKNOWN


async def _pods(
    reader: Reader, resource: ApiResource, workloads: Mapping[str | None, Collection[ResourceRef]]
) -> _ByWorkload:
    """The pods of workloads. Those without any are there as well, unless nothing in their namespace has some."""
    found: _ByWorkload = {}
    for namespace, pods in (await reader.pods_of(resource, workloads)).items():
        if isinstance(pods, DriftdError):
            log.warning("pods not looked at", namespace=namespace, error=str(pods))
            continue
        controlled: _ByWorkload = defaultdict(list)
        for pod in pods:
            if (workload := workload_of(pod)) is not None:
                controlled[workload].append(pod)
        if controlled:
            found |= {workload: controlled[workload] for workload in workloads[namespace]}
    return found


async def _one(one: Assessment, pods: Sequence[JsonObject], view: ClusterView) -> Assessment:
    if one.live is None:
        return one
    own = pods_of(one.live, pods)
    revisions = await _revisions(one, view) if needs_revisions(one.live, own) else ()
    settled = health(one.verdict.ref, one.live).state is HealthState.HEALTHY and len(own) == _expected_pods(one.live)
    found = pod_drift(one.live, own, revisions, rollout_complete=settled)
    return replace(one, verdict=_with_fields(one.verdict, found)) if found else one


def _expected_pods(workload: JsonObject) -> int | None:
    """How many pods the workload's controller knows of: with another number, one of the two was read too early."""
    status = workload.get("status") or {}
    count: int | None = status.get("currentNumberScheduled", status.get("replicas"))
    return count


async def _revisions(one: Assessment, view: ClusterView) -> Sequence[JsonObject]:
    ref: ResourceRef = one.verdict.ref
    selector = ((one.live or {}).get("spec", {}).get("selector") or {}).get("matchLabels") or {}
    try:
        resource = await view.resource("apps/v1", _REVISIONS[ref.kind])
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        return (await list_objects(view.cluster, resource, ref.namespace, label_selector=labels)).items
    except DriftdError as error:
        log.warning("revisions not looked at", object=str(ref), error=str(error))
        return ()


def _with_fields(verdict: Verdict, found: Sequence[FieldDrift]) -> Verdict:
    return replace(verdict, status=Status.DRIFTED, fields=(*verdict.fields, *found))
