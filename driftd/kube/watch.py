"""One watch connection: what happens to a collection from one resource version on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import aiohttp
import orjson

from driftd.kube.discovery import ApiResource
from driftd.kube.errors import NoSuchPath, stated
from driftd.kube.rest_client import Cluster
from driftd.model.errors import KubeError, UnknownKind

_QUEUED_CHUNKS = 16
_END_OF_LIST = "k8s.io/initial-events-end"


class EventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    """Nothing happened up to this resource version."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch. `object` is complete, for DELETED in its last state; for BOOKMARK it has metadata only."""

    type: EventType
    object: dict[str, Any] = field(repr=False)  # may be a Secret
    resource_version: str
    more: bool = False
    """Whether another one has arrived together with it, and follows at once."""

    @property
    def ends_list(self) -> bool:
        """Whether everything that there was has been told by now: of a watch that began with that (`initial`)."""
        annotations = self.object["metadata"].get("annotations") or {}
        return self.type is EventType.BOOKMARK and annotations.get(_END_OF_LIST) == "true"


async def watch(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    resource_version: str,
    *,
    initial: bool = False,
    label_selector: str | None = None,
    duration: float = 300.0,
    silence: float = 150.0,
    opened: asyncio.Event | None = None,
) -> AsyncGenerator[WatchEvent]:
    """The events after `resource_version`, until the server ends the connection, which is no error.

    It does so after `duration` seconds (give or take a fifth, so that many watches do not end together), and when it
    likes: go on with the last event's version. `silence`: seconds without any byte after which the connection counts
    as dead; an idle watch has a bookmark about every minute. What arrives is read ahead of the consumer, since the
    server drops readers that are slow. `opened` is set once the server has accepted the watch.

    With `initial` it first tells of everything that there is as ADDED, and says when that is all (`ends_list`): a
    list and a watch in one (KEP-3157, "sendInitialEvents"). Servers that do not offer it refuse: Invalid.

    Raises: Gone: the version is too old, list again. UnknownKind: the kind is not served (any more). KubeError,
        ClusterUnreachable: the connection failed, or what came over it is not a watch.
    """
    query = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": resource_version,
        "timeoutSeconds": str(max(1, round(duration * random.uniform(0.8, 1.2)))),  # noqa: S311  spreads load only
    }
    if initial:
        query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    if label_selector:
        query["labelSelector"] = label_selector
    try:
        async with cluster.stream(resource.path(namespace), query=query, silence=silence) as body:
            if opened is not None:
                opened.set()
            async for line, more in _lines(body):
                yield _event(line, resource, cluster.name, more)
    except NoSuchPath as error:
        raise UnknownKind(f"the cluster does not serve {resource.kind} of {resource.api_version} any more") from error


async def _lines(body: aiohttp.StreamReader) -> AsyncGenerator[tuple[bytes, bool]]:
    """The lines of a stream, of any length, each with whether another one has arrived with it.

    A last one without its end was cut off, and is left out.
    """
    queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue(_QUEUED_CHUNKS)
    reader = asyncio.create_task(_read_ahead(body, queue))
    parts: list[bytes] = []
    try:
        while (chunk := await queue.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            *ended, rest = chunk.split(b"\n")
            ended.reverse()
            del chunk  # a quiet watch waits for a long time, and is not to hold on to what came last
            while ended:
                line = b"".join((*parts, ended.pop()))
                parts.clear()
                yield line, bool(ended)
                del line
            if rest:
                parts.append(rest)
    finally:
        reader.cancel()
        await asyncio.wait([reader])


async def _read_ahead(body: aiohttp.StreamReader, queue: asyncio.Queue[bytes | BaseException | None]) -> None:
    try:
        async for chunk in body.iter_any():
            await queue.put(chunk)
            del chunk  # as above: until the next one comes
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        await queue.put(error)
    else:
        await queue.put(None)


def _event(line: bytes, resource: ApiResource, cluster: str, more: bool) -> WatchEvent:
    try:
        event = orjson.loads(line)
        type_, body = event["type"], event["object"]
        if type_ == "ERROR":
            raise stated(body)
        if type_ != EventType.BOOKMARK:
            body["apiVersion"], body["kind"] = resource.api_version, resource.kind
        return WatchEvent(EventType(type_), body, str(body["metadata"]["resourceVersion"]), more)
    except (ValueError, TypeError, KeyError):
        # from None: the line may be a Secret, and the decoder's error carries it.
        raise KubeError(f"cluster {cluster}: the watch of {resource} sent a line that is no event") from None
