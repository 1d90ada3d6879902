"""The object store: objects by kind, and the latest changes of each kind for its watches.

A stored object is never modified, only replaced, so it can be shared without a copy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from driftd.sandbox.document import Object

Name = tuple[str, str]
"""Namespace (empty for a cluster-scoped object) and name."""
CollectionKey = tuple[str, str]
"""API group and plural."""


@dataclass(slots=True, eq=False)
class Change:
    """One write. `before` is None for a creation, `after` for a deletion."""

    revision: int
    before: Object | None
    after: Object | None
    tombstone: Object | None = None
    """A deleted object as in its last event, with the revision of the deletion."""
    encoded: bytes | None = None
    """The object as JSON, encoded once for all watches."""


Listener = Callable[[CollectionKey, Change], None]


@dataclass(slots=True, eq=False)
class Collection:
    """The objects of one kind, in all versions."""

    key: CollectionKey
    history_limit: int
    objects: dict[Name, Object] = field(default_factory=dict)
    by_namespace: dict[str, dict[Name, Object]] = field(default_factory=dict)
    history: deque[Change] = field(default_factory=deque)
    oldest: int = 0
    """The oldest revision that a watch can start from; earlier changes are dropped."""
    listeners: set[Callable[[Change], None]] = field(default_factory=set)

    def in_namespace(self, namespace: str | None) -> list[tuple[Name, Object]]:
        """The objects, ordered by namespace and name as in a list. None selects all namespaces."""
        objects = self.objects if namespace is None else self.by_namespace.get(namespace, {})
        return sorted(objects.items(), key=lambda pair: pair[0])

    def since(self, revision: int) -> Iterator[Change] | None:
        """The changes after a revision; None if some of them have been dropped."""
        if revision < self.oldest:
            return None
        start = bisect_right(self.history, revision, key=lambda change: change.revision)
        return (self.history[index] for index in range(start, len(self.history)))

    def put(self, name: Name, obj: Object) -> None:
        self.objects[name] = obj
        self.by_namespace.setdefault(name[0], {})[name] = obj

    def remove(self, name: Name) -> None:
        del self.objects[name]
        inside = self.by_namespace[name[0]]
        del inside[name]
        if not inside:
            del self.by_namespace[name[0]]

    def record(self, change: Change) -> None:
        self.history.append(change)
        while len(self.history) > self.history_limit:
            self.oldest = self.history.popleft().revision
        for listener in tuple(self.listeners):
            listener(change)


class Store:
    """All collections under one revision counter."""

    def __init__(self, *, history_limit: int) -> None:
        self.revision = 1
        self._history_limit = history_limit
        self._collections: dict[CollectionKey, Collection] = {}
        self._owned: dict[str, set[tuple[CollectionKey, Name]]] = {}
        self._listeners: list[Listener] = []

    def collection(self, key: CollectionKey) -> Collection:
        collection = self._collections.get(key)
        if collection is None:
            collection = self._collections[key] = Collection(key, self._history_limit, oldest=self.revision)
        return collection

    def collections(self) -> list[Collection]:
        return list(self._collections.values())

    def get(self, key: CollectionKey, name: Name) -> Object | None:
        collection = self._collections.get(key)
        return collection.objects.get(name) if collection else None

    def subscribe(self, listener: Listener) -> None:
        """Calls `listener` synchronously after every write. It must not write."""
        self._listeners.append(listener)

    def put(self, key: CollectionKey, name: Name, obj: Object) -> Object:
        """Stores an object under a new revision, and returns the stored object."""
        self.revision += 1
        stored = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}
        collection = self.collection(key)
        before = collection.objects.get(name)
        collection.put(name, stored)
        self._index_owners(key, name, before, stored)
        self._publish(collection, Change(self.revision, before, stored))
        return stored

    def delete(self, key: CollectionKey, name: Name, last: Object) -> Object:
        """Removes an object, and returns its last state: `last` with the revision of the deletion."""
        self.revision += 1
        collection = self.collection(key)
        before = collection.objects[name]
        collection.remove(name)
        self._index_owners(key, name, before, None)
        tombstone = {**last, "metadata": {**last["metadata"], "resourceVersion": str(self.revision)}}
        self._publish(collection, Change(self.revision, before, None, tombstone))
        return tombstone

    def load(self, key: CollectionKey, objects: list[tuple[Name, Object]]) -> None:
        """Stores many objects at once, without events, as if they existed before any watch."""
        collection = self.collection(key)
        for name, obj in objects:
            self.revision += 1
            stored = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}
            self._index_owners(key, name, collection.objects.get(name), stored)
            collection.put(name, stored)
        collection.oldest = self.revision
        collection.history.clear()

    def owned_by(self, uid: str) -> list[tuple[CollectionKey, Name]]:
        return sorted(self._owned.get(uid, ()))

    def compact(self) -> None:
        """Drops all history: watches and pages of an earlier version get 410."""
        for collection in self._collections.values():
            collection.history.clear()
            collection.oldest = self.revision

    def _publish(self, collection: Collection, change: Change) -> None:
        collection.record(change)
        for listener in self._listeners:
            listener(collection.key, change)

    def _index_owners(self, key: CollectionKey, name: Name, before: Object | None, after: Object | None) -> None:
        old, new = _owner_uids(before), _owner_uids(after)
        for uid in old - new:
            members = self._owned.get(uid, set())
            members.discard((key, name))
            if not members:
                self._owned.pop(uid, None)
        for uid in new - old:
            self._owned.setdefault(uid, set()).add((key, name))


def _owner_uids(obj: Object | None) -> frozenset[str]:
    references = obj["metadata"].get("ownerReferences") if obj else None
    return frozenset(reference["uid"] for reference in references or ())
