"""Events that have arrived together: of an object whose status alone goes on changing, the last one will do."""

from __future__ import annotations

from driftd.kube.cached_object import field_owners
from driftd.kube.watch import EventType, WatchEvent
from driftd.process.garbage_collector import OBJECTS_PER_YIELD

_Key = tuple[str | None, str]


class EventCoalescer:
    """Collects events until what arrived together is complete.

    Only events that tell of the same hands become one: who took a field away is known by the versions in between.
    """

    def __init__(self) -> None:
        self._events: list[WatchEvent] = []
        self._latest: dict[_Key, int] = {}

    def __len__(self) -> int:
        """How many events are still to be taken in."""
        return len(self._events)

    def add(self, event: WatchEvent) -> list[WatchEvent]:
        """What is to be taken in now: nothing while more is about to come, then all, each object's in its order."""
        if event.type is not EventType.BOOKMARK:
            metadata = event.object["metadata"]
            key = (metadata.get("namespace"), metadata["name"])
            before = self._latest.get(key)
            if before is not None and _one_will_do(self._events[before], event):
                self._events[before] = event
            else:
                self._latest[key] = len(self._events)
                self._events.append(event)
        if event.more and len(self._events) < OBJECTS_PER_YIELD:
            return []
        complete, self._events = self._events, []
        self._latest.clear()
        return complete


def _one_will_do(before: WatchEvent, after: WatchEvent) -> bool:
    if EventType.DELETED in (before.type, after.type):
        return False
    same = before.object["metadata"].get("uid") == after.object["metadata"].get("uid")
    return same and field_owners(before.object) == field_owners(after.object)
