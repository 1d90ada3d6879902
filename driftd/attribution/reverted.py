"""Edits that were put back between two passes, told from the versions that an object had. Pure but for the comparison.

A version is compared with Git as every other object is. What differs in one, and not in the last, was put back. Whose
hand it was follows from the write that made the version, and who put it back from the write that ended the difference:
where either could be the deployer's own work, nothing is said.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from driftd.attribution.lag import deployer_of
from driftd.detect.assessor import Assessment
from driftd.diff.compare import Comparison
from driftd.diff.deployer import Deployer
from driftd.diff.owner_changes import OwnerChanges, owner_changes
from driftd.diff.rules.deployer_options import replaces_object
from driftd.diff.rules.field_managers import Managers
from driftd.health.runs import runs_to_an_end
from driftd.live.version_log import SeenVersion
from driftd.model.drift import FIELD_MANAGER, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.path import PathSet
from driftd.model.resource import JsonObject
from driftd.model.reverted import RevertedEdit

_NOTHING: JsonObject = {"metadata": {}}


@dataclass(frozen=True, slots=True)
class Past:
    """The versions of an object from the last one that a pass has seen to the one that it sees now, oldest first.

    `writes` has what each of them changed in managedFields, the first one left out.
    """

    versions: tuple[SeenVersion, ...]
    bodies: tuple[JsonObject | None, ...]
    writes: tuple[OwnerChanges, ...]

    @classmethod
    def of(cls, versions: Sequence[SeenVersion]) -> Past:
        """Unpacks the versions."""
        bodies = tuple([seen.cached.object if seen.cached is not None else None for seen in versions])
        writes = [owner_changes(before or _NOTHING, after or _NOTHING) for before, after in pairwise(bodies)]
        return cls(tuple(versions), bodies, tuple(writes))

    def may_have_edits(self, managers: Managers) -> bool:
        """Whether any write but the last may be a hand's, which nearly none are: only then is anything compared."""
        return any(
            body is None or not write.owners or not all(is_program(owner, managers) for owner in write.owners)
            for body, write in zip(self.bodies[1:-1], self.writes[:-1], strict=True)
        )


def is_program(owner: FieldOwner, managers: Managers) -> bool:
    """Whether a write under this name is a deployer's, a controller's or driftd's: nobody's hand."""
    if owner.manager == FIELD_MANAGER or managers.is_controller(owner):
        return True
    return managers.is_deployer(owner) and not managers.is_of_people(owner)


def reverted_edits(past: Past, assessments: Sequence[Assessment], comparison: Comparison) -> list[RevertedEdit]:
    """The edits of an object that were put back. `assessments` are those of all versions.

    Without lines of Git, and with the users that managedFields does not know still missing.
    """
    verdicts = [one.verdict for one in assessments]
    if any(verdict.status is Status.UNKNOWN for verdict in verdicts) or past.bodies[-1] is None:
        return []
    search = _Search(past, assessments, verdicts, comparison.managers, _deployers(assessments, comparison))
    return [edit for number in range(1, len(verdicts) - 1) for edit in search.edits_of(number)]


def _deployers(assessments: Sequence[Assessment], comparison: Comparison) -> tuple[Deployer, ...]:
    ends = [one for one in (assessments[0], assessments[-1]) if one.live is not None]
    return tuple([deployer_of(one, one.mapped.manifest, comparison) for one in ends])


@dataclass(frozen=True, slots=True)
class _Search:
    past: Past
    assessments: Sequence[Assessment]
    verdicts: Sequence[Verdict]
    managers: Managers
    deployers: Collection[Deployer]

    def edits_of(self, number: int) -> Iterator[RevertedEdit]:
        """What the write that made a version has brought, and others have ended since."""
        if self.past.bodies[number] is None:
            yield from self._deletion(number)
            return
        fields_by_end = defaultdict[int, list[FieldDrift]](list)
        for drift in self._new_fields(number):
            by, is_hand = self._hand(drift, self.past.writes[number - 1])
            if is_hand:
                fields_by_end[self._end(drift, number)].append(replace(drift, by=by))
        for end, fields in fields_by_end.items():
            if self._undoes_its_own(fields[0].by, end):
                continue
            verdict = replace(self.verdicts[number], status=Status.DRIFTED, fields=tuple(fields), ignored=())
            if (edit := self._edit(verdict, number, end, fields[0].by)) is not None:
                yield edit

    def _new_fields(self, number: int) -> Iterator[FieldDrift]:
        """The fields that differ in a version, not (or not so) in the one before, and not any more at last."""
        before = {_identity(drift) for drift in self.verdicts[number - 1].fields}
        lasting = PathSet(drift.path for drift in self.verdicts[-1].fields)
        for drift in self.verdicts[number].fields:
            if not drift.of_deletion and _identity(drift) not in before and not lasting.overlaps(drift.path):
                yield drift

    def _end(self, drift: FieldDrift, number: int) -> int:
        """The first version after another one in which a field does not differ any more."""
        for later in range(number + 1, len(self.verdicts)):
            differing = PathSet(one.path for one in self.verdicts[later].fields)
            if self.past.bodies[later] is not None and not differing.overlaps(drift.path):
                return later
        return len(self.verdicts) - 1

    def _hand(self, drift: FieldDrift, write: OwnerChanges) -> tuple[FieldOwner | None, bool]:
        """Whose hand a difference is, and whether it is one at all."""
        by = drift.by
        if by is None:
            if not write.owners:  # a removal leaves no trace, unless it was an apply
                return None, bool(write.lost) and all(_leaves_trace(deployer) for deployer in self.deployers)
            if len(write.owners) > 1:
                return None, False
            by = write.owners[0]
        elif write.owners and not any(_is_same(by, owner) for owner in write.owners):
            return None, False
        return by, not self._is_of_deployment(by)

    def _undoes_its_own(self, by: FieldOwner | None, end: int) -> bool:
        """Whether a program that is not known has put back what it had changed itself: a step of its work."""
        if by is None or self.managers.is_of_people(by):
            return False
        return [owner.manager for owner in self.past.writes[end - 1].owners] == [by.manager]

    def _is_of_deployment(self, owner: FieldOwner) -> bool:
        if is_program(owner, self.managers):
            return True
        own = [entry for one in self.deployers for entry in (one.entry, one.creator) if entry is not None]
        return any(_is_same(owner, entry.owner) for entry in own)

    def _deletion(self, number: int) -> Iterator[RevertedEdit]:
        """That an object was deleted, and came back as Git declares it.

        Nothing tells who deleted it but the audit log. A deployer that replaces objects deletes them itself: where it
        may have, nothing is said.
        """
        manifest = self.assessments[0].mapped.manifest
        if not {self.verdicts[0].status, self.verdicts[-1].status} <= {Status.IN_SYNC, Status.IGNORED}:
            return
        if runs_to_an_end(manifest.ref) or replaces_object(manifest.body):
            return
        bodies = self.past.bodies
        end = next(later for later in range(number + 1, len(bodies)) if bodies[later] is not None)
        creators = self.past.writes[end - 1].owners
        if len(creators) == 1 and is_program(creators[0], self.managers):
            edit = self._edit(replace(self.verdicts[number], by=None), number, end, None)
            if edit is not None:
                yield edit

    def _edit(self, verdict: Verdict, number: int, end: int, by: FieldOwner | None) -> RevertedEdit | None:
        """None where driftd has put it back: that is a heal, which is told as such."""
        owners = self.past.writes[end - 1].owners
        put_back_by = owners[0] if len(owners) == 1 else None
        if put_back_by is not None and put_back_by.manager == FIELD_MANAGER:
            return None
        start, stop = self.past.versions[number], self.past.versions[end]
        made = start.cached or self.past.versions[number - 1].cached
        began, ended = _time(by, start), _time(put_back_by, stop)
        return RevertedEdit(
            verdict=verdict,
            version=made.resource_version if made is not None else "",
            began=began,
            ended=max(began, ended),
            seconds=_seconds(stop.arrived - start.arrived, by, put_back_by),
            put_back_by=put_back_by,
        )


def _leaves_trace(deployer: Deployer) -> bool:
    """Whether a deployer's removal of a field shows in its entry: it applies, or notes what it has applied."""
    return deployer.entry is not None and (deployer.entry.is_apply or deployer.last_applied is not None)


def _identity(drift: FieldDrift) -> tuple[object, ...]:
    return drift.path, drift.change, json.dumps(drift.live, sort_keys=True)


def _is_same(one: FieldOwner, other: FieldOwner) -> bool:
    return (one.manager, one.operation, one.subresource) == (other.manager, other.operation, other.subresource)


def _time(owner: FieldOwner | None, seen: SeenVersion) -> datetime:
    """When a version was written: by its writer's entry, which has whole seconds, or else when it came."""
    return owner.time if owner is not None and owner.time is not None else seen.time


def _seconds(arrived: float, by: FieldOwner | None, put_back_by: FieldOwner | None) -> float:
    """The time between two writes: between their arrivals, unless the API server's own times say that these came late.

    Those have whole seconds. A watch that was broken for a while delivers what it missed at once.
    """
    if by is None or put_back_by is None or by.time is None or put_back_by.time is None:
        return arrived
    by_server = (put_back_by.time - by.time).total_seconds()
    return arrived if abs(arrived - by_server) <= 1 else max(0.0, by_server)
