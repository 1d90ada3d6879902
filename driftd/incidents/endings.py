"""How drift of an object ended, told from what was done: by driftd, a rule, Git, or somebody's hand. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.incident import Ended, Resolution
from driftd.model.operation import Operation
from driftd.model.path import FieldPath, ListKey, PathSet, SetValue
from driftd.model.plan import WRITTEN, Outcome, Trigger
from driftd.model.resource import Json, Manifest, ResourceRef


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known once drift is over.

    `verdicts` are those on the objects in question after the pass. `declared` gives what the pass compared an object
    with, `earlier` what was declared when the drift was last seen: None where that is the same, or not kept any more.
    `held` says that the app is held at an earlier revision. `put_back_by` tells who but driftd put something back.
    """

    verdicts: Mapping[ResourceRef, Verdict]
    writes: Sequence[Operation]
    declared: Callable[[ResourceRef], Manifest | None]
    no_longer_declared: Collection[ResourceRef]
    earlier: Mapping[ResourceRef, Manifest] = field(default_factory=dict)
    held: bool = False
    put_back_by: Callable[[Verdict], FieldOwner | None] = lambda _drift: None

    def ended(self, drift: Verdict, now: datetime) -> Ended:
        """How this drift ended, which is over."""
        write = self._write(drift)
        if write is not None and write.outcome is Outcome.INTERRUPTED:
            return Ended(drift, Resolution.UNCONFIRMED, now, operation=write.id)
        if write is not None:
            return Ended(drift, _by_write(drift, write), now, write.by, write.id, write.taken_from)
        resolution = self._without_us(drift)
        by = self.put_back_by(drift) if resolution is Resolution.REVERTED else None
        return Ended(drift, resolution, now, by.manager if by is not None else None)

    def _write(self, drift: Verdict) -> Operation | None:
        """The last write that put the drift right, or one of which that is not known."""
        own = [one for one in self.writes if one.ref == drift.ref and covers(one, drift)]
        effective = [one for one in own if one.outcome in WRITTEN]
        unknown = [one for one in own if one.outcome is Outcome.INTERRUPTED]
        return next(reversed(effective or unknown), None)

    def _without_us(self, drift: Verdict) -> Resolution:
        declared = self.declared(drift.ref)
        if drift.status is Status.ORPHANED:
            if declared is not None:
                return Resolution.ACCEPTED
            return Resolution.DELETED if drift.ref in self.no_longer_declared else Resolution.UNTRACKED
        if declared is None:
            return Resolution.ACCEPTED if drift.status is Status.MISSING else Resolution.SUPERSEDED
        if self._ignored(drift):
            return Resolution.IGNORED
        if self._declared_otherwise(drift, declared):
            return Resolution.ROLLED_BACK if self.held else Resolution.ACCEPTED
        behind = drift.behind is not None or (drift.fields and all(one.behind for one in drift.fields))
        return Resolution.DEPLOYED if behind else Resolution.REVERTED

    def _ignored(self, drift: Verdict) -> bool:
        verdict = self.verdicts.get(drift.ref)
        if verdict is None:
            return False
        ignored = PathSet(one.path for one in verdict.ignored)
        return any(ignored.overlaps(one.path) for one in drift.fields)

    def _declared_otherwise(self, drift: Verdict, declared: Manifest) -> bool:
        """Whether Git declares something else now of what differed."""
        earlier = self.earlier.get(drift.ref)
        if earlier is None:
            return False
        return any(_declared(one, earlier.body) != _declared(one, declared.body) for one in drift.fields)


def over(drift: Verdict, now: Verdict | None) -> Verdict | None:
    """What of some drift of an object is over, its verdict being `now`; None where nothing is.

    A field with another live value still differs, and so does an object that differs in another way as a whole.
    """
    if now is None:
        return drift
    if not drift.status is now.status is Status.DRIFTED:
        return None
    differing = PathSet(other.path for other in now.fields)
    gone = tuple([one for one in drift.fields if not differing.overlaps(one.path)])
    return replace(drift, fields=gone) if gone else None


def put_right(drift: Verdict, now: Verdict | None) -> Verdict | None:
    """What of some drift that was written over is gone, the verdict being `now`; None where nothing is.

    A field that somebody has changed once more was put right in between: it has another live value now.
    """
    if now is None:
        return drift
    if drift.status is not now.status:
        return drift
    by_value = defaultdict[str, list[FieldPath]](list)
    for one in now.fields:
        by_value[_text(one.live)].append(one.path)
    differing = {value: PathSet(paths) for value, paths in by_value.items()}
    gone = tuple(
        [one for one in drift.fields if (same := differing.get(_text(one.live))) is None or not same.overlaps(one.path)]
    )
    return replace(drift, fields=gone) if gone else None


def untold(drift: Verdict, told: Verdict | None) -> Verdict | None:
    """What of some drift of an object is not in what people were told of that object; None where all is."""
    if told is None or told.status is not drift.status:
        return drift
    known = {(one.path, one.change, _text(one.live)) for one in told.fields}
    fields = tuple([one for one in drift.fields if (one.path, one.change, _text(one.live)) not in known])
    return replace(drift, fields=fields) if fields else None


def _text(value: Json) -> str:
    """By which equal values are found: maps and lists cannot be looked up."""
    return json.dumps(value, sort_keys=True)


def covers(write: Operation, drift: Verdict) -> bool:
    """Whether a write was to put right some of this drift."""
    if drift.status is not Status.DRIFTED or write.status is not Status.DRIFTED:
        return drift.status is write.status
    differing = PathSet(one.path for one in drift.fields)
    return any(differing.overlaps(one.path) for one in write.fields)


def _by_write(drift: Verdict, write: Operation) -> Resolution:
    if write.trigger is Trigger.ROLLBACK:
        return Resolution.ROLLED_BACK
    behind = bool(drift.fields) and all(one.behind for one in drift.fields)
    return Resolution.DEPLOYED if behind and write.trigger is Trigger.SYNC else Resolution.HEALED


_ABSENT = object()


def _declared(field_: FieldDrift, body: Json) -> object:
    """What a manifest declares of a field: at its position, or by its path for a field that was not declared."""
    value: Json = body
    for segment in field_.path if field_.change is Change.ADDED else field_.at:
        value = _child(value, segment)
        if value is _ABSENT:
            return _ABSENT
    return value


def _child(value: Json, segment: str | int | ListKey | SetValue) -> Json:
    match segment:
        case str():
            return value.get(segment, _ABSENT) if isinstance(value, dict) else _ABSENT
        case int():
            return value[segment] if isinstance(value, list) and segment < len(value) else _ABSENT
        case _ if not isinstance(value, list):
            return _ABSENT
        case ListKey(keys):
            items = [item for item in value if isinstance(item, dict) and all(item.get(k, v) == v for k, v in keys)]
            return items[0] if items else _ABSENT
        case SetValue(wanted):
            return wanted if wanted in value else _ABSENT
