"""Reading live objects from the API server. From the watch cache: `cache_reader.py`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from driftd.kube.discovery import ApiResource
from driftd.kube.listing import list_each, list_objects, start_list
from driftd.kube.objects import ObjectKey, get
from driftd.kube.rest_client import Cluster
from driftd.live.mapping import MappedManifest
from driftd.model.errors import DriftdError, Forbidden
from driftd.model.resource import JsonObject, ResourceRef

_LIST_FROM_OBJECTS = 4
"""Objects of a kind in a namespace from which on one LIST costs less than a GET for each."""

_LIST_ALL_FROM_NAMESPACES = 8
"""Namespaces from which on one LIST of all namespaces costs less than one for each."""


Workloads = Mapping[str | None, Collection[ResourceRef]]
"""Workloads by namespace."""

Pods = Sequence[JsonObject] | DriftdError
"""Pods, or the error of reading them."""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The result of reading one object: `body` is None if it does not exist. `error` says why it could not be read."""

    body: JsonObject | None
    error: str | None = None


ReadResults = Mapping[ResourceRef, ReadResult]
OnRead = Callable[[ReadResults], None]


class Reader(Protocol):
    """Reads the live objects of mapped manifests."""

    def version_of(self, item: MappedManifest) -> str | None:
        """A version token of the live object, without reading it: two equal tokens mean that it is unchanged.

        None if the version cannot be had without reading.
        """
        ...

    async def read(self, items: Sequence[MappedManifest]) -> ReadResults:
        """The live objects. Never raises: errors are part of the results of the objects they concern."""
        ...

    def stream(self, items: Sequence[MappedManifest]) -> AsyncGenerator[ReadResults]:
        """The same in batches. An object that comes twice, as when a list starts again, is as in the last batch."""
        ...

    async def pods_of(self, resource: ApiResource, workloads: Workloads) -> Mapping[str | None, Pods]:
        """The pods by namespace, at least those of the workloads."""
        ...


class ApiReader:
    """Reads from the API server with as few requests as possible."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._prefetched: dict[tuple[ApiResource, str | None], asyncio.Task[Any]] = {}

    def prefetch(self, items: Sequence[MappedManifest]) -> None:
        """Requests the first pages of the lists that will be needed, judging by the first of the items.

        To be followed by `read` or `stream` of all items, which use these pages, or by `close`.
        """
        for resource, refs in _by_resource(items).items():
            by_namespace = _by_namespace(refs)
            if len(by_namespace) >= _LIST_ALL_FROM_NAMESPACES:
                self._prefetch(resource, None)
                continue
            for namespace, in_namespace in by_namespace.items():
                if len(in_namespace) >= _LIST_FROM_OBJECTS:
                    self._prefetch(resource, namespace)

    def _prefetch(self, resource: ApiResource, namespace: str | None) -> None:
        self._prefetched[resource, namespace] = start_list(self._cluster, resource, namespace)

    async def close(self) -> None:
        """Cancels prefetched pages that were not used."""
        pages = list(self._prefetched.values())
        self._prefetched.clear()
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)

    def version_of(self, _item: MappedManifest) -> None:
        """Always None: without a watch the version cannot be had without reading."""

    async def read(self, items: Sequence[MappedManifest]) -> ReadResults:
        results: dict[ResourceRef, ReadResult] = {}
        await self._read(items, results.update)
        return results

    async def stream(self, items: Sequence[MappedManifest]) -> AsyncGenerator[ReadResults]:
        batches: asyncio.Queue[ReadResults | None] = asyncio.Queue()
        reading = asyncio.create_task(self._read(items, batches.put_nowait))
        reading.add_done_callback(lambda _: batches.put_nowait(None))
        try:
            while (batch := await batches.get()) is not None:
                yield batch
            await reading
        finally:
            reading.cancel()

    async def _read(self, items: Sequence[MappedManifest], on_read: OnRead) -> None:
        try:
            await asyncio.gather(
                *(self._read_kind(resource, refs, on_read) for resource, refs in _by_resource(items).items())
            )
        finally:
            await self.close()

    async def pods_of(self, resource: ApiResource, workloads: Workloads) -> Mapping[str | None, Pods]:
        if len(workloads) >= _LIST_ALL_FROM_NAMESPACES:
            by_namespace: dict[str | None, list[JsonObject]] = {namespace: [] for namespace in workloads}
            with suppress(DriftdError):  # single namespaces may still be readable
                for pod in (await list_objects(self._cluster, resource, None)).items:
                    if (namespace := pod["metadata"].get("namespace")) in by_namespace:
                        by_namespace[namespace].append(pod)
                return by_namespace
        pods = await asyncio.gather(*(self._pods(resource, namespace) for namespace in workloads))
        return dict(zip(workloads, pods, strict=True))

    async def _pods(self, resource: ApiResource, namespace: str | None) -> Pods:
        try:
            return (await list_objects(self._cluster, resource, namespace)).items
        except DriftdError as error:
            return error

    async def _read_kind(self, resource: ApiResource, refs: Sequence[ResourceRef], on_read: OnRead) -> None:
        by_namespace = _by_namespace(refs)
        if len(by_namespace) >= _LIST_ALL_FROM_NAMESPACES and await self._list(resource, None, refs, on_read):
            return
        await asyncio.gather(
            *(
                self._read_namespace(resource, namespace, in_namespace, on_read)
                for namespace, in_namespace in by_namespace.items()
            )
        )

    async def _read_namespace(
        self, resource: ApiResource, namespace: str | None, refs: Sequence[ResourceRef], on_read: OnRead
    ) -> None:
        if len(refs) < _LIST_FROM_OBJECTS or not await self._list(resource, namespace, refs, on_read):
            await asyncio.gather(*(self._get(resource, ref, on_read) for ref in refs))

    async def _list(
        self, resource: ApiResource, namespace: str | None, refs: Sequence[ResourceRef], on_read: OnRead
    ) -> bool:
        """Reads all of `refs` by a LIST; False if that is forbidden. Objects are passed to `on_read` and not held."""
        missing = {(ref.namespace, ref.name): ref for ref in refs}
        requested = dict(missing)
        page: dict[ResourceRef, ReadResult] = {}

        def take(item: JsonObject) -> ObjectKey:
            key = (item["metadata"].get("namespace"), item["metadata"]["name"])
            if (ref := requested.get(key)) is not None:
                page[ref] = ReadResult(item)
            return key

        def on_page(_keys: Sequence[ObjectKey]) -> None:
            on_read(dict(page))
            page.clear()

        try:
            first_page = self._prefetched.pop((resource, namespace), None)
            listing = await list_each(self._cluster, resource, namespace, take, on_page=on_page, first_page=first_page)
        except Forbidden:
            return False
        except DriftdError as error:
            on_read({ref: ReadResult(None, str(error)) for ref in refs})
            return True
        for key in listing.items:
            missing.pop(key, None)
        on_read({ref: ReadResult(None) for ref in missing.values()})
        return True

    async def _get(self, resource: ApiResource, ref: ResourceRef, on_read: OnRead) -> None:
        try:
            on_read({ref: ReadResult(await get(self._cluster, resource, ref.namespace, ref.name))})
        except DriftdError as error:
            on_read({ref: ReadResult(None, str(error))})


def _by_resource(items: Sequence[MappedManifest]) -> Mapping[ApiResource, list[ResourceRef]]:
    groups: defaultdict[ApiResource, list[ResourceRef]] = defaultdict(list)
    for item in items:
        if item.resource is not None:
            groups[item.resource].append(item.manifest.ref)
    return groups


def _by_namespace(refs: Sequence[ResourceRef]) -> Mapping[str | None, list[ResourceRef]]:
    groups: defaultdict[str | None, list[ResourceRef]] = defaultdict(list)
    for ref in refs:
        groups[ref.namespace].append(ref)
    return groups
