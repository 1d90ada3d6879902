"""The actors behind changes that managedFields does not attribute: from watched changes and from the audit log.

A removed field leaves no owner behind; `kubectl scale` leaves one without a time; managedFields never names a user.
A watch delivers both versions of the object, and the API server's audit log names the user.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from driftd.diff.owner_changes import Keys, OwnerChanges, owner_changes
from driftd.diff.ownership import field_key
from driftd.kube.cached_object import CachedObject
from driftd.model.audit import AuditEvent
from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.path import FieldPath
from driftd.model.resource import ResourceRef

_MAX_PER_OBJECT = 16
"""Maximum number of changes, and of audit events, kept per object."""

_MAX_OBJECTS = 50_000
"""Maximum number of objects, the most recently changed ones."""

_EAGER_BYTES = 4096
"""Bytes from which on the two versions of an object are compared at once and not kept: most take some hundreds."""

_CLOCK_SKEW = timedelta(seconds=2)
"""Maximum difference between the clocks of the API server and of driftd."""

_SECOND = timedelta(seconds=1)
"""The resolution of times in managedFields."""


class _ObservedChange:
    """One change of an object. The two versions are compared at the first access, which few changes ever have."""

    __slots__ = ("_result", "_versions", "time")

    def __init__(self, time: datetime, before: CachedObject, after: CachedObject) -> None:
        self.time = time
        self._versions: tuple[CachedObject, CachedObject] | None = (before, after)
        self._result = OwnerChanges()
        if before.size + after.size > _EAGER_BYTES:
            self._compute()

    @property
    def lost(self) -> frozenset[Keys]:
        """The fields that lost their last owner."""
        return self._compute().lost

    @property
    def owners(self) -> tuple[FieldOwner, ...]:
        """The owners whose managedFields entries are new or have grown."""
        return self._compute().owners

    @property
    def earlier(self) -> tuple[FieldOwner, ...]:
        """The owners of managedFields entries before the change."""
        return self._compute().earlier

    def _compute(self) -> OwnerChanges:
        if self._versions is not None:
            before, after = self._versions
            self._result = owner_changes(before.object, after.object)
            self._versions = None
        return self._result


class ActorLog:
    """A bounded log of changes and audit events since the start, from which verdicts are attributed."""

    def __init__(self) -> None:
        self._changes: OrderedDict[ResourceRef, deque[_ObservedChange]] = OrderedDict()
        self._audit: OrderedDict[ResourceRef, deque[AuditEvent]] = OrderedDict()

    def record_change(
        self, ref: ResourceRef, old: CachedObject | None, new: CachedObject | None, now: datetime
    ) -> None:
        """Records a watched change of an object. Versions held as metadata only cannot be compared."""
        if old is None or new is None or (old.metadata_only or new.metadata_only):
            return
        if old.field_owners != new.field_owners:
            _append(self._changes, ref, _ObservedChange(now, old, new))

    def record_audit(self, ref: ResourceRef, event: AuditEvent) -> None:
        """Records a write of an object."""
        _append(self._audit, ref, event)

    @property
    def has_audit(self) -> bool:
        """Whether there have been audit events."""
        return bool(self._audit)

    def deleter(self, ref: ResourceRef, time: datetime) -> FieldOwner | None:
        """Who deleted an object at about this time; None where no audit event says so, or several do."""
        events = [e for e in self._audit.get(ref, ()) if e.verb == "delete" and e.gap(time) <= _CLOCK_SKEW]
        return _deleter(events[0]) if len(events) == 1 else None

    def attribute(self, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
        """The verdicts with owners, users and times that managedFields does not have."""
        return tuple(self._attributed(v) if v.ref in self._changes or v.ref in self._audit else v for v in verdicts)

    def _attributed(self, verdict: Verdict) -> Verdict:
        if verdict.status is Status.MISSING:
            return replace(verdict, by=self._deleted(verdict.ref))
        if not verdict.fields:
            return verdict
        return replace(verdict, fields=tuple(replace(f, by=self._owner(verdict.ref, f)) for f in verdict.fields))

    def _owner(self, ref: ResourceRef, drift: FieldDrift) -> FieldOwner | None:
        if drift.of_deletion:
            return self._deleted(ref)
        if drift.by is None:
            return self._remover(ref, drift.path) if drift.change is Change.REMOVED else None
        return self.with_user(ref, drift.by)

    def _remover(self, ref: ResourceRef, path: FieldPath) -> FieldOwner | None:
        keys = tuple(field_key(segment) for segment in path)
        for change in reversed(self._changes.get(ref, ())):
            if any(_overlap(lost, keys) for lost in change.lost):
                if len(change.owners) == 1:
                    return self.with_user(ref, change.owners[0])
                event = self._write_behind(ref, change)
                if event is not None:
                    return _with_audit(FieldOwner(event.manager or "unknown", "Update", time=event.time), event)
                return None
        return None

    def with_user(self, ref: ResourceRef, owner: FieldOwner) -> FieldOwner:
        """The owner of an entry, with the user who made the write.

        The same API server timed the entry and the event, so that they overlap; of several events, the last one made
        the entry. An entry without a time gets that at which the watch delivered the change.
        """
        if owner.time is not None:
            return _with_audit(
                owner, max(self._writes_of_entry(ref, owner), key=lambda event: event.time, default=None)
            )
        change = self._change_by(ref, owner)
        if change is None:
            return owner
        return _with_audit(replace(owner, time=change.time), self._write_behind(ref, change, owner.manager))

    def _change_by(self, ref: ResourceRef, owner: FieldOwner) -> _ObservedChange | None:
        return next((change for change in reversed(self._changes.get(ref, ())) if owner in change.owners), None)

    def _write_behind(self, ref: ResourceRef, change: _ObservedChange, manager: str | None = None) -> AuditEvent | None:
        """The write that made a change for which managedFields has no time: the nearest, by `manager` if given.

        Its audit event may arrive seconds later. So events that made another change, or an entry from before this
        change, are excluded.
        """
        others = [other.time for other in self._changes.get(ref, ()) if other is not change]
        earlier = {
            min(self._writes_of_entry(ref, owner), key=lambda event: event.time, default=None)
            for owner in change.earlier
        }
        candidates = [
            event
            for event in self._writes(ref)
            if event not in earlier
            and event.subresource != "status"
            and manager in (None, event.manager)
            and event.gap(change.time) <= min([_CLOCK_SKEW, *map(event.gap, others)])
        ]
        return min(candidates, key=lambda event: (event.gap(change.time), change.time - event.time), default=None)

    def _writes_of_entry(self, ref: ResourceRef, owner: FieldOwner) -> Iterator[AuditEvent]:
        """The writes that may have made a managedFields entry: by its manager, in its second."""
        for event in self._writes(ref):
            if owner.time is not None and event.manager == owner.manager and not event.gap(owner.time, _SECOND):
                yield event

    def _writes(self, ref: ResourceRef) -> Iterator[AuditEvent]:
        return (event for event in self._audit.get(ref, ()) if event.verb != "delete")

    def _deleted(self, ref: ResourceRef) -> FieldOwner | None:
        return next((_deleter(event) for event in reversed(self._audit.get(ref, ())) if event.verb == "delete"), None)


def _deleter(event: AuditEvent) -> FieldOwner:
    return FieldOwner(event.manager or "unknown", "Delete", None, event.user, event.time, event.source, event.verb)


def _with_audit(owner: FieldOwner, event: AuditEvent | None) -> FieldOwner:
    if event is None:
        return owner
    return replace(owner, user=event.user, source=event.source, verb=event.verb)


def _append(entries_by_ref: OrderedDict[ResourceRef, deque[Any]], ref: ResourceRef, entry: object) -> None:
    entries_by_ref.setdefault(ref, deque(maxlen=_MAX_PER_OBJECT)).append(entry)
    entries_by_ref.move_to_end(ref)
    if len(entries_by_ref) > _MAX_OBJECTS:
        entries_by_ref.popitem(last=False)


def _overlap(lost: Keys, path: Keys) -> bool:
    """Whether two paths are the same field, or one of them is below the other."""
    shorter = min(len(lost), len(path))
    return lost[:shorter] == path[:shorter]
