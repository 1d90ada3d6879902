"""The objects of one scope, as the server has last told of them."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from driftd.kube.cached_object import CachedObject, DecodedCache, Packer
from driftd.kube.discovery import ApiResource
from driftd.kube.objects import Key
from driftd.kube.watch import EventType, WatchEvent
from driftd.model.resource import JsonObject, ResourceRef
from driftd.process.garbage_collector import OBJECTS_PER_YIELD

log = structlog.get_logger()

Keep = Callable[[ResourceRef, Callable[[], JsonObject]], bool]
"""Whether an object is to be held whole; what is in it is there for the asking, since it may have to be unpacked."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One object before and after: `old` None when it came, `new` None when it went."""

    ref: ResourceRef
    old: CachedObject | None
    new: CachedObject | None


class Collection:
    """Holds each object as compactly as `keep` allows, and tells `on_change` what became of it."""

    def __init__(
        self,
        resource: ApiResource,
        packer: Packer,
        keep: Keep,
        on_change: Callable[[Changed], None],
        at_hand: DecodedCache,
    ) -> None:
        self.objects: dict[Key, CachedObject] = {}
        self._resource = resource
        self._packer = packer
        self._keep = keep
        self._on_change = on_change
        self._at_hand = at_hand

    def packed(self, content: JsonObject) -> CachedObject:
        """An object as it is to be held."""
        ref = self._ref(content)
        whole = self._keep(ref, lambda: content)
        return self._packer.pack(ref, content) if whole else self._packer.pack_metadata(ref, content)

    def keeps(self, content: JsonObject) -> bool:
        """Whether an object is to be held whole."""
        return self._keep(self._ref(content), lambda: content)

    def take(self, event: WatchEvent) -> None:
        """Takes in what a watch tells of an object."""
        cached = self.packed(event.object)
        key = _key(cached)
        held = self.objects.get(key)
        if held is not None and _is_newer(held, event.resource_version):
            return  # it was fetched by itself since (`complete`)
        if event.type is EventType.DELETED:
            self.objects.pop(key, None)
            self._announce(Changed(cached.ref, held or cached, None))
        else:
            self.objects[key] = cached
            self._at_hand.hold(cached, event.object)
            self._announce(Changed(cached.ref, held, cached))

    def replace(self, fresh: Mapping[Key, CachedObject], *, announce: bool) -> None:
        """Takes in a list of everything that there is."""
        before, self.objects = self.objects, dict(fresh)
        if not announce:
            return
        for key, old in before.items():
            if key not in fresh:
                self._announce(Changed(old.ref, old, None))
        for key, new in fresh.items():
            known = before.get(key)
            if known is None or known.resource_version != new.resource_version:
                self._announce(Changed(new.ref, known, new))

    def set_content(self, content: JsonObject) -> None:
        """Takes in a whole object that was read apart from the watch, in the place of its outline.

        It may be newer than what the watch has told: that then arrives late, and is passed over. What has gone since
        stays gone, and what is whole is left to the watch.
        """
        metadata = content["metadata"]
        key = (metadata.get("namespace"), metadata["name"])
        held = self.objects.get(key)
        if held is not None and not held.is_whole and not _is_newer(held, str(metadata["resourceVersion"])):
            self.objects[key] = self._packer.pack(held.ref, content)

    def gone(self, outline: CachedObject) -> None:
        """Takes in that an object is not there any more; the watch tells of its going by itself."""
        if self.objects.get(_key(outline)) is outline:
            del self.objects[_key(outline)]

    async def drop_unneeded_content(self) -> None:
        """Cuts what need not be whole any more down to its outline."""
        for count, held in enumerate(list(self.objects.values())):
            if count % OBJECTS_PER_YIELD == OBJECTS_PER_YIELD - 1:
                await asyncio.sleep(0)
            if not held.is_whole or self.objects.get(_key(held)) is not held:
                continue
            if not self._keep(held.ref, lambda held=held: held.object):  # type: ignore[misc]  # it is bound here
                self.objects[_key(held)] = self._packer.pack_metadata(held.ref, held.object)

    def _ref(self, content: JsonObject) -> ResourceRef:
        metadata = content["metadata"]
        namespace = metadata.get("namespace")
        # Decoding makes a text of its own for each object, of which there are as many as a namespace has objects.
        shared = sys.intern(namespace) if namespace is not None else None
        return ResourceRef(self._resource.group, self._resource.kind, shared, metadata["name"])

    def _announce(self, change: Changed) -> None:
        try:
            self._on_change(change)
        except Exception as error:  # noqa: BLE001  the listener's defect: the objects here must go on being right
            log_defect("a listener to changes failed", error, ref=str(change.ref))


def keyed(objects: list[CachedObject]) -> dict[Key, CachedObject]:
    return {_key(cached): cached for cached in objects}


def log_defect(what: str, error: Exception, **about: Any) -> None:
    """Says where it happened. No traceback: some renderers print its frames' variables, and those may be Secrets."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error(what, **about, error=type(error).__name__, at=f"{frame.filename}:{frame.lineno}")


def _key(cached: CachedObject) -> Key:
    return (cached.ref.namespace, cached.ref.name)


def _is_newer(held: CachedObject, version: str) -> bool:
    """Resource versions of one resource compare as numbers (KEP-5504); others tell nothing."""
    known = held.resource_version
    return known.isdigit() and version.isdigit() and int(known) > int(version)
