"""Reading the live side from the cache that the watches keep."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

from driftd.kube.cache import LiveCache
from driftd.kube.discovery import ApiResource, Scope
from driftd.kube.resource_version import resource_version_number
from driftd.live.api_reader import Pods, ReadResult, ReadResults, Workloads
from driftd.live.mapping import MappedManifest
from driftd.live.pod_index import PodIndex
from driftd.model.errors import DriftdError, KubeError
from driftd.model.resource import JsonObject, ResourceRef

_VERSION_OF_ABSENT = ""
"""The stamp of an object that is not there."""

_CHANGED_WHILE_READ = "it changed while it was being read: the next pass looks again"


class CacheReader:
    """Looks into the live cache, and knows what this process has written since: the cache may be a moment behind."""

    def __init__(self, cache: LiveCache, pods: PodIndex) -> None:
        self._cache = cache
        self._pods = pods
        self._written: dict[ResourceRef, JsonObject] = {}

    def record_write(self, ref: ResourceRef, body: JsonObject) -> None:
        """Remembers an object as the API server answered our write."""
        self._written[ref] = body

    async def stream(self, items: Sequence[MappedManifest]) -> AsyncGenerator[ReadResults]:
        yield await self.read(items)

    async def read(self, items: Sequence[MappedManifest]) -> ReadResults:
        served = [(one.resource, one.manifest.ref) for one in items if one.resource is not None]
        outlines: dict[Scope, list[str]] = defaultdict(list)
        for resource, ref in served:
            if self._is_outline(resource, ref):
                outlines[resource, ref.namespace].append(ref.name)
        troubles = dict(zip(outlines, await asyncio.gather(*map(self._complete, outlines.items())), strict=True))
        return {ref: self._read(resource, ref, troubles.get((resource, ref.namespace))) for resource, ref in served}

    def version_of(self, item: MappedManifest) -> str | None:
        if item.resource is None:
            return None
        ref = item.manifest.ref
        try:
            written = self._write_ahead_of_cache(item.resource, ref)
            cached = self._cache.get(item.resource, ref.namespace, ref.name)
        except DriftdError:
            return None
        if written is not None:
            return _version(written)
        return cached.resource_version if cached is not None else _VERSION_OF_ABSENT

    async def pods_of(self, resource: ApiResource, workloads: Workloads) -> Mapping[str | None, Pods]:
        answers = await asyncio.gather(*(self._pods_of(resource, *one) for one in workloads.items()))
        return dict(zip(workloads, answers, strict=True))

    async def _pods_of(self, resource: ApiResource, namespace: str | None, workloads: Collection[ResourceRef]) -> Pods:
        try:
            return await self._cached_pods(resource, namespace, workloads)
        except DriftdError as error:
            return error

    async def _cached_pods(
        self, resource: ApiResource, namespace: str | None, workloads: Collection[ResourceRef]
    ) -> Sequence[JsonObject]:
        names = list(self._pods.names((resource, namespace), self._cache, workloads))
        found = [pod for name in names if (pod := self._cache.get(resource, namespace, name)) is not None]
        outlines = [pod.ref.name for pod in found if pod.metadata_only]
        if outlines:
            await self._cache.fetch_content(resource, namespace, outlines)
            found = [pod for name in names if (pod := self._cache.get(resource, namespace, name)) is not None]
            if any(pod.metadata_only for pod in found):
                raise KubeError(f"{resource} in {namespace}: {_CHANGED_WHILE_READ}")
        return [pod.object for pod in found]

    def _is_outline(self, resource: ApiResource, ref: ResourceRef) -> bool:
        try:
            cached = self._cache.get(resource, ref.namespace, ref.name)
        except DriftdError:
            return False  # `_read` says so
        return cached is not None and cached.metadata_only

    async def _complete(self, some: tuple[Scope, Sequence[str]]) -> str | None:
        """Has objects of one scope read that were held in outline only; what went wrong, if something did."""
        (resource, namespace), names = some
        try:
            await self._cache.fetch_content(resource, namespace, names)
        except DriftdError as error:
            return str(error)
        return None

    def _read(self, resource: ApiResource, ref: ResourceRef, trouble: str | None) -> ReadResult:
        try:
            written = self._write_ahead_of_cache(resource, ref)
            cached = self._cache.get(resource, ref.namespace, ref.name)
        except DriftdError as error:
            return ReadResult(None, str(error))
        if written is not None:
            return ReadResult(written)
        if cached is not None and cached.metadata_only:
            return ReadResult(None, trouble or f"{ref}: {_CHANGED_WHILE_READ}")
        return ReadResult(cached.object if cached is not None else None)

    def _write_ahead_of_cache(self, resource: ApiResource, ref: ResourceRef) -> JsonObject | None:
        """What was written, until the cache knows of it. Raises: DriftdError: the cache cannot be trusted."""
        written = self._written.get(ref)
        if written is not None and _version_number(self._cache.version(resource, ref.namespace)) >= _version_number(
            _version(written)
        ):
            del self._written[ref]
            return None
        return written


def _version(body: JsonObject) -> str:
    return str(body["metadata"].get("resourceVersion"))


def _version_number(version: str | None) -> int:
    return resource_version_number(version) or 0
