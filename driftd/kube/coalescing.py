"""Coalescing of events received together: of an object whose status keeps changing, only the last event counts."""

from __future__ import annotations

from driftd.kube.cached_object import field_owners, generation
from driftd.kube.listing import OBJECTS_PER_YIELD
from driftd.kube.objects import ObjectKey
from driftd.kube.watch import EventType, WatchEvent


class EventCoalescer:
    """Collects events until all that were received together are there.

    Only events with the same field owners and the same spec are merged: who removed a field, and who put one back,
    follows from the versions in between.
    """

    def __init__(self) -> None:
        self._events: list[WatchEvent] = []
        self._latest: dict[ObjectKey, int] = {}

    def __len__(self) -> int:
        """Number of events not yet returned by `add`."""
        return len(self._events)

    def add(self, event: WatchEvent) -> list[WatchEvent]:
        """Returns nothing while more events are buffered, then all of them, in order for each object."""
        if event.type is not EventType.BOOKMARK:
            metadata = event.object["metadata"]
            key = (metadata.get("namespace"), metadata["name"])
            index = self._latest.get(key)
            if index is not None and _can_coalesce(self._events[index], event):
                self._events[index] = event
            else:
                self._latest[key] = len(self._events)
                self._events.append(event)
        if event.more_buffered and len(self._events) < OBJECTS_PER_YIELD:
            return []
        batch, self._events = self._events, []
        self._latest.clear()
        return batch


def _can_coalesce(before: WatchEvent, after: WatchEvent) -> bool:
    if EventType.DELETED in (before.type, after.type):
        return False
    same_object = before.object["metadata"].get("uid") == after.object["metadata"].get("uid")
    same_spec = generation(before.object) == generation(after.object)
    return same_object and same_spec and field_owners(before.object) == field_owners(after.object)
