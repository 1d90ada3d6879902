"""The pods of the workloads that an app declares: a template that is in sync may still run something else."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import structlog

from driftd.diff.pods import needs_revisions, pod_drift, pods_of
from driftd.health.workloads import health
from driftd.kube.cache import Scope
from driftd.kube.discovery import ApiResource
from driftd.kube.objects import list_objects
from driftd.model.drift import FieldDrift, Status, Verdict
from driftd.model.errors import DriftdError
from driftd.model.health import HealthState
from driftd.model.resource import JsonObject, ResourceRef
from driftd.reconcile.cluster_view import ClusterView
from driftd.reconcile.judging import Judged
from driftd.reconcile.placement import Wanted
from driftd.reconcile.pod_index import workload_of
from driftd.reconcile.reading import Reader

log = structlog.get_logger(__name__)

WORKLOADS = frozenset({("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet")})
_REVISIONS = {"Deployment": "ReplicaSet", "DaemonSet": "ControllerRevision"}

_ByWorkload = dict[ResourceRef, list[JsonObject]]


async def with_pods(judged: Sequence[Judged], reader: Reader, view: ClusterView) -> list[Judged]:
    """The verdicts, those on workloads with what of their pods differs.

    Costs a LIST of pods for each namespace with workloads in it, where there is no cache. Where pods may not be listed
    the verdicts stay as they are, and a warning says so: the declared objects themselves could be judged.
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
    answers = await asyncio.gather(*(_pods(reader, resource, where, some) for where, some in workloads.items()))
    listed = dict(zip(workloads, answers, strict=True))
    return await asyncio.gather(*(_one(one, listed, view) for one in judged))


async def pod_scopes(wanted: Collection[Wanted], view: ClusterView) -> set[Scope]:
    """The pods that have to be watched for the workloads among what is wanted."""
    namespaces = {one.manifest.ref.namespace for one in wanted if _is_workload(one.manifest.ref)}
    if not namespaces:
        return set()
    try:
        resource = await view.resource("v1", "Pod")
    except DriftdError:
        return set()  # `with_pods` says so
    return {(resource, namespace) for namespace in namespaces}


def says_something_new(old: JsonObject | None, new: JsonObject | None) -> bool:
    """Whether a change of a pod can change what is said of its workload: not its many reports of health."""
    return _telling(old) != _telling(new)


def _telling(pod: JsonObject | None) -> object:
    if pod is None:
        return None
    status = pod.get("status") or {}
    images = sorted((s.get("name"), s.get("imageID")) for s in status.get("containerStatuses") or ())
    ended = status.get("phase") in ("Succeeded", "Failed") or bool(pod["metadata"].get("deletionTimestamp"))
    return pod.get("spec"), images, ended


def _is_workload(ref: ResourceRef) -> bool:
    return (ref.group, ref.kind) in WORKLOADS


def _has_pods(one: Judged) -> bool:
    return _is_workload(one.verdict.ref) and one.live is not None and one.verdict.status is not Status.UNKNOWN


async def _pods(
    reader: Reader, resource: ApiResource, namespace: str | None, workloads: Collection[ResourceRef]
) -> _ByWorkload | None:
    found: _ByWorkload = defaultdict(list)
    try:
        for pod in await reader.pods_of(resource, namespace, workloads):
            workload = workload_of(pod)
            if workload is not None:
                found[workload].append(pod)
    except DriftdError as error:
        log.warning("pods not looked at", namespace=namespace, error=str(error))
        return None
    return found


async def _one(one: Judged, listed: Mapping[str | None, _ByWorkload | None], view: ClusterView) -> Judged:
    pods = listed.get(one.verdict.ref.namespace)
    if not pods or one.live is None or not _has_pods(one):
        return one
    own = pods_of(one.live, pods.get(one.verdict.ref, ()))
    revisions = await _revisions(one, view) if needs_revisions(one.live, own) else ()
    settled = health(one.verdict.ref, one.live).state is HealthState.HEALTHY and len(own) == _counted(one.live)
    found = pod_drift(one.live, own, revisions, settled=settled)
    return replace(one, verdict=_with_fields(one.verdict, found)) if found else one


def _counted(workload: JsonObject) -> int | None:
    """How many pods the workload's controller knows of: with another number, one of the two was read too early."""
    status = workload.get("status") or {}
    count: int | None = status.get("currentNumberScheduled", status.get("replicas"))
    return count


async def _revisions(one: Judged, view: ClusterView) -> Sequence[JsonObject]:
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
