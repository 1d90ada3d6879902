"""From a pass to its findings: what is wrong with an app, by incident type. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from driftd.model.drift import FieldOwner, Status, Verdict
from driftd.model.fingerprint import Fingerprints, verdict_identity
from driftd.model.health import Health, describe
from driftd.model.incident import IncidentType, Resolution
from driftd.model.operation import Operation
from driftd.model.plan import Action, Hold
from driftd.model.report import Report
from driftd.model.resource import Manifest, ResourceRef
from driftd.model.reverted import RevertedEdit
from driftd.model.text import plural

_MAX_LISTED = 10

drift_identity = partial(verdict_identity, with_user=True)
"""What of a verdict makes drift another one, for its fingerprint: that its user came to be known, too."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong now. `cause` identifies it: equal for two passes that found the same."""

    type: IncidentType
    app: str
    cluster: str
    revision: str | None
    resources: tuple[Verdict, ...] = ()
    message: str = ""
    cause: str = ""

    @property
    def fingerprint(self) -> str:
        """Equal for two passes that found the same; times and texts that only count on do not matter."""
        return hashlib.sha256(f"{self.type}\n{self.cause or self.message}".encode()).hexdigest()[:16]


def _nothing(_ref: ResourceRef) -> Manifest | None:
    """What Git declares, where nothing could be read of it."""
    return None


@dataclass(frozen=True, slots=True)
class PassRecord:
    """A pass, as it is recorded: its report, from after it acted, and what it did.

    `writes` are the operations of this pass, and those that an earlier process left open; `plans` are the ids of the
    plans that are concluded by them. `action` is this pass's own.
    `unverified` are those whose objects could not be read since: their plans stay open.
    `declared` gives what the pass compared an object with; `no_longer_declared` are the objects of earlier revisions
    that were looked for as orphans.
    `conflicts` says which objects other apps declare, too.
    `rollback_refused` says why a bad revision was not rolled back although it should have been.
    `put_back_by` tells who else than driftd put some drift back, where that is known.
    `reverted` are edits that were put back before a pass saw them: they are recorded, and nobody is notified.
    `settled` is False while Git's side of some differences is still being looked up: people are notified after that.
    `held_back` are objects of whose drift nobody is told yet: their deployer has just written them.
    `version` is that of the app state that the pass rests on, where it must still be in force.
    """

    report: Report
    health: tuple[Health, ...] = ()
    action: Action | None = None
    writes: tuple[Operation, ...] = ()
    plans: frozenset[str] = frozenset()
    unverified: tuple[Operation, ...] = ()
    hold: Hold | None = None
    rollback_refused: str = ""
    conflicts: tuple[str, ...] = ()
    declared: Callable[[ResourceRef], Manifest | None] = _nothing
    no_longer_declared: Collection[ResourceRef] = ()
    put_back_by: Callable[[Verdict], FieldOwner | None] = lambda _drift: None
    reverted: tuple[RevertedEdit, ...] = ()
    settled: bool = True
    held_back: frozenset[ResourceRef] = frozenset()
    version: str | None = None

    @property
    def sha(self) -> str | None:
        return self.report.revision.sha if self.report.revision else None

    @property
    def rollback_is_known(self) -> bool:
        """Whether what there is to say of a rollback is known: not before the held revision could be read."""
        return self.hold is None or self.action is not None or not self.report.undecided


def drift_finding(record: PassRecord, drifted: tuple[Verdict, ...], fingerprints: Fingerprints) -> Finding | None:
    """`fingerprints` are those of the app's drift before."""
    if not drifted:
        return None
    report = record.report
    cause = fingerprints.of(drifted)
    return Finding(IncidentType.DRIFT, report.app, report.cluster, record.sha, drifted, cause=cause)


def other_findings(record: PassRecord) -> dict[IncidentType, Finding | None]:
    """The findings of every type but drift."""
    findings = {
        IncidentType.SYNC_FAILED: _sync_failed(record) or _rollback_refused(record),
        IncidentType.SOURCE: _source_broken(record),
        IncidentType.UNHEALTHY: _unhealthy(record),
        IncidentType.CONFLICT: _conflict(record),
    }
    if record.rollback_is_known:
        findings[IncidentType.ROLLBACK] = _rolled_back(record)
    return findings


def source_unreachable(source: str, error: str, revision: str | None) -> Finding:
    """A source that does not answer: an incident of its own, for all its apps."""
    return Finding(IncidentType.SOURCE, source_app(source), "", revision, message=error, cause="unreachable")


def source_app(source: str) -> str:
    """The name under which the incident of a source is kept."""
    return f"source/{source}"


def config_refused(file: str, mistakes: Sequence[str]) -> Finding:
    """A configuration with mistakes, which the daemon did not take up. `file` is its name without its folder."""
    message = "\n".join(_listed(mistakes, "other mistake"))
    return Finding(IncidentType.CONFIG, f"config/{file}", "", None, message=message)


def _listed(lines: Sequence[str], noun: str) -> list[str]:
    """The first lines, and how many there are beside them."""
    more = len(lines) - _MAX_LISTED
    return [*lines[:_MAX_LISTED], *([f"and {plural(more, noun)}"] if more > 0 else [])]


def may_persist(type_: IncidentType, record: PassRecord) -> bool:
    """Whether an incident without a finding may go on all the same: what cannot be read has not gone away."""
    report = record.report
    match type_:
        case IncidentType.UNHEALTHY:
            return report.undecided
        case IncidentType.SYNC_FAILED:  # without a new attempt, it is over once nothing is left to apply
            to_apply = any(v.status in (Status.DRIFTED, Status.MISSING) for v in report.notable)
            return record.action is None and (report.undecided or to_apply)
        case IncidentType.SOURCE:
            return report.revision is None
        case _:
            return False


def resolution(type_: IncidentType, record: PassRecord, incident_revision: str | None) -> Resolution:
    """How an incident about something else than drift ended that has no finding any more."""
    moved_on = record.sha is not None and incident_revision != record.sha
    match type_:
        case IncidentType.UNHEALTHY:
            return Resolution.RECOVERED
        case IncidentType.SOURCE:
            return Resolution.SUPERSEDED if moved_on else Resolution.RECOVERED
        case IncidentType.SYNC_FAILED if record.hold is not None and moved_on:
            return Resolution.ROLLED_BACK
        case IncidentType.SYNC_FAILED if not moved_on:
            written = record.action is not None and bool(record.action.written)
            return Resolution.HEALED if written else Resolution.REVERTED
        case _:
            return Resolution.SUPERSEDED


def _finding(type_: IncidentType, record: PassRecord, message: str, cause: str) -> Finding:
    return Finding(type_, record.report.app, record.report.cluster, record.sha, message=message, cause=cause)


def _sync_failed(record: PassRecord) -> Finding | None:
    if record.action is None or not record.action.failed:
        return None
    lines = "\n".join([f"{applied.ref}: {applied.error}" for applied in record.action.failed])
    return _finding(IncidentType.SYNC_FAILED, record, lines, lines)


def _rollback_refused(record: PassRecord) -> Finding | None:
    bad = record.report.revision
    if not record.rollback_refused or bad is None:
        return None
    message = f"{bad.short} ({bad.subject}) is bad: {record.rollback_refused}"
    return _finding(IncidentType.SYNC_FAILED, record, message, f"no way back from {bad.sha}")


def _source_broken(record: PassRecord) -> Finding | None:
    """What is wrong with a revision. Without one it is the source that is unreachable, an incident of its own."""
    error = record.report.error
    if error is None or record.report.revision is None:
        return None
    return _finding(IncidentType.SOURCE, record, error, error)


def _unhealthy(record: PassRecord) -> Finding | None:
    if not record.health:
        return None
    cause = " ".join(sorted(f"{health.ref}={health.state}" for health in record.health))
    return _finding(IncidentType.UNHEALTHY, record, describe(record.health), cause)


def _conflict(record: PassRecord) -> Finding | None:
    if not record.conflicts:
        return None
    message = "\n".join(_listed(record.conflicts, "other object"))
    return _finding(IncidentType.CONFLICT, record, message, "\n".join(record.conflicts))


def _rolled_back(record: PassRecord) -> Finding | None:
    hold, to = record.hold, record.report.revision
    if hold is None or to is None:
        return None
    return Finding(
        IncidentType.ROLLBACK, record.report.app, record.report.cluster, hold.bad_revision,
        message=f"rolled back from {hold.bad_revision[:8]} to {to.short} ({to.subject}): {hold.reason}; "
        "held there until what Git declares changes",
        cause=f"{hold.bad_revision}>{hold.revision}",
    )  # fmt: skip
