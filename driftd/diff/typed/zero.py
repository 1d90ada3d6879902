"""Which zero values the API server stores. That depends on its Go structs; OpenAPI does not say it."""

from __future__ import annotations

from driftd.diff.typed.go_fields import KEPT

_NONE: frozenset[str] = frozenset()


def kept_when_zero(go_type: str | None, field: str) -> bool:
    """Whether `false`, `0` or `""` in that field of that Go type (by its OpenAPI name) is stored.

    For types that are not Kubernetes' own the answer is that of most of its fields: zero is dropped.
    """
    return go_type is not None and field in KEPT.get(go_type, _NONE)
