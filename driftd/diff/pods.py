"""Running pods are part of the truth: what of a workload's pods is not what its template says. Pure.

Told as fields of the workload, under `pods[name=…]`.
Source of how pods belong to templates: the labels `pod-template-hash` and `controller-revision-hash`, and the
annotation `deployment.kubernetes.io/revision`, as the controllers of Kubernetes set them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from driftd.diff.ownership import managed_fields, owner_of
from driftd.model.drift import Change, FieldDrift
from driftd.model.path import DocumentPath, FieldPath, ListKey
from driftd.model.resource import Json, JsonObject

_REVISION = "deployment.kubernetes.io/revision"
_TEMPLATE: DocumentPath = ("spec", "template")

INJECTED_CONTAINERS: tuple[str, ...] = (
    "istio-*", "linkerd-*", "vault-agent*", "consul-*", "envoy", "envoy-sidecar", "cloud-sql-proxy", "cloudsql-proxy",
    "dapr*", "kuma-*", "datadog-*", "dd-*", "opentelemetry-*", "otc-container", "aws-*", "azwi-*", "gke-*",
    "proxyinit", "osm-*", "nginx-mesh-*", "secrets-store-*", "signalfx-*", "xray-daemon",
)  # fmt: skip
"""Containers (by pattern) that well-known admission webhooks put into pods."""

INJECTED_ENV: tuple[str, ...] = (
    "AWS_*", "AZURE_*", "GOOGLE_*", "GCP_*", "CLOUDSDK_*", "KUBERNETES_*", "OTEL_*", "DD_*", "NEW_RELIC_*", "ISTIO_*",
    "LINKERD2_*", "DAPR_*", "VAULT_*", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "JAVA_TOOL_OPTIONS", "NODE_OPTIONS", "PYTHONPATH", "NODE_NAME", "POD_NAME", "POD_NAMESPACE", "POD_IP", "HOST_IP",
)  # fmt: skip
"""Variables (by pattern) that well-known admission webhooks put into containers."""


def pods_of(workload: JsonObject, pods: Sequence[JsonObject]) -> list[JsonObject]:
    """Those of some pods that a workload controls and that run, in the order of their names.

    A Deployment's pods are known by the name of their ReplicaSet, which is its own name and the hash of the template.
    """
    uid, name, kind = workload["metadata"].get("uid"), workload["metadata"]["name"], workload.get("kind")
    found = []
    for pod in pods:
        owner = _controlling_owner(pod)
        if kind == "Deployment":
            own = owner.get("kind") == "ReplicaSet" and owner.get("name") == f"{name}-{_hash(pod)}"
        else:
            own = owner.get("kind") == kind and owner.get("uid") == uid
        if own and _is_running(pod):
            found.append(pod)
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def needs_revisions(workload: JsonObject, pods: Sequence[JsonObject]) -> bool:
    """Whether only its ReplicaSets or ControllerRevisions can tell which of a workload's pods are of its template."""
    status = workload.get("status") or {}
    if workload.get("kind") == "DaemonSet" and pods:
        behind = (status.get("updatedNumberScheduled") or 0) < (status.get("desiredNumberScheduled") or 0)
        return behind or len({_hash(pod) for pod in pods}) > 1
    return workload.get("kind") == "Deployment" and len({_hash(pod) for pod in pods}) > 1


def pod_drift(
    workload: JsonObject, pods: Sequence[JsonObject], revisions: Sequence[JsonObject], *, rollout_complete: bool
) -> list[FieldDrift]:
    """What of a workload's pods (`pods_of`) is not what its live template says.

    `revisions` are its ReplicaSets or ControllerRevisions, where it `needs_revisions`. `settled` is whether its rollout
    has ended: until then, pods of the template before are no drift.
    """
    current = _current_hash(workload, pods, revisions)
    template = workload.get("spec", {}).get("template", {}).get("spec", {})
    found: list[FieldDrift] = []
    for pod in pods:
        outdated = current is not None and _hash(pod) not in (current, None)
        if outdated and rollout_complete:
            here = (*_pod_path(pod), "metadata", "labels", _hash_label(pod))
            found.append(FieldDrift(here, Change.CHANGED, current, _hash(pod), _TEMPLATE))
        found.extend(_ephemeral_container_drift(pod))
        if (
            rollout_complete and current is not None and not outdated
        ):  # else nobody can say which template it should be of
            found.extend(_template_drift(pod, template))
    found.extend(_digest_drift(pods))
    return found


def _template_drift(pod: JsonObject, template: Mapping[str, Any]) -> Iterator[FieldDrift]:
    for key in ("initContainers", "containers"):
        declared = {container["name"]: container for container in template.get(key) or ()}
        for container in pod["spec"].get(key) or ():
            path: FieldPath = (*_pod_path(pod), "spec", key, _name_key(container["name"]))
            wanted = declared.get(container["name"])
            if wanted is not None:
                yield from _container_drift(pod, path, wanted, container)
            elif not _matches_any(container["name"], INJECTED_CONTAINERS):
                yield _added(pod, path, {"name": container["name"], "image": container.get("image")})


def _container_drift(
    pod: JsonObject, path: FieldPath, wanted: Mapping[str, Any], actual: Mapping[str, Any]
) -> Iterator[FieldDrift]:
    if wanted.get("image") != actual.get("image"):
        here = (*path, "image")
        by = owner_of(here[2:], managed_fields(pod))
        yield FieldDrift(here, Change.CHANGED, wanted.get("image"), actual.get("image"), _TEMPLATE, by)
    declared = {variable["name"] for variable in wanted.get("env") or ()}
    for variable in actual.get("env") or ():
        if variable["name"] not in declared and not _matches_any(variable["name"], INJECTED_ENV):
            yield _added(pod, (*path, "env", _name_key(variable["name"])), dict(variable))


def _ephemeral_container_drift(pod: JsonObject) -> Iterator[FieldDrift]:
    for container in pod["spec"].get("ephemeralContainers") or ():
        path = (*_pod_path(pod), "spec", "ephemeralContainers", _name_key(container["name"]))
        yield _added(pod, path, {"name": container["name"], "image": container.get("image")})


def _digest_drift(pods: Sequence[JsonObject]) -> Iterator[FieldDrift]:
    """One tag, several images: whoever pulled it later runs something else."""
    running: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for pod in pods:
        images = {c["name"]: c.get("image") for c in pod["spec"].get("containers") or ()}
        for status in pod.get("status", {}).get("containerStatuses") or ():
            digest = str(status.get("imageID") or "").rpartition("@")[2]
            image = images.get(status.get("name"))
            if digest.startswith("sha256:") and isinstance(image, str) and "@" not in image:
                running[status["name"], image][digest].append(pod["metadata"]["name"])
    for (name, image), digests in sorted(running.items()):
        if len(digests) > 1:
            path = ("pods", "spec", "containers", _name_key(name), "image")
            live = {digest: sorted(names) for digest, names in sorted(digests.items())}
            yield FieldDrift(path, Change.CHANGED, image, live, _TEMPLATE)


def _current_hash(workload: JsonObject, pods: Sequence[JsonObject], revisions: Sequence[JsonObject]) -> str | None:
    """The hash of the pods that the workload's template makes now, or None where that cannot be told."""
    kind, status = workload.get("kind"), workload.get("status") or {}
    if kind == "StatefulSet":
        update: str | None = status.get("updateRevision")
        return update
    if not needs_revisions(workload, pods):
        return _hash(pods[0]) if pods else None
    uid = workload["metadata"].get("uid")
    own = [revision for revision in revisions if _controlling_owner(revision).get("uid") == uid]
    if kind == "DaemonSet":
        latest = max(own, key=lambda revision: revision.get("revision") or 0, default=None)
        return _hash(latest) if latest is not None else None
    wanted = (workload["metadata"].get("annotations") or {}).get(_REVISION)
    for revision in own:
        if wanted is not None and (revision["metadata"].get("annotations") or {}).get(_REVISION) == wanted:
            return _hash(revision)
    return None


def _hash_label(thing: JsonObject) -> str:
    labels = thing["metadata"].get("labels") or {}
    return "pod-template-hash" if "pod-template-hash" in labels else "controller-revision-hash"


def _hash(thing: JsonObject) -> str | None:
    value: str | None = (thing["metadata"].get("labels") or {}).get(_hash_label(thing))
    return value


def _is_running(pod: JsonObject) -> bool:
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not pod["metadata"].get("deletionTimestamp")


def _added(pod: JsonObject, path: FieldPath, live: Json) -> FieldDrift:
    return FieldDrift(path, Change.ADDED, None, live, _TEMPLATE, owner_of(path[2:], managed_fields(pod), partial=True))


def _pod_path(pod: JsonObject) -> FieldPath:
    return ("pods", _name_key(pod["metadata"]["name"]))


def _name_key(name: str) -> ListKey:
    return ListKey((("name", name),))


def _matches_any(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _controlling_owner(thing: JsonObject) -> Mapping[str, Any]:
    owners = thing["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), {})
