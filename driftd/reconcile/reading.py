"""Reading the live side: straight from the API server, or from the cache that its watches keep."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from driftd.kube.cache import LiveCache, Scope
from driftd.kube.collection import Key
from driftd.kube.connection import Cluster
from driftd.kube.discovery import ApiResource
from driftd.kube.objects import get, list_as, list_objects
from driftd.model.errors import DriftdError, Forbidden, KubeError
from driftd.model.resource import JsonObject, ResourceRef
from driftd.reconcile.placement import Wanted
from driftd.reconcile.pod_index import PodIndex

_WORTH_A_LIST = 4
"""From so many objects of a kind in a namespace on, one LIST costs less than a GET for each."""

_WORTH_ALL_NAMESPACES = 8
"""From so many namespaces on, one LIST of all of them costs less than one for each."""


_IN_BETWEEN = "it changed while it was being read: the next pass looks again"

ABSENT = ""
"""The stamp of an object that is not there."""


Workloads = Mapping[str | None, Collection[ResourceRef]]
"""Workloads by their namespaces."""

Pods = Sequence[JsonObject] | DriftdError
"""Pods, or why they cannot be read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One object as it was read: `body` is None if there is none. `error` says why it could not be read."""

    body: JsonObject | None
    error: str | None = None


Readings = Mapping[ResourceRef, Reading]
Tell = Callable[[Readings], None]


class Reader(Protocol):
    def stamp(self, one: Wanted) -> str | None:
        """What the live object is known by, without reading it: equal for two moments only where it is the same.

        None where nothing vouches for that: it cannot be told without reading.
        """
        ...

    async def read(self, wanted: Sequence[Wanted]) -> Readings:
        """The live side of each object. No error is raised: it is part of the reading of each object it concerns."""
        ...

    def parts(self, wanted: Sequence[Wanted]) -> AsyncGenerator[Readings]:
        """The same in parts, as they come; what is read twice, as when a list starts anew, is as it was read last."""
        ...

    async def pods_of(self, resource: ApiResource, workloads: Workloads) -> Mapping[str | None, Pods]:
        """The pods of each namespace, all or at least those of some workloads in it."""
        ...


class DirectReader:
    """Asks the API server, with as few requests as the objects allow."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def stamp(self, _one: Wanted) -> None:
        """Nobody tells what happened since it was last asked."""

    async def read(self, wanted: Sequence[Wanted]) -> Readings:
        readings: dict[ResourceRef, Reading] = {}
        await self._read(wanted, readings.update)
        return readings

    async def parts(self, wanted: Sequence[Wanted]) -> AsyncGenerator[Readings]:
        told: asyncio.Queue[Readings | None] = asyncio.Queue()
        reading = asyncio.create_task(self._read(wanted, told.put_nowait))
        reading.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (part := await told.get()) is not None:
                yield part
            await reading
        finally:
            reading.cancel()

    async def _read(self, wanted: Sequence[Wanted], tell: Tell) -> None:
        groups: dict[ApiResource, list[ResourceRef]] = defaultdict(list)
        for one in wanted:
            if one.resource is not None:
                groups[one.resource].append(one.manifest.ref)
        await asyncio.gather(*(self._kind(resource, refs, tell) for resource, refs in groups.items()))

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

    async def _kind(self, resource: ApiResource, refs: Sequence[ResourceRef], tell: Tell) -> None:
        by_namespace: dict[str | None, list[ResourceRef]] = defaultdict(list)
        for ref in refs:
            by_namespace[ref.namespace].append(ref)
        if len(by_namespace) >= _WORTH_ALL_NAMESPACES and await self._list(resource, None, refs, tell):
            return
        await asyncio.gather(
            *(self._namespace(resource, namespace, some, tell) for namespace, some in by_namespace.items())
        )

    async def _namespace(
        self, resource: ApiResource, namespace: str | None, refs: Sequence[ResourceRef], tell: Tell
    ) -> None:
        if len(refs) < _WORTH_A_LIST or not await self._list(resource, namespace, refs, tell):
            await asyncio.gather(*(self._get(resource, ref, tell) for ref in refs))

    async def _list(
        self, resource: ApiResource, namespace: str | None, refs: Sequence[ResourceRef], tell: Tell
    ) -> bool:
        """Whether a LIST was allowed, and with it all of `refs` read. Only who is told holds the objects."""
        missing = {(ref.namespace, ref.name): ref for ref in refs}
        asked_for = dict(missing)
        page: dict[ResourceRef, Reading] = {}

        def taken(item: JsonObject) -> Key:
            key = (item["metadata"].get("namespace"), item["metadata"]["name"])
            if (ref := asked_for.get(key)) is not None:
                page[ref] = Reading(item)
            return key

        def told(_keys: Sequence[Key]) -> None:
            tell(dict(page))
            page.clear()

        try:
            listing = await list_as(self._cluster, resource, namespace, taken, on_page=told)
        except Forbidden:
            return False
        except DriftdError as error:
            tell({ref: Reading(None, str(error)) for ref in refs})
            return True
        for key in listing.items:
            missing.pop(key, None)
        tell({ref: Reading(None) for ref in missing.values()})
        return True

    async def _get(self, resource: ApiResource, ref: ResourceRef, tell: Tell) -> None:
        try:
            tell({ref: Reading(await get(self._cluster, resource, ref.namespace, ref.name))})
        except DriftdError as error:
            tell({ref: Reading(None, str(error))})


class CachedReader:
    """Looks into the live cache, and knows what this process has written since: the cache may be a moment behind."""

    def __init__(self, cache: LiveCache, pods: PodIndex) -> None:
        self._cache = cache
        self._pods = pods
        self._written: dict[ResourceRef, JsonObject] = {}

    def wrote(self, ref: ResourceRef, body: JsonObject) -> None:
        """Remembers an object as the API server answered our write."""
        self._written[ref] = body

    async def parts(self, wanted: Sequence[Wanted]) -> AsyncGenerator[Readings]:
        yield await self.read(wanted)

    async def read(self, wanted: Sequence[Wanted]) -> Readings:
        served = [(one.resource, one.manifest.ref) for one in wanted if one.resource is not None]
        outlines: dict[Scope, list[str]] = defaultdict(list)
        for resource, ref in served:
            if self._is_outline(resource, ref):
                outlines[resource, ref.namespace].append(ref.name)
        troubles = dict(zip(outlines, await asyncio.gather(*map(self._complete, outlines.items())), strict=True))
        return {ref: self._read(resource, ref, troubles.get((resource, ref.namespace))) for resource, ref in served}

    def stamp(self, one: Wanted) -> str | None:
        if one.resource is None:
            return None
        ref = one.manifest.ref
        try:
            written = self._ahead_of_the_cache(one.resource, ref)
            cached = self._cache.get(one.resource, ref.namespace, ref.name)
        except DriftdError:
            return None
        if written is not None:
            return _version(written)
        return cached.resource_version if cached is not None else ABSENT

    async def pods_of(self, resource: ApiResource, workloads: Workloads) -> Mapping[str | None, Pods]:
        answers = await asyncio.gather(*(self._pods_of(resource, *one) for one in workloads.items()))
        return dict(zip(workloads, answers, strict=True))

    async def _pods_of(self, resource: ApiResource, namespace: str | None, workloads: Collection[ResourceRef]) -> Pods:
        try:
            return await self._known_pods(resource, namespace, workloads)
        except DriftdError as error:
            return error

    async def _known_pods(
        self, resource: ApiResource, namespace: str | None, workloads: Collection[ResourceRef]
    ) -> Sequence[JsonObject]:
        names = list(self._pods.names((resource, namespace), self._cache, workloads))
        found = [pod for name in names if (pod := self._cache.get(resource, namespace, name)) is not None]
        outlines = [pod.ref.name for pod in found if not pod.is_whole]
        if outlines:
            await self._cache.complete(resource, namespace, outlines)
            found = [pod for name in names if (pod := self._cache.get(resource, namespace, name)) is not None]
            if not all(pod.is_whole for pod in found):
                raise KubeError(f"{resource} in {namespace}: {_IN_BETWEEN}")
        return [pod.object for pod in found]

    def _is_outline(self, resource: ApiResource, ref: ResourceRef) -> bool:
        try:
            cached = self._cache.get(resource, ref.namespace, ref.name)
        except DriftdError:
            return False  # `_read` says so
        return cached is not None and not cached.is_whole

    async def _complete(self, some: tuple[Scope, Sequence[str]]) -> str | None:
        """Has objects of one scope read that were held in outline only; what went wrong, if something did."""
        (resource, namespace), names = some
        try:
            await self._cache.complete(resource, namespace, names)
        except DriftdError as error:
            return str(error)
        return None

    def _read(self, resource: ApiResource, ref: ResourceRef, trouble: str | None) -> Reading:
        try:
            written = self._ahead_of_the_cache(resource, ref)
            cached = self._cache.get(resource, ref.namespace, ref.name)
        except DriftdError as error:
            return Reading(None, str(error))
        if written is not None:
            return Reading(written)
        if cached is not None and not cached.is_whole:
            return Reading(None, trouble or f"{ref}: {_IN_BETWEEN}")
        return Reading(cached.object if cached is not None else None)

    def _ahead_of_the_cache(self, resource: ApiResource, ref: ResourceRef) -> JsonObject | None:
        """What was written, until the cache knows of it. Raises: DriftdError: the cache cannot be trusted."""
        written = self._written.get(ref)
        if written is not None and _number(self._cache.version(resource, ref.namespace)) >= _number(_version(written)):
            del self._written[ref]
            return None
        return written


def _version(body: JsonObject) -> str:
    return str(body["metadata"].get("resourceVersion"))


def _number(version: str | None) -> int:
    """Resource versions of one resource compare as numbers (KEP-5504)."""
    return int(version) if version is not None and version.isdigit() else 0
