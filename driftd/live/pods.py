"""The pods to be watched for the workloads of an app, and which of their changes matter."""

from __future__ import annotations

from collections.abc import Collection

from driftd.kube.discovery import Scope
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.errors import DriftdError
from driftd.model.resource import JsonObject, ResourceRef

WORKLOADS = frozenset({("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet")})


async def pod_scopes(items: Collection[MappedManifest], view: ClusterView) -> set[Scope]:
    """The scopes of pods to be watched for the workloads in `items`."""
    namespaces = {item.manifest.ref.namespace for item in items if is_workload(item.manifest.ref)}
    if not namespaces:
        return set()
    try:
        resource = await view.resource("v1", "Pod")
    except DriftdError:
        return set()  # `with_pods` logs the error
    return {(resource, namespace) for namespace in namespaces}


def affects_verdict(old: JsonObject | None, new: JsonObject | None) -> bool:
    """Whether a change of a pod can change the verdict on its workload. Most are health updates, which cannot."""
    return _relevant_parts(old) != _relevant_parts(new)


def _relevant_parts(pod: JsonObject | None) -> object:
    if pod is None:
        return None
    status = pod.get("status") or {}
    images = sorted((s.get("name"), s.get("imageID")) for s in status.get("containerStatuses") or ())
    ended = status.get("phase") in ("Succeeded", "Failed") or bool(pod["metadata"].get("deletionTimestamp"))
    return pod.get("spec"), images, ended


def is_workload(ref: ResourceRef) -> bool:
    return (ref.group, ref.kind) in WORKLOADS
