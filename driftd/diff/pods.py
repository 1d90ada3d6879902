"""Drift of a workload's running pods from its template, as fields of the workload under `pods[name=…]`. Pure.

Pods are matched to templates by the labels `pod-template-hash` and `controller-revision-hash` and the annotation
`deployment.kubernetes.io/revision`, as the controllers of Kubernetes set them.
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

_OWNER_REFERENCES: FieldPath = ("metadata", "ownerReferences")
_POD_CREATORS = ("kube-controller-manager", "k3s", "rke2", "kubelite", "replicaset-controller", "daemonset-controller",
                 "statefulset-controller")  # fmt: skip

INJECTED_CONTAINERS: tuple[str, ...] = (
    "istio-*", "linkerd-*", "vault-agent*", "consul-*", "envoy", "envoy-sidecar", "cloud-sql-proxy", "cloudsql-proxy",
    "dapr*", "kuma-*", "datadog-*", "dd-*", "opentelemetry-*", "otc-container", "aws-*", "azwi-*", "gke-*",
    "proxyinit", "osm-*", "nginx-mesh-*", "secrets-store-*", "signalfx-*", "xray-daemon",
)  # fmt: skip
"""Containers (by pattern) that well-known admission webhooks inject into pods."""

INJECTED_ENV: tuple[str, ...] = (
    "AWS_*", "AZURE_*", "GOOGLE_*", "GCP_*", "CLOUDSDK_*", "KUBERNETES_*", "OTEL_*", "DD_*", "NEW_RELIC_*", "ISTIO_*",
    "LINKERD2_*", "DAPR_*", "VAULT_*", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "JAVA_TOOL_OPTIONS", "NODE_OPTIONS", "PYTHONPATH", "NODE_NAME", "POD_NAME", "POD_NAMESPACE", "POD_IP", "HOST_IP",
)  # fmt: skip
"""Variables (by pattern) that well-known admission webhooks inject into containers."""


def pods_of(workload: JsonObject, pods: Sequence[JsonObject]) -> list[JsonObject]:
    """The running pods that a workload controls, in the order of their names.

    A Deployment's pods are identified by the name of their ReplicaSet: its own name and the hash of the template.
    """
    uid, name, kind = workload["metadata"].get("uid"), workload["metadata"]["name"], workload.get("kind")
    controlled = []
    for pod in pods:
        owner = _controlling_owner(pod)
        if kind == "Deployment":
            is_controlled = owner.get("kind") == "ReplicaSet" and owner.get("name") == f"{name}-{_hash(pod)}"
        else:
            is_controlled = owner.get("kind") == kind and owner.get("uid") == uid
        if is_controlled and _is_running(pod):
            controlled.append(pod)
    return sorted(controlled, key=lambda pod: str(pod["metadata"]["name"]))


def needs_revisions(workload: JsonObject, pods: Sequence[JsonObject]) -> bool:
    """Whether matching a workload's pods to its template takes its ReplicaSets or ControllerRevisions."""
    status = workload.get("status") or {}
    if workload.get("kind") == "DaemonSet" and pods:
        outdated = (status.get("updatedNumberScheduled") or 0) < (status.get("desiredNumberScheduled") or 0)
        return outdated or len({_hash(pod) for pod in pods}) > 1
    return workload.get("kind") == "Deployment" and len({_hash(pod) for pod in pods}) > 1


def pod_drift(
    workload: JsonObject, pods: Sequence[JsonObject], revisions: Sequence[JsonObject], *, rollout_complete: bool
) -> list[FieldDrift]:
    """The fields in which a workload's pods (`pods_of`) differ from its live template.

    `revisions` are its ReplicaSets or ControllerRevisions, if it `needs_revisions`. Until its rollout is complete, pods
    of the previous template are no drift.
    """
    current = _current_hash(workload, pods, revisions)
    template = workload.get("spec", {}).get("template", {}).get("spec", {})
    drifts: list[FieldDrift] = []
    for pod in pods:
        outdated = current is not None and _hash(pod) not in (current, None)
        if outdated and rollout_complete:
            path = (*_pod_path(pod), "metadata", "labels", _hash_label(pod))
            drifts.append(FieldDrift(path, Change.CHANGED, current, _hash(pod), _TEMPLATE))
        drifts.extend(_ephemeral_container_drift(pod))
        if rollout_complete and current is not None and not outdated:  # otherwise the pod's template is not known
            drifts.extend(_template_drift(pod, template))
    drifts.extend(_digest_drift(pods))
    return drifts


def _template_drift(pod: JsonObject, template: Mapping[str, Any]) -> Iterator[FieldDrift]:
    for key in ("initContainers", "containers"):
        declared = {container["name"]: container for container in template.get(key) or ()}
        for container in pod["spec"].get(key) or ():
            path: FieldPath = (*_pod_path(pod), "spec", key, _name_key(container["name"]))
            expected = declared.get(container["name"])
            if expected is not None:
                yield from _container_drift(pod, path, expected, container)
            elif not _matches_any(container["name"], INJECTED_CONTAINERS) and not _came_with_creation(pod, path):
                yield _added(pod, path, {"name": container["name"], "image": container.get("image")})


def _container_drift(
    pod: JsonObject, path: FieldPath, expected: Mapping[str, Any], actual: Mapping[str, Any]
) -> Iterator[FieldDrift]:
    image_path = (*path, "image")
    if expected.get("image") != actual.get("image") and not _came_with_creation(pod, image_path):
        by = owner_of(image_path[2:], managed_fields(pod))
        yield FieldDrift(image_path, Change.CHANGED, expected.get("image"), actual.get("image"), _TEMPLATE, by)
    declared = {variable["name"] for variable in expected.get("env") or ()}
    for variable in actual.get("env") or ():
        variable_path = (*path, "env", _name_key(variable["name"]))
        if variable["name"] in declared or _matches_any(variable["name"], INJECTED_ENV):
            continue
        if not _came_with_creation(pod, variable_path):
            yield _added(pod, variable_path, dict(variable))


def _came_with_creation(pod: JsonObject, path: FieldPath) -> bool:
    """Whether a value came with the pod's creation by its controller: then admission put it in.

    A hand that changes the pod later leaves an entry of its own, or renews that of the name that it takes.
    """
    return any(
        entry.at_creation
        and entry.owner.manager in _POD_CREATORS
        and entry.owns(_OWNER_REFERENCES, partial=True)
        and entry.owns(path[2:], partial=True)
        for entry in managed_fields(pod)
    )


def _ephemeral_container_drift(pod: JsonObject) -> Iterator[FieldDrift]:
    for container in pod["spec"].get("ephemeralContainers") or ():
        path = (*_pod_path(pod), "spec", "ephemeralContainers", _name_key(container["name"]))
        yield _added(pod, path, {"name": container["name"], "image": container.get("image")})


def _digest_drift(pods: Sequence[JsonObject]) -> Iterator[FieldDrift]:
    """Images of one tag with several digests: pods that pulled the tag later run another image."""
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
    """The hash of the pods of the workload's current template, or None if it is not known."""
    kind, status = workload.get("kind"), workload.get("status") or {}
    if kind == "StatefulSet":
        update: str | None = status.get("updateRevision")
        return update
    if not needs_revisions(workload, pods):
        return _hash(pods[0]) if pods else None
    uid = workload["metadata"].get("uid")
    controlled = [revision for revision in revisions if _controlling_owner(revision).get("uid") == uid]
    if kind == "DaemonSet":
        latest = max(controlled, key=lambda revision: revision.get("revision") or 0, default=None)
        return _hash(latest) if latest is not None else None
    number = (workload["metadata"].get("annotations") or {}).get(_REVISION)
    for revision in controlled:
        if number is not None and (revision["metadata"].get("annotations") or {}).get(_REVISION) == number:
            return _hash(revision)
    return None


def _hash_label(body: JsonObject) -> str:
    labels = body["metadata"].get("labels") or {}
    return "pod-template-hash" if "pod-template-hash" in labels else "controller-revision-hash"


def _hash(body: JsonObject) -> str | None:
    value: str | None = (body["metadata"].get("labels") or {}).get(_hash_label(body))
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


def _controlling_owner(body: JsonObject) -> Mapping[str, Any]:
    owners = body["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), {})
