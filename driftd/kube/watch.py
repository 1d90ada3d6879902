"""One watch connection: the events of a collection after a resource version."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import aiohttp
import orjson

from driftd.kube.answers import check_item
from driftd.kube.discovery import ApiResource
from driftd.kube.errors import NoSuchPath, status_error
from driftd.kube.rest_client import Cluster
from driftd.model.errors import KubeError, UnknownKind

_MAX_QUEUED_CHUNKS = 16
_MAX_LINE_BYTES = 64 * 2**20
"""Many times the size of the largest object that etcd takes."""

_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class EventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    """No change up to this resource version."""


class WatchSilent(KubeError):
    """A watch sent neither an event nor a bookmark in time: nothing is known of what happens in its collection."""


class WatchOutOfOrder(KubeError):
    """A watch sent something that is older than what was known: it says nothing of what has happened since."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One watch event. `object` is complete, for DELETED in its last state; for BOOKMARK it has metadata only."""

    type: EventType
    object: dict[str, Any] = field(repr=False)  # may be a Secret
    resource_version: str
    more_buffered: bool = False
    """Whether another event has already been received and follows at once."""

    @property
    def ends_initial_events(self) -> bool:
        """Whether this bookmark ends the initial events (`send_initial_events`)."""
        annotations = self.object["metadata"].get("annotations") or {}
        return self.type is EventType.BOOKMARK and annotations.get(_INITIAL_EVENTS_END) == "true"


async def watch(
    cluster: Cluster,
    resource: ApiResource,
    namespace: str | None,
    resource_version: str,
    *,
    send_initial_events: bool = False,
    label_selector: str | None = None,
    duration: float = 300.0,
    bookmark_timeout: float = 150.0,
    first_within: float | None = None,
    opened: Callable[[], None] = lambda: None,
) -> AsyncGenerator[WatchEvent]:
    """The events after `resource_version`, until the server ends the connection, which is no error.

    It does so after `duration` seconds (plus or minus a fifth, so that watches do not end at the same moment) or
    earlier: continue with the last event's version. `bookmark_timeout`: maximum seconds between two events; a quiet
    watch has a bookmark about every minute. `first_within` is the same for the first one. Events are read ahead of the
    consumer, since the server drops slow readers. `opened` is called once the server has accepted the watch.

    `send_initial_events` sends all existing objects as ADDED first, followed by a bookmark (`ends_initial_events`): a
    list and a watch in one (KEP-3157). Servers without support for it answer Invalid.

    Raises: Gone: the version is too old, list again. WatchSilent: no event in time; other bytes do not count.
        UnknownKind: the kind is not served (any more). KubeError, ClusterUnreachable: the connection failed, or its
        content is not a watch.
    """
    query = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": resource_version,
        "timeoutSeconds": str(max(1, round(duration * random.uniform(0.8, 1.2)))),  # noqa: S311  spreads load only
    }
    if send_initial_events:
        query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    if label_selector:
        query["labelSelector"] = label_selector
    try:
        async with cluster.stream(resource.path(namespace), query=query, idle_timeout=bookmark_timeout) as body:
            opened()
            limit = bookmark_timeout if first_within is None else first_within
            async with aclosing(_lines(body)) as lines:
                while (line := await _next_line(lines, limit, cluster, resource)) is not None:
                    text, more_buffered = line
                    yield _decode_event(text, resource, namespace, cluster.name, more_buffered)
                    limit = bookmark_timeout
    except NoSuchPath as error:
        raise UnknownKind(f"the cluster does not serve {resource.kind} of {resource.api_version} any more") from error


async def _next_line(
    lines: AsyncGenerator[tuple[bytes, bool]], limit: float, cluster: Cluster, resource: ApiResource
) -> tuple[bytes, bool] | None:
    """The next line, or None at the end. Raises: WatchSilent: there was none within `limit` seconds."""
    try:
        async with asyncio.timeout(limit):
            return await anext(lines, None)
    except TimeoutError as error:
        raise WatchSilent(
            f"cluster {cluster.name}: the watch of {resource} sent neither an event nor a bookmark in {limit:.3g} s"
        ) from error


async def _lines(body: aiohttp.StreamReader) -> AsyncGenerator[tuple[bytes, bool]]:
    """The lines of a stream, each with whether another one is buffered.

    A last line without a line break is incomplete and left out. Raises: KubeError: a line has no end.
    """
    queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue(_MAX_QUEUED_CHUNKS)
    reader = asyncio.create_task(_read_ahead(body, queue))
    parts: list[bytes] = []
    pending = 0
    try:
        while (chunk := await queue.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            *complete, rest = chunk.split(b"\n")
            complete.reverse()
            del chunk  # an idle watch must not keep its last chunk in memory
            while complete:
                line = b"".join((*parts, complete.pop()))
                parts.clear()
                pending = 0
                yield line, bool(complete)
                del line
            if rest:
                parts.append(rest)
                pending += len(rest)
                if pending > _MAX_LINE_BYTES:
                    raise KubeError(f"a watch sent a line of more than {_MAX_LINE_BYTES >> 20} MiB")
    finally:
        reader.cancel()
        await asyncio.wait([reader])


async def _read_ahead(body: aiohttp.StreamReader, queue: asyncio.Queue[bytes | BaseException | None]) -> None:
    try:
        async for chunk in body.iter_any():
            await queue.put(chunk)
            del chunk  # as above
    except Exception as error:  # noqa: BLE001  whatever it is, the consumer waits for it
        await queue.put(error)
    else:
        await queue.put(None)


def _decode_event(
    line: bytes, resource: ApiResource, namespace: str | None, cluster: str, more_buffered: bool
) -> WatchEvent:
    try:
        event = orjson.loads(line)
        type_, body = event["type"], event["object"]
        if type_ == "ERROR":
            raise status_error(body)
        if type_ != EventType.BOOKMARK:
            check_item(body, resource, namespace)
        return WatchEvent(EventType(type_), body, _version(body), more_buffered)
    except (ValueError, TypeError, KeyError, AttributeError):
        # from None: the decoder's error contains the line, which may be a Secret.
        raise KubeError(f"cluster {cluster}: the watch of {resource} sent a line that is no event") from None


def _version(body: Mapping[str, Any]) -> str:
    """Raises: KeyError, TypeError: it has none."""
    version = body["metadata"]["resourceVersion"]
    if not version or not isinstance(version, str):
        raise TypeError(type(version))
    return version
