"""Fields that the API server sets on creation and update, after defaulting.

Source: the strategies in k8s.io/kubernetes/pkg/registry, k8s.io/apiserver/pkg/registry/rest.
"""

from __future__ import annotations

import copy
import ipaddress
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from driftd.sandbox.defaults.pods import containers
from driftd.sandbox.document import Object
from driftd.sandbox.fields.comparing import same
from driftd.sandbox.resources.kinds import Kind

_SYSTEM_META = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_STATUS_ON_CREATE = {"Node", "CustomResourceDefinition"}
_STATUS_UPDATE_FIXES_METADATA = {"labels": {"Deployment"}}
_TOLERATIONS = [
    {"effect": "NoExecute", "key": f"node.kubernetes.io/{state}", "operator": "Exists", "tolerationSeconds": 300}
    for state in ("not-ready", "unreachable")
]
_EXTERNAL = ("NodePort", "LoadBalancer")
_TYPE_FIELDS = {
    "externalTrafficPolicy": _EXTERNAL,
    "allocateLoadBalancerNodePorts": ("LoadBalancer",),
    "loadBalancerClass": ("LoadBalancer",),
    "healthCheckNodePort": ("LoadBalancer",),
}
_PROTECTION = {
    "PersistentVolumeClaim": "kubernetes.io/pvc-protection",
    "PersistentVolume": "kubernetes.io/pv-protection",
}


class Addresses:
    """Allocates cluster IPs and node ports in sequence."""

    def __init__(self) -> None:
        self._ips = (str(ip) for ip in ipaddress.ip_network("10.96.0.0/16").hosts())
        self._ports = iter(range(30000, 32768))
        next(self._ips)

    def ip(self, used: set[str]) -> str:
        return next(ip for ip in self._ips if ip not in used)

    def port(self, used: set[int]) -> int:
        return next(port for port in self._ports if port not in used)


def prepare_create(kind: Kind, obj: Object, now: datetime, addresses: Addresses) -> Object:
    """The stored form of a new object."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in (*_SYSTEM_META, "resourceVersion")}
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = stamp(now)
    if kind.counts_generations:
        metadata["generation"] = 1
    result = {**obj, "metadata": metadata}
    resource = kind.resource
    if "status" in resource.subresources and resource.kind not in _STATUS_ON_CREATE:
        if resource.custom:
            result.pop("status", None)
        else:
            result["status"] = copy.deepcopy(kind.empty()["status"])
            result = kind.decode(result)[0]
    _complete(result, addresses)
    return result


def prepare_update(kind: Kind, new: Object, old: Object, subresource: str, addresses: Addresses) -> Object:
    """The stored form of an update of `old`: fields that the request may not change keep their values."""
    metadata = {**new["metadata"], "namespace": old["metadata"].get("namespace")}
    for key in _SYSTEM_META:
        metadata.pop(key, None)
        if key in old["metadata"]:
            metadata[key] = old["metadata"][key]
    if metadata["namespace"] is None:
        del metadata["namespace"]
    result = {**new, "metadata": metadata}
    if subresource == "status":
        result = _status_only(kind, result, old)
    elif "status" in kind.resource.subresources:
        result.pop("status", None)
        if "status" in old:
            result["status"] = old["status"]
    if kind.resource.kind == "Service" and not kind.resource.group and not subresource:
        result["spec"] = _service_spec(result["spec"], old["spec"], addresses)
    if kind.resource.kind == "DaemonSet" and not subresource:
        _count_template_changes(result, old)
    if kind.counts_generations and subresource != "status" and _content_changed(kind, result, old):
        metadata["generation"] = (old["metadata"].get("generation") or 0) + 1
    return result


def _count_template_changes(new: Object, old: Object) -> None:
    """Increments the annotation that counts changes of a DaemonSet's template, a field of an older API version."""
    before = int((old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "1"))
    changed = not same(new["spec"]["template"], old["spec"]["template"])
    annotations = new["metadata"].get("annotations") or {}
    new["metadata"]["annotations"] = {**annotations, _TEMPLATE_GENERATION: str(before + changed)}


def _status_only(kind: Kind, new: Object, old: Object) -> Object:
    metadata = new["metadata"]
    if kind.resource.custom:
        metadata = {**old["metadata"], "managedFields": metadata.get("managedFields", [])}
    elif kind.resource.kind in _STATUS_UPDATE_FIXES_METADATA["labels"]:
        metadata = {key: value for key, value in metadata.items() if key != "labels"}
        if "labels" in old["metadata"]:
            metadata["labels"] = old["metadata"]["labels"]
    result = {key: value for key, value in old.items() if key != "status"}
    result["metadata"] = metadata
    if "status" in new:
        result["status"] = new["status"]
    return result


def _content_changed(kind: Kind, new: Object, old: Object) -> bool:
    if kind.resource.kind == "Deployment" and not same(
        new["metadata"].get("annotations"), old["metadata"].get("annotations")
    ):
        return True
    ignored = {"metadata", "status"} if "status" in kind.resource.subresources else {"metadata"}
    return not same(
        {key: value for key, value in new.items() if key not in ignored},
        {key: value for key, value in old.items() if key not in ignored},
    )


def _complete(obj: Object, addresses: Addresses) -> None:
    kind, version = obj["kind"], obj["apiVersion"]
    if version == "v1" and kind == "Namespace":
        obj["spec"].setdefault("finalizers", ["kubernetes"])
    elif version == "v1" and kind == "Service":
        _allocate(obj["spec"], addresses)
    elif version == "v1" and kind == "Pod":
        _admit_pod(obj)
    elif version == "v1" and kind in _PROTECTION:
        finalizers = obj["metadata"].setdefault("finalizers", [])
        if _PROTECTION[kind] not in finalizers:
            finalizers.append(_PROTECTION[kind])
    elif version == "batch/v1" and kind == "Job":
        _label_job(obj)


def _allocate(spec: Object, addresses: Addresses) -> None:
    if spec["type"] == "ExternalName":
        return
    if not spec.get("clusterIP"):
        spec["clusterIP"] = addresses.ip(set())
    if not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    if spec["clusterIP"] != "None" or spec.get("selector"):
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    else:
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "RequireDualStack")
    if spec["type"] in _EXTERNAL and spec.get("allocateLoadBalancerNodePorts") is not False:
        for port in spec.get("ports") or ():
            if not port.get("nodePort"):
                port["nodePort"] = addresses.port(set())


def _service_spec(new: Object, old: Object, addresses: Addresses) -> Object:
    """A Service keeps its allocated addresses and ports while its type requires them."""
    spec = {**new, "ports": [dict(port) for port in new.get("ports") or ()]} if new.get("ports") else dict(new)
    if spec["type"] == "ExternalName":
        return spec
    for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if not spec.get(key) and old.get(key):
            spec[key] = old[key]
    before = {(port.get("protocol"), port["port"]): port.get("nodePort") for port in old.get("ports") or ()}
    external = spec["type"] in _EXTERNAL
    for port in spec.get("ports") or ():
        node_port = before.get((port.get("protocol"), port["port"]))
        if external and not port.get("nodePort") and node_port:
            port["nodePort"] = node_port
        elif not external and node_port and port.get("nodePort") == node_port:
            del port["nodePort"]
    for key, types in _TYPE_FIELDS.items():
        if spec["type"] not in types and key in spec and same(spec[key], old.get(key)):
            del spec[key]
    _allocate(spec, addresses)
    return spec


def _admit_pod(pod: Object) -> None:
    spec, status = pod["spec"], pod["status"]
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    keys = {toleration.get("key") for toleration in tolerations}
    tolerations.extend(dict(toleration) for toleration in _TOLERATIONS if toleration["key"] not in keys)
    status["phase"] = "Pending"
    status["qosClass"] = _quality(spec)


def _quality(spec: Object) -> str:
    resources = [container["resources"] for container in containers(spec, ephemeral=False)]
    if not any(r.get("limits") or r.get("requests") for r in resources):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= (r.get("limits") or {}).keys() and r.get("requests") == r["limits"] for r in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _label_job(job: Object) -> None:
    spec = job["spec"]
    if spec.get("manualSelector"):
        return
    uid, name = job["metadata"]["uid"], job["metadata"]["name"]
    labels = dict(spec["template"]["metadata"].get("labels") or {})
    for prefix in ("batch.kubernetes.io/", ""):
        labels[f"{prefix}controller-uid"] = uid
        labels[f"{prefix}job-name"] = name
    spec["template"]["metadata"]["labels"] = labels
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def controller_of(obj: Object) -> Object | None:
    """The owner reference of the controller of an object."""
    return next((r for r in obj["metadata"].get("ownerReferences") or () if r.get("controller")), None)


def random_suffixes() -> Iterator[str]:
    """Five letters and digits without vowels, as appended by generateName."""
    letters = "bcdfghjklmnpqrstvwxz2456789"
    generator = random.Random()  # noqa: S311 - a name, not a secret
    while True:
        yield "".join(generator.choice(letters) for _ in range(5))


def stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
