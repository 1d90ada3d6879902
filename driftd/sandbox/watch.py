"""Watches: streams of changes from a resource version on, or of all objects followed by changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import orjson

from driftd.sandbox.document import Object
from driftd.sandbox.reads import ListOptions, Reads, Selection, in_version, invalid_version, too_large
from driftd.sandbox.resources.kinds import Kind
from driftd.sandbox.status import ApiError, bad_request, expired
from driftd.sandbox.store import Change, Collection
from driftd.sandbox.world import World

Render = Callable[[Object], bytes]

_MAX_BACKLOG = 10_000
"""Maximum number of pending changes before the watch of a slow client is ended."""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    listing: ListOptions
    bookmarks: bool = False
    initial_events: bool | None = None
    timeout: float = 1800.0


class Watches:
    """Opens watches on a world. `bookmark_interval` is in seconds."""

    def __init__(self, world: World, reads: Reads, *, bookmark_interval: float) -> None:
        self._world = world
        self._reads = reads
        self._interval = bookmark_interval
        self._open: set[_Watch] = set()
        world.faults.drop_watches = self.close_all

    def close_all(self) -> None:
        for watch in tuple(self._open):
            watch.close()

    def open(self, kind: Kind, namespace: str | None, options: WatchOptions, render: Render) -> AsyncIterator[bytes]:
        """The lines of a watch. Errors of the request are raised; only 410 is sent in the stream."""
        listing = options.listing
        selection = self._reads.selection(kind, namespace, listing)
        version = listing.resource_version
        if version and not version.isdigit():
            raise invalid_version(version)
        if options.initial_events is not None and listing.match != "NotOlderThan":
            raise bad_request("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        current = self._world.store.revision
        if version and int(version) > current:
            raise too_large(int(version), current)
        collection = self._world.store.collection(kind.resource.key)
        fresh = version in ("", "0") if options.initial_events is None else options.initial_events
        watch = _Watch(collection, kind, selection, render)
        if fresh:
            watch.add_all(self._reads.select(kind, selection))
            if options.initial_events and options.bookmarks:
                watch.add_bookmark(current, initial=True)
        elif version and not watch.replay(int(version)):
            watch.fail(expired(f"too old resource version: {version} ({collection.oldest})"))
        self._open.add(watch)
        return self._stream(watch, options)

    async def _stream(self, watch: _Watch, options: WatchOptions) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        end = loop.time() + options.timeout
        bookmark = loop.time() + self._interval
        try:
            while not watch.done:
                now = loop.time()
                if now >= end:
                    return
                if options.bookmarks and now >= bookmark:
                    watch.add_bookmark(self._world.store.revision)
                    bookmark = now + self._interval
                wait = min(end, bookmark if options.bookmarks else end) - now
                lines = await watch.next(wait)
                if lines:
                    yield b"".join(lines)
        finally:
            watch.close()
            self._open.discard(watch)


class _Watch:
    def __init__(self, collection: Collection, kind: Kind, selection: Selection, render: Render) -> None:
        self._collection = collection
        self._kind = kind
        self._selection = selection
        self._render = render
        self._pending: list[bytes | Change] = []
        self._wake = asyncio.Event()
        self._closed = False
        collection.listeners.add(self._push)

    @property
    def done(self) -> bool:
        return self._closed and not self._pending

    def close(self) -> None:
        self._closed = True
        self._collection.listeners.discard(self._push)
        self._wake.set()

    def add_all(self, objects: list[Object]) -> None:
        self._pending.extend(_line(b"ADDED", self._render(obj)) for obj in objects)
        self._wake.set()

    def add_bookmark(self, revision: int, *, initial: bool = False) -> None:
        metadata: Object = {"resourceVersion": str(revision)}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        resource = self._kind.resource
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        self._pending.append(_line(b"BOOKMARK", orjson.dumps(obj)))
        self._wake.set()

    def replay(self, revision: int) -> bool:
        changes = self._collection.since(revision)
        if changes is None:
            return False
        self._pending.extend(changes)
        self._wake.set()
        return True

    def fail(self, error: ApiError) -> None:
        self._pending.append(_line(b"ERROR", orjson.dumps(error.status())))
        self.close()

    async def next(self, timeout: float) -> list[bytes]:  # noqa: ASYNC109 - it is the watch's own deadline
        """The pending lines; empty after `timeout` seconds."""
        if not self._pending and not self._closed:
            try:
                await asyncio.wait_for(self._wake.wait(), max(timeout, 0.0))
            except TimeoutError:
                return []
        self._wake.clear()
        pending, self._pending = self._pending, []
        return [line for entry in pending if (line := self._line_of(entry))]

    def _push(self, change: Change) -> None:
        if len(self._pending) >= _MAX_BACKLOG:
            self.close()
            return
        self._pending.append(change)
        self._wake.set()

    def _line_of(self, entry: bytes | Change) -> bytes | None:
        if isinstance(entry, bytes):
            return entry
        before, after = self._selection.selects(entry.before), self._selection.selects(entry.after)
        if after:
            return _line(b"MODIFIED" if before else b"ADDED", self._encoded(entry, entry.after))
        if not before:
            return None
        last = entry.tombstone
        if last is None:  # the object still exists, but is no longer selected
            assert entry.before is not None  # noqa: S101 - for the type checker
            last = {**entry.before, "metadata": {**entry.before["metadata"], "resourceVersion": str(entry.revision)}}
            return _line(b"DELETED", self._render(in_version(self._kind, last)))
        return _line(b"DELETED", self._encoded(entry, last))

    def _encoded(self, change: Change, obj: Object | None) -> bytes:
        assert obj is not None  # noqa: S101 - for the type checker
        if self._render is not encode or obj["apiVersion"] != self._kind.resource.api_version:
            return self._render(in_version(self._kind, obj))
        if change.encoded is None:
            change.encoded = encode(obj)
        return change.encoded


def encode(obj: Object) -> bytes:
    return orjson.dumps(obj)


def _line(kind: bytes, obj: bytes) -> bytes:
    return b'{"type":"' + kind + b'","object":' + obj + b"}\n"
