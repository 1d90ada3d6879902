"""Validation errors (422) with the text of a real API server: names, labels, required and immutable fields.

A subset of the real rules: those that manifests violate in practice.
"""

from __future__ import annotations

from typing import Any

from driftd.sandbox.status import Cause
from driftd.sandbox.validation.cluster import CLUSTER
from driftd.sandbox.validation.metadata import metadata_mistakes
from driftd.sandbox.validation.workloads import WORKLOADS

_BY_KIND = {**WORKLOADS, **CLUSTER}


def mistakes(group: str, obj: dict[str, Any], old: dict[str, Any] | None, *, namespaced: bool) -> list[Cause]:
    """All validation errors of a new object (`old` is None) or of an update of `old`."""
    causes = list(metadata_mistakes(group, obj, old, namespaced=namespaced))
    check = _BY_KIND.get((group, obj["kind"]))
    if check is not None:
        causes.extend(check(obj, old))
    return causes
