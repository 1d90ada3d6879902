"""Reading live objects from the watch cache."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence

from driftd.kube.cache import LiveCache
from driftd.kube.discovery import ApiResource, Scope
from driftd.kube.resource_version import resource_version_number
from driftd.live.api_reader import Pods, ReadResult, ReadResults, Workloads
from driftd.live.mapping import MappedManifest
from driftd.live.pod_index import PodIndex
from driftd.model.errors import DriftdError, KubeError
from driftd.model.resource import JsonObject, ResourceRef

_VERSION_OF_ABSENT = ""
"""The version token of an object that does not exist."""

_CHANGED_WHILE_READ = "it changed while it was being read: the next pass looks again"


class CacheReader:
    """Reads from the live cache, and the last write of this process while the cache is behind it."""

    def __init__(self, cache: LiveCache, pods: PodIndex) -> None:
        self._cache = cache
        self._pods = pods
        self._written: dict[ResourceRef, JsonObject] = {}

    def works(self, scopes: Iterable[Scope]) -> bool:
        """Whether the watches of these scopes work now. A broken one may still count as fresh for a while."""
        states = [self._cache.freshness(scope) for scope in scopes]
        return all(state.synced and state.error is None for state in states)

    def record_write(self, ref: ResourceRef, body: JsonObject) -> None:
        """Records an object as the API server returned it for our write."""
        self._written[ref] = body

    async def stream(self, items: Sequence[MappedManifest]) -> AsyncGenerator[ReadResults]:
        yield await self.read(items)

    async def read(self, items: Sequence[MappedManifest]) -> ReadResults:
        served = [(item.resource, item.manifest.ref) for item in items if item.resource is not None]
        metadata_only: dict[Scope, list[str]] = defaultdict(list)
        for resource, ref in served:
            if self._is_metadata_only(resource, ref):
                metadata_only[resource, ref.namespace].append(ref.name)
        fetches = await asyncio.gather(*(self._fetch_content(*in_scope) for in_scope in metadata_only.items()))
        errors = dict(zip(metadata_only, fetches, strict=True))
        return {ref: self._read(resource, ref, errors.get((resource, ref.namespace))) for resource, ref in served}

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
        pods = await asyncio.gather(*(self._pods_of(resource, *in_namespace) for in_namespace in workloads.items()))
        return dict(zip(workloads, pods, strict=True))

    async def _pods_of(self, resource: ApiResource, namespace: str | None, workloads: Collection[ResourceRef]) -> Pods:
        try:
            return await self._cached_pods(resource, namespace, workloads)
        except DriftdError as error:
            return error

    async def _cached_pods(
        self, resource: ApiResource, namespace: str | None, workloads: Collection[ResourceRef]
    ) -> Sequence[JsonObject]:
        names = list(self._pods.names((resource, namespace), self._cache, workloads))
        pods = [pod for name in names if (pod := self._cache.get(resource, namespace, name)) is not None]
        metadata_only = [pod.ref.name for pod in pods if pod.metadata_only]
        if metadata_only:
            await self._cache.fetch_content(resource, namespace, metadata_only)
            pods = [pod for name in names if (pod := self._cache.get(resource, namespace, name)) is not None]
            if any(pod.metadata_only for pod in pods):
                raise KubeError(f"{resource} in {namespace}: {_CHANGED_WHILE_READ}")
        return [pod.object for pod in pods]

    def _is_metadata_only(self, resource: ApiResource, ref: ResourceRef) -> bool:
        try:
            cached = self._cache.get(resource, ref.namespace, ref.name)
        except DriftdError:
            return False  # `_read` reports the error
        return cached is not None and cached.metadata_only

    async def _fetch_content(self, scope: Scope, names: Sequence[str]) -> str | None:
        """Fetches the content of objects of one scope that are held as metadata only. Returns: the error, if any."""
        resource, namespace = scope
        try:
            await self._cache.fetch_content(resource, namespace, names)
        except DriftdError as error:
            return str(error)
        return None

    def _read(self, resource: ApiResource, ref: ResourceRef, fetch_error: str | None) -> ReadResult:
        try:
            written = self._write_ahead_of_cache(resource, ref)
            cached = self._cache.get(resource, ref.namespace, ref.name)
        except DriftdError as error:
            return ReadResult(None, str(error))
        if written is not None:
            return ReadResult(written)
        if cached is not None and cached.metadata_only:
            return ReadResult(None, fetch_error or f"{ref}: {_CHANGED_WHILE_READ}")
        return ReadResult(cached.object if cached is not None else None)

    def _write_ahead_of_cache(self, resource: ApiResource, ref: ResourceRef) -> JsonObject | None:
        """Our last write, until the cache has caught up with it. Raises: DriftdError: the cache is not fresh."""
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
