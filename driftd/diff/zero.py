"""Which zero values the API server keeps. OpenAPI does not tell: it is a matter of the Go structs behind it."""

from __future__ import annotations

from driftd.diff.go_fields import KEPT

_NONE: frozenset[str] = frozenset()


def kept_when_zero(go_type: str | None, field: str) -> bool:
    """Whether `false`, `0` or `""` in that field of that Go type (by its OpenAPI name) is stored.

    Types that Kubernetes itself does not have are read as most of Kubernetes' own fields: zero is dropped.
    """
    return go_type is not None and field in KEPT.get(go_type, _NONE)
