"""Which zero values the API server keeps. OpenAPI does not tell: it is a matter of the Go structs behind it."""

from __future__ import annotations

_KEPT: frozenset[tuple[str, str]] = frozenset({
    ("io.k8s.api.core.v1.PodSpec", "automountServiceAccountToken"),
    ("io.k8s.api.core.v1.ServiceAccount", "automountServiceAccountToken"),
})  # fmt: skip


def kept_when_zero(go_type: str | None, field: str) -> bool:
    """Whether `false`, `0`, `""` or `[]` in that field of that Go type (by its OpenAPI name) is stored."""
    return (go_type, field) in _KEPT
