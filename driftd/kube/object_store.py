"""The objects of one scope by key, as the watch last reported them (client-go: `cache.Store`)."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from driftd.kube.cached_object import CachedObject, DecodedCache, Packer
from driftd.kube.discovery import ApiResource
from driftd.kube.listing import OBJECTS_PER_YIELD
from driftd.kube.objects import ObjectKey
from driftd.kube.resource_version import is_newer
from driftd.kube.watch import EventType, WatchEvent
from driftd.model.resource import JsonObject, ResourceRef

log = structlog.get_logger()

NeedsContent = Callable[[ResourceRef, Callable[[], JsonObject]], bool]
"""Whether an object is cached completely. Its content is passed as a function, since it may have to be decoded."""


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One object before and after a change: `old` is None when it was added, `new` when it was deleted.

    `listed` says that a list has shown it and not a watch: others may have come in between.
    """

    ref: ResourceRef
    old: CachedObject | None
    new: CachedObject | None
    listed: bool = False


class ObjectStore:
    """Caches objects, completely or metadata only as `needs_content` says, and passes changes to `on_change`."""

    def __init__(
        self,
        resource: ApiResource,
        packer: Packer,
        needs_content: NeedsContent,
        on_change: Callable[[ObjectChange], None],
        decoded: DecodedCache,
    ) -> None:
        self.objects: dict[ObjectKey, CachedObject] = {}
        self._resource = resource
        self._packer = packer
        self._needs_content = needs_content
        self._on_change = on_change
        self._decoded = decoded

    def to_cached(self, content: JsonObject) -> CachedObject:
        """The cache entry for an object: the present one, if it is of the same version."""
        ref = self._ref(content)
        complete = self._needs_content(ref, lambda: content)
        cached = self.objects.get((ref.namespace, ref.name))
        if (
            cached is not None
            and cached.metadata_only is not complete
            and cached.resource_version == content["metadata"]["resourceVersion"]
        ):
            return cached
        return self._packer.pack(ref, content) if complete else self._packer.pack_metadata(ref, content)

    def needs_content(self, content: JsonObject) -> bool:
        """Whether an object is cached completely."""
        return self._needs_content(self._ref(content), lambda: content)

    def handle_event(self, event: WatchEvent) -> None:
        """Applies an ADDED, MODIFIED or DELETED event."""
        new = self.to_cached(event.object)
        key = _key(new)
        old = self.objects.get(key)
        if old is not None and is_newer(old.resource_version, event.resource_version):
            return  # `set_content` has stored a later version since
        if event.type is EventType.DELETED:
            self.objects.pop(key, None)
            self._notify(ObjectChange(new.ref, old or new, None))
        else:
            self.objects[key] = new
            self._decoded.add(new, event.object)
            self._notify(ObjectChange(new.ref, old, new))

    def replace(self, objects: Mapping[ObjectKey, CachedObject], *, notify: bool) -> None:
        """Replaces everything by the result of a list."""
        before, self.objects = self.objects, dict(objects)
        if not notify:
            return
        for key, old in before.items():
            if key not in objects:
                self._notify(ObjectChange(old.ref, old, None, listed=True))
        for key, new in objects.items():
            previous = before.get(key)
            if previous is None or previous.resource_version != new.resource_version:
                self._notify(ObjectChange(new.ref, previous, new, listed=True))

    def set_content(self, content: JsonObject) -> None:
        """Completes an entry of metadata only with an object from a GET or LIST.

        Its version may be ahead of the watch, whose older events are then skipped. A deleted object stays deleted, and
        a complete entry is left to the watch.
        """
        metadata = content["metadata"]
        key = (metadata.get("namespace"), metadata["name"])
        cached = self.objects.get(key)
        if cached is None or not cached.metadata_only:
            return
        if not is_newer(cached.resource_version, str(metadata["resourceVersion"])):
            self.objects[key] = self._packer.pack(cached.ref, content)

    def remove(self, cached: CachedObject) -> None:
        """Removes an entry whose object no longer exists, without a notification: the watch's event brings that."""
        if self.objects.get(_key(cached)) is cached:
            del self.objects[_key(cached)]

    async def drop_unneeded_content(self) -> None:
        """Reduces entries to metadata that need no content any more."""
        for count, cached in enumerate(list(self.objects.values())):
            if count % OBJECTS_PER_YIELD == OBJECTS_PER_YIELD - 1:
                await asyncio.sleep(0)
            if cached.metadata_only or self.objects.get(_key(cached)) is not cached:
                continue
            if not self._needs_content(cached.ref, lambda cached=cached: cached.object):  # type: ignore[misc]  # bound here
                self.objects[_key(cached)] = self._packer.pack_metadata(cached.ref, cached.object)

    def _ref(self, content: JsonObject) -> ResourceRef:
        metadata = content["metadata"]
        namespace = metadata.get("namespace")
        # Each decoded object brings its own string; a namespace's objects share one.
        shared = sys.intern(namespace) if namespace is not None else None
        return ResourceRef(self._resource.group, self._resource.kind, shared, metadata["name"])

    def _notify(self, change: ObjectChange) -> None:
        try:
            self._on_change(change)
        except Exception as error:  # noqa: BLE001  a defect of the listener: the store has to stay correct
            log_defect("a listener to changes failed", error, ref=str(change.ref))


def by_key(objects: Iterable[CachedObject]) -> dict[ObjectKey, CachedObject]:
    return {_key(cached): cached for cached in objects}


def log_defect(what: str, error: Exception, **about: Any) -> None:
    """Logs where an error was raised. No traceback: some renderers print local variables, which may be Secrets."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error(what, **about, error=type(error).__name__, at=f"{frame.filename}:{frame.lineno}")


def _key(cached: CachedObject) -> ObjectKey:
    return (cached.ref.namespace, cached.ref.name)
