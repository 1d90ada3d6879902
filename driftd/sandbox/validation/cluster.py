"""Services, configuration, access and extensions. Source: pkg/apis/{core,rbac}/validation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from driftd.sandbox.document import Object
from driftd.sandbox.fields.comparing import same
from driftd.sandbox.status import Cause

_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_HELP = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_SERVICE_TYPES = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]


def service(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    if spec["type"] not in _SERVICE_TYPES:
        yield Cause.unsupported("spec.type", spec["type"], _SERVICE_TYPES)
    if not spec.get("ports") and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        yield Cause.required("spec.ports")
    several = len(spec.get("ports") or ()) > 1
    for index, port in enumerate(spec.get("ports") or ()):
        field = f"spec.ports[{index}]"
        if several and not port.get("name"):
            yield Cause.required(f"{field}.name")
        if not 0 < (port.get("port") or 0) < 65536:
            yield Cause.invalid(f"{field}.port", port.get("port"), "must be between 1 and 65535, inclusive")
    if old is not None and spec["type"] != "ExternalName" and old["spec"]["type"] != "ExternalName":
        before = old["spec"].get("clusterIP")
        if before and spec.get("clusterIP") != before:
            yield Cause.invalid("spec.clusterIPs[0]", [spec.get("clusterIP") or ""], "may not change once set")


def config_map(obj: Object, old: Object | None) -> Iterator[Cause]:
    yield from _keys(obj.get("data"), "data")
    yield from _keys(obj.get("binaryData"), "binaryData")
    yield from _frozen(obj, old, ("data", "binaryData"))


def secret(obj: Object, old: Object | None) -> Iterator[Cause]:
    yield from _keys(obj.get("data"), "data")
    yield from _frozen(obj, old, ("data",))
    if old is not None and obj.get("type") != old.get("type"):
        yield Cause.invalid("type", obj.get("type"), "field is immutable")


def _keys(data: Object | None, field: str) -> Iterator[Cause]:
    for key in sorted(data or {}):
        if not _KEY.fullmatch(key) or key in (".", ".."):
            yield Cause.invalid(f"{field}[{key}]", key, _KEY_HELP)


def _frozen(obj: Object, old: Object | None, fields: tuple[str, ...]) -> Iterator[Cause]:
    if old is None or not old.get("immutable"):
        return
    if not obj.get("immutable"):
        yield Cause.forbidden("immutable", "field is immutable when `immutable` is set")
    for field in fields:
        if not same(obj.get(field), old.get(field)):
            yield Cause.forbidden(field, "field is immutable when `immutable` is set")


def binding(obj: Object, old: Object | None) -> Iterator[Cause]:
    reference = obj["roleRef"]
    kinds = ["Role", "ClusterRole"] if obj["kind"] == "RoleBinding" else ["ClusterRole"]
    if reference.get("kind") not in kinds:
        yield Cause.unsupported("roleRef.kind", reference.get("kind"), kinds)
    if not reference.get("name"):
        yield Cause.required("roleRef.name")
    for index, subject in enumerate(obj.get("subjects") or ()):
        if not subject.get("name"):
            yield Cause.required(f"subjects[{index}].name")
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace") and obj["kind"] != "RoleBinding":
            yield Cause.required(f"subjects[{index}].namespace")
        if subject.get("kind") not in ("ServiceAccount", "User", "Group"):
            yield Cause.unsupported(f"subjects[{index}].kind", subject.get("kind"), ["ServiceAccount", "User", "Group"])
    if old is not None and not same(reference, old["roleRef"]):
        shown = {"APIGroup": reference.get("apiGroup"), "Kind": reference.get("kind"), "Name": reference.get("name")}
        yield Cause.invalid("roleRef", shown, "field is immutable")


def role(obj: Object, _old: Object | None) -> Iterator[Cause]:
    for index, rule in enumerate(obj.get("rules") or ()):
        if not rule.get("verbs"):
            yield Cause.required(f"rules[{index}].verbs", "verbs must contain at least one value")


def claim(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    if not spec.get("accessModes"):
        yield Cause.required("spec.accessModes", "at least 1 access mode is required")
    if not ((spec.get("resources") or {}).get("requests") or {}).get("storage"):
        yield Cause.required("spec.resources[storage]")
    if old is not None and not same({**spec, "resources": None}, {**old["spec"], "resources": None}):
        yield Cause.forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        )


def definition(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec, names = obj["spec"], obj["spec"]["names"]
    if obj["metadata"].get("name") != f"{names.get('plural', '')}.{spec.get('group', '')}":
        yield Cause.invalid("metadata.name", obj["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
    if not spec.get("group"):
        yield Cause.required("spec.group")
    if not spec.get("scope"):
        yield Cause.required("spec.scope")
    elif spec["scope"] not in ("Cluster", "Namespaced"):
        yield Cause.unsupported("spec.scope", spec.get("scope"), ["Cluster", "Namespaced"])
    yield from _versions(spec.get("versions") or ())
    for key in ("plural", "kind"):
        if not names.get(key):
            yield Cause.required(f"spec.names.{key}")
    for key in ("group", "scope"):
        if old is not None and spec.get(key) != old["spec"].get(key):
            yield Cause.invalid(f"spec.{key}", spec.get(key), "field is immutable")


def _versions(versions: Any) -> Iterator[Cause]:
    for index, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield Cause.required(f"spec.versions[{index}].schema.openAPIV3Schema")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield Cause.invalid("spec.versions", versions, "must have exactly one version marked as storage version")


_RBAC = "rbac.authorization.k8s.io"

CLUSTER = {
    ("", "Service"): service,
    ("", "ConfigMap"): config_map,
    ("", "Secret"): secret,
    ("", "PersistentVolumeClaim"): claim,
    (_RBAC, "RoleBinding"): binding,
    (_RBAC, "ClusterRoleBinding"): binding,
    (_RBAC, "Role"): role,
    (_RBAC, "ClusterRole"): role,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): definition,
}
