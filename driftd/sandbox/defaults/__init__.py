"""Defaults that a real API server sets beyond those in its OpenAPI documents.

`fill(obj)` corresponds to `SetDefaults_*` in Kubernetes' sources, which run on every write.
"""

from __future__ import annotations

from typing import Any

from driftd.sandbox.defaults.cluster import CLUSTER
from driftd.sandbox.defaults.network import NETWORK
from driftd.sandbox.defaults.workloads import WORKLOADS

_BY_KIND = {**WORKLOADS, **NETWORK, **CLUSTER}


def fill(group: str, obj: dict[str, Any]) -> None:
    """Sets the defaults of a decoded object, in place."""
    filler = _BY_KIND.get((group, obj["kind"]))
    if filler is not None:
        filler(obj)
