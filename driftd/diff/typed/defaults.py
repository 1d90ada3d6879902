"""Defaults of the API server that its OpenAPI documents do not contain.

Most are constants (`go_fields.py`, probed on a real server). This module has those that depend on other fields of the
object, and those that an object gets and a template of it does not. Source: pkg/apis/*/v1/defaults.go of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from driftd.diff.typed.go_fields import DEFAULTS
from driftd.diff.typed.schema import Schema
from driftd.model.resource import Json

_NONE: Mapping[str, tuple[Any, ...]] = {}

Siblings = Mapping[str, Any]
"""The live values of the other fields of the same parent."""


def is_default(value: Json, schema: Schema | None, parent: Schema | None, key: str, siblings: Siblings) -> bool:
    """Whether the API server sets that value where none is given.

    `schema` is the value's type, `parent` the type of the struct whose field `key` it is.
    """
    member = parent is not None and (parent.is_map or parent.type == "array")  # the server adds no members by default
    if (
        schema is not None
        and schema.default is not None
        and not member
        and _is_default_with_members(schema.default, value, schema)
    ):
        return True
    go_type = parent.go_type if parent is not None else None
    if parent is None or go_type is None or _is_excluded(parent, go_type, key):
        return False
    if any(_same(default, value) for default in DEFAULTS.get(go_type, _NONE).get(key, ())):
        return True
    derived = _DERIVED.get((go_type, key))
    return derived is not None and derived(value, siblings)


def is_server_made(parent: Schema | None, key: str) -> bool:
    """Whether the API server or its controllers always fill in that field: it tells nothing of anybody's hand."""
    if key in _COUNTERS:
        return True
    return parent is not None and parent.go_type is not None and key in _ALLOCATED.get(parent.go_type, ())


def replaces_zero_value(declared: Json, live: Json, parent: Schema | None, key: str, siblings: Siblings) -> bool:
    """Whether `live` is the default by which the API server replaces a declared zero value or empty list."""
    if parent is None or parent.go_type is None or declared not in ("", 0, []) or isinstance(declared, bool):
        return False
    return is_default(live, None, parent, key, siblings)


def _is_default_with_members(default: Json, value: Json, schema: Schema) -> bool:
    """Whether a value is a schema's default, filled with the defaults of its members."""
    if not isinstance(default, dict) or not isinstance(value, dict):
        return _same(default, value)
    return all(key in value for key in default) and all(
        _same(default[key], item) if key in default else is_default(item, schema.child(key), schema, key, value)
        for key, item in value.items()
    )


def _is_excluded(parent: Schema, go_type: str, key: str) -> bool:
    """Whether a field gets no default in this object: a template is not a Pod or a Job."""
    kind, fields = _NOT_IN_TEMPLATES.get(go_type, (None, None))
    return kind is not None and parent.within != kind and (fields is None or key in fields)


def _same(left: Json, right: Json) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _pull_policy(value: Json, siblings: Siblings) -> bool:
    image = str(siblings.get("image", ""))
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return bool(value == ("Always" if tag in ("", "latest") and not digest else "IfNotPresent"))


def _target_port(value: Json, siblings: Siblings) -> bool:
    return bool(value == siblings.get("port"))


def _policy_types(value: Json, siblings: Siblings) -> bool:
    return bool(value == (["Ingress", "Egress"] if siblings.get("egress") else ["Ingress"]))


def _limits(value: Json, siblings: Siblings) -> bool:
    limits = siblings.get("limits")
    return isinstance(limits, Mapping) and isinstance(value, Mapping) and value.items() <= limits.items()


def _range_default(value: Json, siblings: Siblings) -> bool:
    """A LimitRange's limits default to its maximum, then its minimum; its requests to the default limits first."""
    return isinstance(value, Mapping) and all(
        any(amount == (siblings.get(source) or {}).get(name) for source in ("default", "max", "min"))
        for name, amount in value.items()
    )


def _account(value: Json, siblings: Siblings) -> bool:
    return value is not None and value in (siblings.get("serviceAccountName"), siblings.get("serviceAccount"))


def _list_kind(value: Json, siblings: Siblings) -> bool:
    return bool(value == f"{siblings.get('kind')}List")


def _singular(value: Json, siblings: Siblings) -> bool:
    return bool(value == str(siblings.get("kind", "")).lower())


def _is_true(value: Json, _beside: Siblings) -> bool:
    return bool(value == "True")


def _labels_of_template(value: Json, siblings: Siblings) -> bool:
    template = siblings.get("template") or {}
    return bool(value == (template.get("metadata") or {}).get("labels"))


def _always(_value: Json, _beside: Siblings) -> bool:
    return True


_CORE = "io.k8s.api.core.v1."
_BATCH = "io.k8s.api.batch.v1."
_CLAIM = f"{_CORE}PersistentVolumeClaim"
_NAMES = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames"
_DERIVED: Mapping[tuple[str, str], Callable[[Json, Siblings], bool]] = {
    (f"{_CORE}Container", "imagePullPolicy"): _pull_policy,
    (f"{_CORE}EphemeralContainer", "imagePullPolicy"): _pull_policy,
    (f"{_CORE}ServicePort", "targetPort"): _target_port,
    (f"{_CORE}ResourceRequirements", "requests"): _limits,
    (f"{_CORE}LimitRangeItem", "default"): _range_default,
    (f"{_CORE}LimitRangeItem", "defaultRequest"): _range_default,
    (f"{_CORE}PodSpec", "serviceAccount"): _account,
    (f"{_CORE}ReplicationControllerSpec", "selector"): _labels_of_template,
    (f"{_BATCH}PodFailurePolicyOnPodConditionsPattern", "status"): _is_true,
    ("io.k8s.api.resource.v1.DeviceTaint", "timeAdded"): _always,
    ("io.k8s.api.networking.v1.NetworkPolicySpec", "policyTypes"): _policy_types,
    # A StatefulSet's claim templates are whole objects: the server sets their type and a status.
    (_CLAIM, "apiVersion"): _always,
    (_CLAIM, "kind"): _always,
    (_CLAIM, "status"): _always,
    (_NAMES, "listKind"): _list_kind,
    (_NAMES, "singular"): _singular,
}

_COUNTERS = frozenset({"deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"})
_ALLOCATED: Mapping[str, frozenset[str]] = {f"{_CORE}ServiceSpec": frozenset({"clusterIP", "clusterIPs"})}
_NOT_IN_TEMPLATES: Mapping[str, tuple[str, frozenset[str] | None]] = {
    f"{_CORE}PodSpec": (
        f"{_CORE}Pod",
        frozenset({"enableServiceLinks", "preemptionPolicy", "priority", "serviceAccountName"}),
    ),
    f"{_CORE}ResourceRequirements": (f"{_CORE}Pod", frozenset({"requests"})),
    f"{_BATCH}JobSpec": (f"{_BATCH}Job", None),
}
"""By Go type, the kind of object in which these fields (None: all of them) have a default; its template has none."""
