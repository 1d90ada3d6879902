"""Follows the drift of apps from pass to pass: what people were told of, and what is still to be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from driftd.incidents.drift import DriftPass, merged
from driftd.incidents.endings import Evidence, over, put_right
from driftd.incidents.findings import PassRecord, drift_finding, drift_identity
from driftd.incidents.quiet import QuietPeriods
from driftd.model.drift import Status, Verdict
from driftd.model.errors import StoreError
from driftd.model.fingerprint import Fingerprints
from driftd.model.incident import Incident, IncidentType
from driftd.model.plan import Outcome, Trigger
from driftd.model.report import Report
from driftd.model.resource import Manifest, ResourceRef
from driftd.store.incidents import Change
from driftd.store.store import Store

_ByRef = Mapping[ResourceRef, Verdict]


@dataclass(frozen=True, slots=True)
class Untold:
    """Drift that passes found and that people were not told of, and the revision of the last of them."""

    verdicts: _ByRef = field(default_factory=dict)
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    """What a pass means for the incident about drift: its change, in how long a change that is held back is due, and
    what is untold once the change is written."""

    untold: Untold
    change: Change | None = None
    wait: timedelta | None = None


class DriftFollower:
    """Follows the drift of each app."""

    def __init__(self, store: Store, quiet: QuietPeriods) -> None:
        self._store = store
        self._quiet = quiet
        self._untold: defaultdict[str, Untold] = defaultdict(Untold)
        self._fingerprints: defaultdict[str, Fingerprints] = defaultdict(lambda: Fingerprints(drift_identity))

    async def follow(
        self, record: PassRecord, known: Incident | None, now: datetime, *, sync_failed: bool = False
    ) -> Followed:
        """What a pass means for the open incident about drift. Nothing is written. Raises: StoreError.

        `sync_failed` says that an incident about a failed sync is open: it tells of what could not be brought in.
        """
        report, untold = record.report, self._untold[record.report.app]
        found = _without_lag(report.drifted, known) if sync_failed else report.drifted
        if record.held_back:
            found = tuple([verdict for verdict in found if verdict.ref not in record.held_back])
        quiet = self._quiet.remaining(known, now)
        if not record.writes and (not record.settled or (quiet and _goes_on(record, known))):
            # before that, whatever is new about it need not even be hashed
            return Followed(_with(untold, found, record), wait=quiet if record.settled else None)
        drifted = (*found, *_unread(record, known))
        current = {verdict.ref: verdict for verdict in drifted}
        moments = merged([*_healed(record, current), *self._came_and_went(untold, report, current)])
        finding = drift_finding(record, drifted, self._fingerprints[report.app])
        if known is None and finding is None and not moments:
            return Followed(Untold())
        evidence = await self._evidence(record, known, moments, current, untold)
        drift = DriftPass(report, finding, current, moments, evidence, self._quiet, now)
        steps = drift.steps(known)
        change = (IncidentType.DRIFT, drift.steps) if steps else None
        if known is None or finding is None or quiet is None or finding.fingerprint == known.fingerprint:
            return Followed(Untold(), change)
        if any(incident.id == known.id for incident, _ in steps):
            return Followed(Untold(), change)
        waiting = {verdict.ref: verdict for verdict in moments if _speaks_of(known, verdict)}
        return Followed(_with(Untold(waiting), found, record), change, quiet)

    def written(self, app: str, followed: Followed) -> None:
        """Says that the change has been written."""
        self._untold[app] = followed.untold

    @staticmethod
    def _came_and_went(untold: Untold, report: Report, current: _ByRef) -> list[Verdict]:
        """The drift that people were not told of and that is not there any more."""
        gone = [verdict for ref, verdict in untold.verdicts.items() if ref not in current]
        if not gone:
            return []
        unread = _unread_refs(report, {verdict.ref for verdict in gone})
        return [verdict for verdict in gone if verdict.ref not in unread]

    async def _evidence(
        self, record: PassRecord, known: Incident | None, moments: list[Verdict], current: _ByRef, untold: Untold
    ) -> Evidence:
        told = known.resources if known is not None else ()
        refs = {one.ref for one in (*told, *moments) if one.ref not in current or over(one, current[one.ref])}
        seen_at = known.revision if known is not None else untold.revision
        moved_on = refs and seen_at is not None and seen_at != record.sha
        return Evidence(
            verdicts=_verdicts(record.report, refs),
            writes=record.writes,
            declared=record.declared,
            no_longer_declared=record.no_longer_declared,
            earlier=await self._declared_at(record.report.app, seen_at, refs) if moved_on and seen_at else {},
            held=record.hold is not None,
            put_back_by=record.put_back_by,
        )

    async def _declared_at(self, app: str, sha: str, refs: set[ResourceRef]) -> Mapping[ResourceRef, Manifest]:
        """What an earlier revision declared of some objects; nothing where its manifests are not kept any more."""
        try:
            revision = await self._store.revision(app, sha)
            manifests = await self._store.manifests(revision.digest) if revision is not None else ()
        except StoreError:
            return {}
        by_name = {(one.ref.group, one.ref.kind, one.ref.name): one for one in manifests}
        return {
            ref: found
            for ref in refs
            if (found := by_name.get((ref.group, ref.kind, ref.name))) is not None
            and found.ref.namespace in (None, ref.namespace)
        }


def _healed(record: PassRecord, current: _ByRef) -> Iterator[Verdict]:
    """What driftd put right, or somebody else at the same time, of what it was to put right."""
    for write in record.writes:
        # What is taken over is told even where a commit brings it: it changes who deploys the object.
        told = write.trigger is Trigger.HEAL or write.taken_from is not None
        if told and write.outcome is not Outcome.FAILED:
            verdict = put_right(write.drift, current.get(write.ref))
            if verdict is not None:
                yield verdict


def _goes_on(record: PassRecord, known: Incident | None) -> bool:
    """Whether drift that people know of is still there, at the same revision, and nothing was done about it."""
    same_revision = known is not None and known.revision == record.sha
    return same_revision and record.action is None and bool(record.report.drifted)


def _with(untold: Untold, drifted: Sequence[Verdict], record: PassRecord) -> Untold:
    found = {verdict.ref: verdict for verdict in drifted}
    return Untold({**untold.verdicts, **found}, record.sha)


def _without_lag(drifted: Sequence[Verdict], known: Incident | None) -> tuple[Verdict, ...]:
    """The drift without what is nothing but a commit that has yet to come in, unless people were told of it before."""
    told = {verdict.ref for verdict in known.resources} if known is not None else frozenset[ResourceRef]()
    return tuple(
        [
            verdict
            for verdict in drifted
            if verdict.behind is None or verdict.ref in told or not all(field.behind for field in verdict.fields)
        ]
    )


def _unread(record: PassRecord, known: Incident | None) -> list[Verdict]:
    """Drift whose objects could not be read: what people know of, and what driftd has written over without seeing
    what came of it. It has not gone away."""
    if not record.report.undecided:
        return []
    told = {verdict.ref: verdict for verdict in known.resources} if known is not None else {}
    unread = _unread_refs(record.report, set(told))
    written = {one.ref: one.drift for one in record.unverified if one.trigger is Trigger.HEAL}
    return [verdict for ref, verdict in {**written, **told}.items() if ref in unread or ref in written]


def _speaks_of(incident: Incident, verdict: Verdict) -> bool:
    return any(one.ref == verdict.ref for one in incident.resources)


def _unread_refs(report: Report, refs: set[ResourceRef]) -> set[ResourceRef]:
    if not report.undecided:
        return set()
    verdicts = _verdicts(report, refs)
    unknown = {ref for ref, verdict in verdicts.items() if verdict.status is Status.UNKNOWN}
    # Where the cluster as a whole cannot be read, not even the namespaces of the objects are known.
    nothing_read = report.error is not None or report.counts[Status.UNKNOWN] == len(report.verdicts)
    return unknown | (refs - verdicts.keys()) if nothing_read else unknown


def _verdicts(report: Report, refs: set[ResourceRef]) -> _ByRef:
    return {verdict.ref: verdict for verdict in report.verdicts if verdict.ref in refs} if refs else {}
