"""Defaults of the API server that its OpenAPI documents do not tell.

Most are constants (`go_fields.py`, asked of a real server). Those that are made of the object's other fields are
here. Source: pkg/apis/*/v1/defaults.go of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from driftd.diff.go_fields import DEFAULTS
from driftd.diff.schema import Schema
from driftd.model.resource import Json

_NONE: Mapping[str, tuple[Any, ...]] = {}

Neighbours = Mapping[str, Any]
"""The fields beside the one that is asked for, as they are live."""


def is_default(value: Json, schema: Schema | None, parent: Schema | None, key: str, beside: Neighbours) -> bool:
    """Whether the API server puts that value in by itself where none is given.

    `schema` is the value's type, `parent` the type of the struct that holds it under `key`.
    """
    if schema is not None and schema.default is not None and _same(schema.default, value):
        return True
    go_type = parent.go_type if parent is not None else None
    if go_type is None:
        return False
    if any(_same(default, value) for default in DEFAULTS.get(go_type, _NONE).get(key, ())):
        return True
    derived = _DERIVED.get((go_type, key))
    return derived is not None and derived(value, beside)


def stands_for_zero(declared: Json, live: Json, parent: Schema | None, key: str, beside: Neighbours) -> bool:
    """Whether `live` is the default that the API server puts in the place of a declared zero value."""
    if parent is None or parent.go_type is None or declared not in ("", 0) or isinstance(declared, bool):
        return False
    return is_default(live, None, parent, key, beside)


def _same(left: Json, right: Json) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _pull_policy(value: Json, beside: Neighbours) -> bool:
    image = str(beside.get("image", ""))
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return bool(value == ("Always" if tag in ("", "latest") and not digest else "IfNotPresent"))


def _target_port(value: Json, beside: Neighbours) -> bool:
    return bool(value == beside.get("port"))


def _policy_types(value: Json, beside: Neighbours) -> bool:
    return bool(value == (["Ingress", "Egress"] if beside.get("egress") else ["Ingress"]))


def _limits(value: Json, beside: Neighbours) -> bool:
    limits = beside.get("limits")
    return isinstance(limits, Mapping) and isinstance(value, Mapping) and value.items() <= limits.items()


def _range_default(value: Json, beside: Neighbours) -> bool:
    """A LimitRange's defaults are its maximum, then its minimum; its default requests, its defaults before that."""
    return isinstance(value, Mapping) and all(
        any(amount == (beside.get(source) or {}).get(name) for source in ("default", "max", "min"))
        for name, amount in value.items()
    )


def _account(value: Json, beside: Neighbours) -> bool:
    return value is not None and value in (beside.get("serviceAccountName"), beside.get("serviceAccount"))


def _list_kind(value: Json, beside: Neighbours) -> bool:
    return bool(value == f"{beside.get('kind')}List")


def _singular(value: Json, beside: Neighbours) -> bool:
    return bool(value == str(beside.get("kind", "")).lower())


def _zero(value: Json, _beside: Neighbours) -> bool:
    return value in ("0", 0) and not isinstance(value, bool)


def _always(_value: Json, _beside: Neighbours) -> bool:
    return True


_CORE = "io.k8s.api.core.v1."
_CLAIM = f"{_CORE}PersistentVolumeClaim"
_NAMES = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames"
_DERIVED: Mapping[tuple[str, str], Callable[[Json, Neighbours], bool]] = {
    (f"{_CORE}Container", "imagePullPolicy"): _pull_policy,
    (f"{_CORE}EphemeralContainer", "imagePullPolicy"): _pull_policy,
    (f"{_CORE}ServicePort", "targetPort"): _target_port,
    (f"{_CORE}ResourceRequirements", "requests"): _limits,
    (f"{_CORE}LimitRangeItem", "default"): _range_default,
    (f"{_CORE}LimitRangeItem", "defaultRequest"): _range_default,
    (f"{_CORE}PodSpec", "serviceAccount"): _account,
    (f"{_CORE}ResourceFieldSelector", "divisor"): _zero,
    ("io.k8s.api.networking.v1.NetworkPolicySpec", "policyTypes"): _policy_types,
    # A StatefulSet's claim templates are whole objects: the server writes down what they are, and a status.
    (_CLAIM, "apiVersion"): _always,
    (_CLAIM, "kind"): _always,
    (_CLAIM, "status"): _always,
    (_NAMES, "listKind"): _list_kind,
    (_NAMES, "singular"): _singular,
}
