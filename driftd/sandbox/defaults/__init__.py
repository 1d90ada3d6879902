"""The values that a real API server fills in when an object leaves them out, beyond those its OpenAPI names.

`fill(obj)` is what decoding does (`SetDefaults_*` in Kubernetes' sources); it runs on every write.
"""

from __future__ import annotations

from typing import Any

from driftd.sandbox.defaults.cluster import CLUSTER
from driftd.sandbox.defaults.network import NETWORK
from driftd.sandbox.defaults.workloads import WORKLOADS

_BY_KIND = {**WORKLOADS, **NETWORK, **CLUSTER}


def fill(group: str, obj: dict[str, Any]) -> None:
    """Fills the defaults into a decoded object, in place."""
    filler = _BY_KIND.get((group, obj["kind"]))
    if filler is not None:
        filler(obj)
