"""What an API server refuses with 422, worded as it words it: names, labels, required and immutable fields.

It is a part of the real rules: those that manifests break in practice. What is checked is checked as there.
"""

from __future__ import annotations

from typing import Any

from driftd.sandbox.status import Cause
from driftd.sandbox.validation.cluster import CLUSTER
from driftd.sandbox.validation.metadata import metadata_mistakes
from driftd.sandbox.validation.workloads import WORKLOADS

_BY_KIND = {**WORKLOADS, **CLUSTER}


def mistakes(group: str, obj: dict[str, Any], old: dict[str, Any] | None, *, namespaced: bool) -> list[Cause]:
    """Everything that is wrong with an object that is to be created (`old` is None) or to replace `old`."""
    causes = list(metadata_mistakes(group, obj, old, namespaced=namespaced))
    check = _BY_KIND.get((group, obj["kind"]))
    if check is not None:
        causes.extend(check(obj, old))
    return causes
