"""Defaults of namespaces, storage, RBAC, admission and extensions."""

from __future__ import annotations

import base64

from driftd.sandbox.defaults.pods import set_default
from driftd.sandbox.defaults.workloads import fill_claim
from driftd.sandbox.document import Object

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"


def _namespace(obj: Object) -> None:
    name = obj["metadata"].get("name")
    if name:
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
    set_default(obj["status"], "phase", "Active")


def _secret(obj: Object) -> None:
    plain = obj.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}
    set_default(obj, "type", "Opaque")


def _node(obj: Object) -> None:
    if obj["status"].get("capacity") and not obj["status"].get("allocatable"):
        obj["status"]["allocatable"] = dict(obj["status"]["capacity"])


def _limit_range(obj: Object) -> None:
    for item in obj["spec"].get("limits") or ():
        if item.get("type") != "Container":
            continue
        default = {**(item.get("max") or {}), **(item.get("default") or {})}
        request = {**(item.get("min") or {}), **default, **(item.get("defaultRequest") or {})}
        for key, value in (("default", default), ("defaultRequest", request)):
            if value:
                item[key] = value


def _persistent_volume(obj: Object) -> None:
    set_default(obj["status"], "phase", "Pending")
    set_default(obj["spec"], "persistentVolumeReclaimPolicy", "Retain")
    set_default(obj["spec"], "volumeMode", "Filesystem")
    if "hostPath" in obj["spec"]:
        set_default(obj["spec"]["hostPath"], "type", "")


def _storage_class(obj: Object) -> None:
    set_default(obj, "reclaimPolicy", "Delete")
    set_default(obj, "volumeBindingMode", "Immediate")


def _csi_driver(obj: Object) -> None:
    spec = obj["spec"]
    set_default(spec, "attachRequired", True)
    for key in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
        set_default(spec, key, False)
    set_default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType")
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def _binding(obj: Object) -> None:
    set_default(obj["roleRef"], "apiGroup", _RBAC)
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group"):
            set_default(subject, "apiGroup", _RBAC)


def _webhooks(obj: Object) -> None:
    for webhook in obj.get("webhooks") or ():
        set_default(webhook, "failurePolicy", "Fail")
        set_default(webhook, "matchPolicy", "Equivalent")
        set_default(webhook, "namespaceSelector", {})
        set_default(webhook, "objectSelector", {})
        set_default(webhook, "timeoutSeconds", 10)
        if obj["kind"] == "MutatingWebhookConfiguration":
            set_default(webhook, "reinvocationPolicy", "Never")
        for rule in webhook.get("rules") or ():
            set_default(rule, "scope", "*")
        service = (webhook.get("clientConfig") or {}).get("service")
        if service:
            set_default(service, "port", 443)


def _match_resources(match: Object) -> None:
    set_default(match, "matchPolicy", "Equivalent")
    set_default(match, "namespaceSelector", {})
    set_default(match, "objectSelector", {})
    for key in ("resourceRules", "excludeResourceRules"):
        for rule in match.get(key) or ():
            set_default(rule, "scope", "*")


def _admission_policy(obj: Object) -> None:
    set_default(obj["spec"], "failurePolicy", "Fail")
    if obj["spec"].get("matchConstraints"):
        _match_resources(obj["spec"]["matchConstraints"])


def _admission_binding(obj: Object) -> None:
    if obj["spec"].get("matchResources"):
        _match_resources(obj["spec"]["matchResources"])


def _api_service(obj: Object) -> None:
    if obj["spec"].get("service"):
        set_default(obj["spec"]["service"], "port", 443)


def _definition(obj: Object) -> None:
    spec = obj["spec"]
    set_default(spec["names"], "singular", spec["names"].get("kind", "").lower())
    set_default(spec["names"], "listKind", spec["names"].get("kind", "") + "List")
    set_default(spec, "conversion", {"strategy": "None"})
    if (service := ((spec["conversion"].get("webhook") or {}).get("clientConfig") or {}).get("service")) is not None:
        set_default(service, "port", 443)
    if not obj["status"].get("storedVersions"):
        obj["status"]["storedVersions"] = [v["name"] for v in spec.get("versions") or () if v.get("storage")]


def _priority_class(obj: Object) -> None:
    set_default(obj, "preemptionPolicy", "PreemptLowerPriority")


CLUSTER = {
    ("", "Namespace"): _namespace,
    ("", "Secret"): _secret,
    ("", "Node"): _node,
    ("", "LimitRange"): _limit_range,
    ("", "PersistentVolume"): _persistent_volume,
    ("", "PersistentVolumeClaim"): fill_claim,
    ("storage.k8s.io", "StorageClass"): _storage_class,
    ("storage.k8s.io", "CSIDriver"): _csi_driver,
    (_RBAC, "RoleBinding"): _binding,
    (_RBAC, "ClusterRoleBinding"): _binding,
    (_ADMISSION, "ValidatingWebhookConfiguration"): _webhooks,
    (_ADMISSION, "MutatingWebhookConfiguration"): _webhooks,
    (_ADMISSION, "ValidatingAdmissionPolicy"): _admission_policy,
    (_ADMISSION, "MutatingAdmissionPolicy"): _admission_policy,
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): _admission_binding,
    (_ADMISSION, "MutatingAdmissionPolicyBinding"): _admission_binding,
    ("apiregistration.k8s.io", "APIService"): _api_service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("scheduling.k8s.io", "PriorityClass"): _priority_class,
}
