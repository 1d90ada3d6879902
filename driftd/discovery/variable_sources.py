"""The ConfigMaps and Secrets of a cluster that deployers take values from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from time import monotonic
from typing import Any

from driftd.discovery.deployed import section
from driftd.discovery.login import secret_data
from driftd.live.cluster import ClusterView
from driftd.model.errors import KubeError, NotFound
from driftd.model.resource import ResourceRef


class VariableSources:
    """The data of ConfigMaps and Secrets, each cached for `max_age` seconds."""

    def __init__(self, view: ClusterView, max_age: float = 0.0) -> None:
        self._view = view
        self._max_age = max_age
        self._read: dict[ResourceRef, tuple[float, Mapping[str, str]]] = {}

    async def read(self, refs: Collection[ResourceRef]) -> Mapping[ResourceRef, Mapping[str, str]]:
        """Their data; what is not there, or cannot be read, is left out."""
        for ref in refs:
            known = self._read.get(ref)
            if known is None or monotonic() - known[0] >= self._max_age:
                self._read.pop(ref, None)
                if (data := await self._data_of(ref)) is not None:
                    self._read[ref] = (monotonic(), data)
        return {ref: self._read[ref][1] for ref in refs if ref in self._read}

    async def _data_of(self, ref: ResourceRef) -> Mapping[str, str] | None:
        try:
            resource = (await self._view.discovery()).find_kind(ref.group, ref.kind)
            body = await self._view.cluster.request("GET", resource.path(ref.namespace, ref.name))
        except (NotFound, KubeError):
            return None
        return _data(body, is_secret=ref.kind == "Secret")


def _data(body: Any, *, is_secret: bool) -> Mapping[str, str]:
    return secret_data(body) if is_secret else {key: str(value) for key, value in section(body, "data").items()}
