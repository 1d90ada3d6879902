"""Reading the live side, straight from the API server. From the cache that its watches keep: `cached_reading.py`."""

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

_WORTH_A_LIST = 4
"""From so many objects of a kind in a namespace on, one LIST costs less than a GET for each."""

_WORTH_ALL_NAMESPACES = 8
"""From so many namespaces on, one LIST of all of them costs less than one for each."""


Workloads = Mapping[str | None, Collection[ResourceRef]]
"""Workloads by their namespaces."""

Pods = Sequence[JsonObject] | DriftdError
"""Pods, or why they cannot be read."""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """One object as it was read: `body` is None if there is none. `error` says why it could not be read."""

    body: JsonObject | None
    error: str | None = None


ReadResults = Mapping[ResourceRef, ReadResult]
OnRead = Callable[[ReadResults], None]


class Reader(Protocol):
    def version_of(self, item: MappedManifest) -> str | None:
        """What the live object is known by, without reading it: equal for two moments only where it is the same.

        None where nothing vouches for that: it cannot be told without reading.
        """
        ...

    async def read(self, items: Sequence[MappedManifest]) -> ReadResults:
        """The live side of each object. No error is raised: it is part of the reading of each object it concerns."""
        ...

    def stream(self, items: Sequence[MappedManifest]) -> AsyncGenerator[ReadResults]:
        """The same in parts, as they come; what is read twice, as when a list starts anew, is as it was read last."""
        ...

    async def pods_of(self, resource: ApiResource, workloads: Workloads) -> Mapping[str | None, Pods]:
        """The pods of each namespace, all or at least those of some workloads in it."""
        ...


class ApiReader:
    """Asks the API server, with as few requests as the objects allow."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._prefetched: dict[tuple[ApiResource, str | None], asyncio.Task[Any]] = {}

    def prefetch(self, items: Sequence[MappedManifest]) -> None:
        """Asks for the first pages of the lists that some of what is wanted shows to be worth it.

        To be followed by `read` or `parts` of all that is wanted, which do not ask for these once more; or by `close`.
        """
        for resource, refs in _by_resource(items).items():
            by_namespace = _by_namespace(refs)
            if len(by_namespace) >= _WORTH_ALL_NAMESPACES:
                self._prefetch(resource, None)
                continue
            for namespace, there in by_namespace.items():
                if len(there) >= _WORTH_A_LIST:
                    self._prefetch(resource, namespace)

    def _prefetch(self, resource: ApiResource, namespace: str | None) -> None:
        self._prefetched[resource, namespace] = start_list(self._cluster, resource, namespace)

    async def close(self) -> None:
        """Gives up what was begun and is of no use."""
        begun = list(self._prefetched.values())
        self._prefetched.clear()
        for page in begun:
            page.cancel()
        await asyncio.gather(*begun, return_exceptions=True)

    def version_of(self, _one: MappedManifest) -> None:
        """Nobody tells what happened since it was last asked."""

    async def read(self, items: Sequence[MappedManifest]) -> ReadResults:
        readings: dict[ResourceRef, ReadResult] = {}
        await self._read(items, readings.update)
        return readings

    async def stream(self, items: Sequence[MappedManifest]) -> AsyncGenerator[ReadResults]:
        told: asyncio.Queue[ReadResults | None] = asyncio.Queue()
        reading = asyncio.create_task(self._read(items, told.put_nowait))
        reading.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (part := await told.get()) is not None:
                yield part
            await reading
        finally:
            reading.cancel()

    async def _read(self, items: Sequence[MappedManifest], on_read: OnRead) -> None:
        try:
            await asyncio.gather(
                *(self._kind(resource, refs, on_read) for resource, refs in _by_resource(items).items())
            )
        finally:
            await self.close()

    async def pods_of(self, resource: ApiResource, workloads: Workloads) -> Mapping[str | None, Pods]:
        if len(workloads) >= _WORTH_ALL_NAMESPACES:
            found: dict[str | None, list[JsonObject]] = {namespace: [] for namespace in workloads}
            with suppress(DriftdError):  # each namespace may be readable for all that
                for pod in (await list_objects(self._cluster, resource, None)).items:
                    if (namespace := pod["metadata"].get("namespace")) in found:
                        found[namespace].append(pod)
                return found
        answers = await asyncio.gather(*(self._pods(resource, namespace) for namespace in workloads))
        return dict(zip(workloads, answers, strict=True))

    async def _pods(self, resource: ApiResource, namespace: str | None) -> Pods:
        try:
            return (await list_objects(self._cluster, resource, namespace)).items
        except DriftdError as error:
            return error

    async def _kind(self, resource: ApiResource, refs: Sequence[ResourceRef], on_read: OnRead) -> None:
        by_namespace = _by_namespace(refs)
        if len(by_namespace) >= _WORTH_ALL_NAMESPACES and await self._list(resource, None, refs, on_read):
            return
        await asyncio.gather(
            *(self._namespace(resource, namespace, some, on_read) for namespace, some in by_namespace.items())
        )

    async def _namespace(
        self, resource: ApiResource, namespace: str | None, refs: Sequence[ResourceRef], on_read: OnRead
    ) -> None:
        if len(refs) < _WORTH_A_LIST or not await self._list(resource, namespace, refs, on_read):
            await asyncio.gather(*(self._get(resource, ref, on_read) for ref in refs))

    async def _list(
        self, resource: ApiResource, namespace: str | None, refs: Sequence[ResourceRef], on_read: OnRead
    ) -> bool:
        """Whether a LIST was allowed, and with it all of `refs` read. Only who is told holds the objects."""
        missing = {(ref.namespace, ref.name): ref for ref in refs}
        asked_for = dict(missing)
        page: dict[ResourceRef, ReadResult] = {}

        def taken(item: JsonObject) -> ObjectKey:
            key = (item["metadata"].get("namespace"), item["metadata"]["name"])
            if (ref := asked_for.get(key)) is not None:
                page[ref] = ReadResult(item)
            return key

        def told(_keys: Sequence[ObjectKey]) -> None:
            on_read(dict(page))
            page.clear()

        try:
            begun = self._prefetched.pop((resource, namespace), None)
            listing = await list_each(self._cluster, resource, namespace, taken, on_page=told, first_page=begun)
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


def _by_resource(wanted: Sequence[MappedManifest]) -> Mapping[ApiResource, list[ResourceRef]]:
    groups: defaultdict[ApiResource, list[ResourceRef]] = defaultdict(list)
    for one in wanted:
        if one.resource is not None:
            groups[one.resource].append(one.manifest.ref)
    return groups


def _by_namespace(refs: Sequence[ResourceRef]) -> Mapping[str | None, list[ResourceRef]]:
    groups: defaultdict[str | None, list[ResourceRef]] = defaultdict(list)
    for ref in refs:
        groups[ref.namespace].append(ref)
    return groups
