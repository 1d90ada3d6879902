"""Unions: structs of which only one member may be there, so that one displaces another.

What Git leaves out of an object stays as it is, but not what excludes what Git declares: the API server refuses the one
beside the other. Nor need it be a difference of its own: `emptyDir: {}` says nothing that its absence does not say.
"""

from __future__ import annotations

from collections.abc import Mapping

from driftd.diff.typed.schema import Schema
from driftd.model.drift import Change, FieldDrift
from driftd.model.path import FieldPath
from driftd.model.resource import JsonObject

_CORE = "io.k8s.api.core.v1."
_UNIONS: Mapping[str, frozenset[str]] = {
    f"{_CORE}EnvVar": frozenset({"value", "valueFrom"}),
    f"{_CORE}EnvFromSource": frozenset({"configMapRef", "secretRef"}),
    f"{_CORE}EnvVarSource": frozenset({
        "configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef",
    }),
    f"{_CORE}LifecycleHandler": frozenset({"exec", "httpGet", "sleep", "tcpSocket"}),
    f"{_CORE}VolumeProjection": frozenset({
        "clusterTrustBundle", "configMap", "downwardAPI", "podCertificate", "secret", "serviceAccountToken",
    }),
    f"{_CORE}Probe": frozenset({"exec", "grpc", "httpGet", "tcpSocket"}),
    "io.k8s.api.networking.v1.IngressBackend": frozenset({"resource", "service"}),
}  # fmt: skip
_VOLUME = f"{_CORE}Volume"
_NO_SOURCE = "name"
"""The one field of a volume that is none of its sources."""

_STRATEGIES: frozenset[FieldPath] = frozenset({("spec", "strategy", "type"), ("spec", "updateStrategy", "type")})


def displaced(field: FieldDrift, parent: JsonObject, schema: Schema | None) -> frozenset[str]:
    """The members of a live struct that cannot stay where a field of it is put back; `schema` is the struct's type."""
    if field.change is Change.CHANGED and field.path in _STRATEGIES:
        return frozenset({"rollingUpdate"} & parent.keys() if field.desired != "RollingUpdate" else ())
    if field.change is not Change.REMOVED or schema is None or schema.go_type is None:
        return frozenset()
    key, there = field.path[-1], frozenset(parent)
    if schema.go_type == _VOLUME:
        return there - {_NO_SOURCE, key}
    members = _UNIONS.get(schema.go_type, frozenset())
    return there & members - {key} if key in members else frozenset()
