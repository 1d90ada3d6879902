"""Defaults of the API server that its OpenAPI documents do not tell, as far as values with one owner hold them.

Elsewhere a default needs no table: managedFields says that nobody but the deployer's request brought it.
Source: pkg/apis/*/v1/defaults.go of Kubernetes 1.37.
"""

from __future__ import annotations

from driftd.diff.schema import Schema
from driftd.model.resource import Json

_DEFAULTS: dict[tuple[str, str], tuple[Json, ...]] = {
    ("io.k8s.api.core.v1.ObjectFieldSelector", "apiVersion"): ("v1",),
    ("io.k8s.api.networking.v1.NetworkPolicyPort", "protocol"): ("TCP",),
    ("io.k8s.api.rbac.v1.RoleRef", "apiGroup"): ("rbac.authorization.k8s.io",),
    ("io.k8s.api.rbac.v1.Subject", "apiGroup"): ("rbac.authorization.k8s.io", ""),
    ("io.k8s.api.admissionregistration.v1.RuleWithOperations", "scope"): ("*",),
}


def is_default(value: Json, schema: Schema | None, parent: Schema | None, key: str) -> bool:
    """Whether the API server puts that value in by itself where none is given."""
    if schema is not None and schema.default is not None and schema.default == value:
        return True
    go_type = parent.go_type if parent is not None else None
    return go_type is not None and value in _DEFAULTS.get((go_type, key), ())
