"""Who did it, where the object itself does not tell: what was seen between two versions, and what the audit log says.

A field that was taken away leaves no owner behind; `kubectl scale` leaves one without a time; managedFields never names
a user. The watch saw both versions, and the API server's audit log knows the user.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from driftd.diff.ownership import Entry, entries, field_key
from driftd.kube.packing import CachedObject
from driftd.model.audit import AuditEvent
from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.path import FieldPath
from driftd.model.resource import JsonObject, ResourceRef

_MAX_PER_OBJECT = 16
"""So many sightings and audit events of one object are remembered."""

_MAX_OBJECTS = 50_000
"""So many objects are remembered, the latest that changed."""

_EAGER_BYTES = 4096
"""Bytes from which on the two versions of an object are not kept, but looked at at once: most take some hundreds."""

_CLOCK_SKEW = timedelta(seconds=2)
"""How far apart two clocks may be: the API server's, and driftd's own."""

_SECOND = timedelta(seconds=1)
"""managedFields tells whole seconds."""

Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _OwnerChanges:
    lost: frozenset[Keys]
    owners: tuple[FieldOwner, ...]
    earlier: tuple[FieldOwner, ...]


class _ObservedChange:
    """One change of an object. What it was is looked at when it is asked for, which few ever are."""

    __slots__ = ("_result", "_versions", "time")

    def __init__(self, time: datetime, before: CachedObject, after: CachedObject) -> None:
        self.time = time
        self._versions: tuple[CachedObject, CachedObject] | None = (before, after)
        self._result = _OwnerChanges(frozenset(), (), ())
        if before.size + after.size > _EAGER_BYTES:
            self._compute()

    @property
    def lost(self) -> frozenset[Keys]:
        """The fields that lost their last owner."""
        return self._compute().lost

    @property
    def owners(self) -> tuple[FieldOwner, ...]:
        """Those whose entries of managedFields are new."""
        return self._compute().owners

    @property
    def earlier(self) -> tuple[FieldOwner, ...]:
        """Those who had written before."""
        return self._compute().earlier

    def _compute(self) -> _OwnerChanges:
        if self._versions is not None:
            before, after = (_object_entries(version.object) for version in self._versions)
            known = {(entry.owner, entry.api_version): entry.fields for entry in before}
            owners = tuple(entry.owner for entry in after if _is_new_or_grown(entry, known))
            self._result = _OwnerChanges(_lost(before, after), owners, tuple(entry.owner for entry in before))
            self._versions = None
        return self._result


class ActorLog:
    """Remembers, within bounds, and names who it was. Only what happened since the start is known."""

    def __init__(self) -> None:
        self._changes: OrderedDict[ResourceRef, deque[_ObservedChange]] = OrderedDict()
        self._audit: OrderedDict[ResourceRef, deque[AuditEvent]] = OrderedDict()

    def record_change(
        self, ref: ResourceRef, old: CachedObject | None, new: CachedObject | None, now: datetime
    ) -> None:
        """Takes in two versions of an object, as the watch brought them. Of an outline nothing can be said."""
        if old is None or new is None or not (old.is_whole and new.is_whole):
            return
        if old.field_owners != new.field_owners:
            _remember(self._changes, ref, _ObservedChange(now, old, new))

    def record_audit(self, ref: ResourceRef, event: AuditEvent) -> None:
        """Records a write of an object."""
        _remember(self._audit, ref, event)

    def attribute(self, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
        """The verdicts with what is known beyond managedFields of who it was."""
        return tuple(self._attributed(v) if v.ref in self._changes or v.ref in self._audit else v for v in verdicts)

    def _attributed(self, verdict: Verdict) -> Verdict:
        if verdict.status is Status.MISSING:
            return replace(verdict, by=self._deleted(verdict.ref))
        if not verdict.fields:
            return verdict
        return replace(verdict, fields=tuple(replace(f, by=self._owner(verdict.ref, f)) for f in verdict.fields))

    def _owner(self, ref: ResourceRef, drift: FieldDrift) -> FieldOwner | None:
        if drift.by is None:
            return self._remover(ref, drift.path) if drift.change is Change.REMOVED else None
        return self._with_user(ref, drift.by)

    def _remover(self, ref: ResourceRef, path: FieldPath) -> FieldOwner | None:
        keys = tuple(field_key(segment) for segment in path)
        for sighting in reversed(self._changes.get(ref, ())):
            if any(_within(lost, keys) for lost in sighting.lost):
                if len(sighting.owners) == 1:
                    return self._with_user(ref, sighting.owners[0])
                event = self._write_behind(ref, sighting)
                if event is not None:
                    return _with_audit(FieldOwner(event.manager or "unknown", "Update", time=event.time), event)
                return None
        return None

    def _with_user(self, ref: ResourceRef, owner: FieldOwner) -> FieldOwner:
        """The owner of an entry, with the user whose write it was.

        The API server that stamped the entry wrote the event, so that the two meet; of several that do, the entry is
        of the last. Some entries have no time: then it is that at which the change was seen.
        """
        if owner.time is not None:
            return _with_audit(
                owner, max(self._writes_of_entry(ref, owner), key=lambda event: event.time, default=None)
            )
        sighting = self._change_by(ref, owner)
        if sighting is None:
            return owner
        return _with_audit(replace(owner, time=sighting.time), self._write_behind(ref, sighting, owner.manager))

    def _change_by(self, ref: ResourceRef, owner: FieldOwner) -> _ObservedChange | None:
        return next((one for one in reversed(self._changes.get(ref, ())) if owner in one.owners), None)

    def _write_behind(
        self, ref: ResourceRef, sighting: _ObservedChange, manager: str | None = None
    ) -> AuditEvent | None:
        """The write that made a change, of which the object tells no time: the nearest, by the manager if known.

        The audit log may tell of it only seconds later. So it is none that made another change, or of which the object
        had told before.
        """
        others = [other.time for other in self._changes.get(ref, ()) if other is not sighting]
        told = {
            min(self._writes_of_entry(ref, owner), key=lambda event: event.time, default=None)
            for owner in sighting.earlier
        }
        own = [
            event
            for event in self._writes(ref)
            if event not in told
            and event.subresource != "status"
            and manager in (None, event.manager)
            and event.gap(sighting.time) <= min([_CLOCK_SKEW, *map(event.gap, others)])
        ]
        return min(own, key=lambda event: (event.gap(sighting.time), sighting.time - event.time), default=None)

    def _writes_of_entry(self, ref: ResourceRef, owner: FieldOwner) -> Iterator[AuditEvent]:
        """The writes of which an entry of managedFields may tell: that manager's, under way in that second."""
        for event in self._writes(ref):
            if owner.time is not None and event.manager == owner.manager and not event.gap(owner.time, _SECOND):
                yield event

    def _writes(self, ref: ResourceRef) -> Iterator[AuditEvent]:
        return (event for event in self._audit.get(ref, ()) if event.verb != "delete")

    def _deleted(self, ref: ResourceRef) -> FieldOwner | None:
        for event in reversed(self._audit.get(ref, ())):
            if event.verb == "delete":
                manager = event.manager or "unknown"
                return FieldOwner(manager, "Delete", None, event.user, event.time, event.source, event.verb)
        return None


def _with_audit(owner: FieldOwner, event: AuditEvent | None) -> FieldOwner:
    if event is None:
        return owner
    return replace(owner, user=event.user, source=event.source, verb=event.verb)


def _remember(memory: OrderedDict[ResourceRef, deque[Any]], ref: ResourceRef, what: object) -> None:
    memory.setdefault(ref, deque(maxlen=_MAX_PER_OBJECT)).append(what)
    memory.move_to_end(ref)
    if len(memory) > _MAX_OBJECTS:
        memory.popitem(last=False)


def _object_entries(body: JsonObject) -> list[Entry]:
    return [entry for entry in entries(body) if entry.owner.subresource != "status"]


def _entry_key(entry: Entry) -> tuple[str, str, str | None, str]:
    """Whose entry it is, whenever that hand was last at work."""
    return entry.owner.manager, entry.owner.operation, entry.owner.subresource, entry.api_version


def _is_new_or_grown(entry: Entry, known: Mapping[tuple[FieldOwner, str], Mapping[str, Any]]) -> bool:
    """Whether the entry has another time than before, or has gained a field: losing one is no deed of its."""
    before = known.get((entry.owner, entry.api_version))
    return before is None or any(True for _ in _fields_beyond(entry.fields, before, ()))


def _lost(before: Sequence[Entry], after: Sequence[Entry]) -> frozenset[Keys]:
    """The fields that had an owner, and have none."""
    still = {_entry_key(entry): entry.fields for entry in after}
    given_up = [path for entry in before for path in _fields_beyond(entry.fields, still.get(_entry_key(entry)), ())]
    return frozenset(path for path in given_up if not any(_has(entry.fields, path) for entry in after))


def _fields_beyond(fields: Mapping[str, Any], others: Mapping[str, Any] | None, above: Keys) -> Iterator[Keys]:
    """The fields that are owned here and not there. What is the same in both, mostly nearly all, is not walked."""
    if fields == others:
        return
    for key, below in fields.items():
        if key == ".":
            if not _is_owned(others):
                yield above
            continue
        there = others.get(key) if others is not None else None
        if below:
            yield from _fields_beyond(below, there, (*above, key))
        elif not _is_owned(there):
            yield (*above, key)


def _has(fields: Mapping[str, Any], path: Keys) -> bool:
    """Whether the field at a path is among the owned ones."""
    at: Mapping[str, Any] | None = fields
    for key in path:
        at = at.get(key) if at is not None else None
    return _is_owned(at)


def _is_owned(fields: Mapping[str, Any] | None) -> bool:
    """Whether what stands below a field says that the field itself is owned, and not only fields inside of it."""
    return fields is not None and (not fields or "." in fields)


def _within(lost: Keys, path: Keys) -> bool:
    """Whether losing one is losing the other: it is the same field, or one of them is inside the other."""
    shorter = min(len(lost), len(path))
    return lost[:shorter] == path[:shorter]
