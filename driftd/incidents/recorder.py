"""What a pass leaves behind: the report, and the incidents that people are told of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from driftd.desired.source import SourceState
from driftd.incidents.transitions import Finding, drift_finding, identity, of_type, transition
from driftd.model.drift import Status, Verdict
from driftd.model.fingerprint import Fingerprints
from driftd.model.health import Health
from driftd.model.incident import Incident, IncidentEvent, IncidentType, Notification, Resolution
from driftd.model.plan import Action, Hold
from driftd.model.report import Report
from driftd.policy.lifecycle import describe
from driftd.store.incidents import TransitionOf
from driftd.store.store import Store

Transition = tuple[Incident, Notification | None]

_COALESCED = frozenset({IncidentType.DRIFT, IncidentType.UNHEALTHY})
_QUIET_PERIOD = timedelta(seconds=5)
"""How long nobody is told that such trouble has changed again: many edits in a row are one message."""

_MIN_FETCH_FAILURES = 2
"""So many fetches in a row must fail before people are told."""


class Recorder:
    """Writes to the store; `told` is called when there is something to deliver."""

    def __init__(
        self, store: Store, channels: Sequence[str], now: Callable[[], datetime], notify: Callable[[], None]
    ) -> None:
        self._store = store
        self._channels = tuple(channels)
        self._now = now
        self._notify = notify
        self._unsettled_drift: dict[str, tuple[Verdict, ...]] = {}
        self._fingerprints: defaultdict[str, Fingerprints] = defaultdict(lambda: Fingerprints(identity))

    async def record_pass(
        self,
        before: Report,
        after: Report,
        *,
        health: Sequence[Health],
        action: Action | None,
        hold: Hold | None,
        planned: bool = False,
        rollback_refused: str = "",
        settled: bool = True,
        version: str | None = None,
    ) -> timedelta | None:
        """Takes in a pass: what it `found`, and what was left `after` it acted.

        `planned` marks the pass that brings a new revision in: what differs before it is the commit, not drift.
        `no_way_back` says why a bad revision stays where it should have been rolled back: somebody has to look.
        `complete` is false while more is about to be known of what differs: people are told then.
        `mark` is that of the `Standing` by which the pass was made, where it must still hold.

        Returns: in how long there may be something to tell that was held back now, None if nothing was.
        Raises: Superseded: the app stands otherwise by now; nothing was written.
        """
        opened = await self._store.record_report(after, version)
        sha = after.revision.sha if after.revision else None
        now = self._now()
        waits: list[timedelta | None] = []

        async def tell(type_: IncidentType, trouble: Finding | None) -> None:
            waits.append(await self._tell(after, type_, trouble, action, of_type(opened, type_), now))

        drifted = after.drifted if planned else before.drifted or after.drifted
        if not settled:
            if drifted:
                self._unsettled_drift[after.app] = drifted
        else:
            known = of_type(opened, IncidentType.DRIFT)
            over = not after.drifted and not after.undecided
            if over and not drifted and known is None:
                drifted = self._unsettled_drift.get(after.app, ())  # it came and went before all was known of it
            if not after.undecided:
                self._unsettled_drift.pop(after.app, None)
            goes_on = known is not None and known.revision == sha and action is None and bool(after.drifted)
            if goes_on and (wait := _remaining_quiet(known, now)):
                waits.append(wait)  # whatever is new of it is told later: it need not be known yet
            else:
                prints = self._fingerprints[after.app]
                trouble = drift_finding(after.app, after.cluster, sha, drifted, prints) if drifted else None
                await tell(IncidentType.DRIFT, trouble)
            if drifted and over:
                opened = await self._store.open_incidents(after.app)
                await tell(IncidentType.DRIFT, None)
        await tell(
            IncidentType.SYNC_FAILED, _sync_failed(after, action, sha) or _rollback_refused(after, rollback_refused)
        )
        await tell(IncidentType.SOURCE, _source_broken(after, sha))
        await tell(IncidentType.UNHEALTHY, _unhealthy(after, health, sha))
        if hold is None or action is not None or not after.undecided:  # what is not done yet is not told yet
            await tell(IncidentType.ROLLBACK, _rolled_back(after, hold))
        return min((wait for wait in waits if wait is not None), default=None)

    async def record_fetch(self, source: SourceState) -> None:
        """A source was fetched, or could not be: told after the second failure in a row, under the source's name."""
        trouble = None
        if source.error is not None:
            if source.failures < _MIN_FETCH_FAILURES:
                return
            revision = source.revision
            still = f"; {revision.short} stays in use" if revision else ""
            trouble = Finding(
                IncidentType.SOURCE, f"source/{source.name}", "", revision.sha if revision else None,
                message=f"{source.error}{still}", cause="unreachable",
            )  # fmt: skip
        now, name = self._now(), f"source/{source.name}"

        def news(incident: Incident | None) -> Transition | None:
            return transition(incident, trouble, now, Resolution.REVERTED)

        known = of_type(await self._store.open_incidents(name), IncidentType.SOURCE)
        if news(known) is not None:
            await self._write(name, IncidentType.SOURCE, news)

    async def _tell(
        self,
        report: Report,
        type_: IncidentType,
        trouble: Finding | None,
        action: Action | None,
        known: Incident | None,
        now: datetime,
    ) -> timedelta | None:
        """Follows one type of incident, `known` being the open one. Returns: in how long to look at it again."""
        if trouble is None and (known is None or _may_persist(type_, report, action)):
            return None

        def news(incident: Incident | None) -> Transition | None:
            moved = incident is not None and report.revision is not None and incident.revision != report.revision.sha
            return transition(incident, trouble, now, _resolution(type_, action, moved=moved))

        found = news(known)
        if found is None:
            return None
        changed = found[1] is not None and found[1].event is IncidentEvent.CHANGED
        if changed and type_ in _COALESCED and (wait := _remaining_quiet(known, now)):
            return wait
        await self._write(report.app, type_, news)
        return None

    async def _write(self, app: str, type_: IncidentType, news: TransitionOf) -> None:
        """The incident counts as it is when it is written: a command and the daemon may find the same at once."""
        if await self._store.transition_incident(app, type_, news, self._channels):
            self._notify()


def _remaining_quiet(known: Incident | None, now: datetime) -> timedelta | None:
    """For how long nobody is told yet that an incident has changed again."""
    wait = _QUIET_PERIOD - (now - known.updated) if known is not None else timedelta(0)
    return wait if wait > timedelta(0) else None


def _may_persist(type_: IncidentType, report: Report, action: Action | None) -> bool:
    """Whether a trouble that this pass did not see may be there all the same: what cannot be read has not gone away."""
    match type_:
        case IncidentType.DRIFT | IncidentType.UNHEALTHY:
            return report.undecided
        case IncidentType.SYNC_FAILED:  # without a new try, it is over once nothing is left to apply
            to_apply = any(v.status in (Status.DRIFTED, Status.MISSING) for v in report.notable)
            return action is None and (report.undecided or to_apply)
        case IncidentType.SOURCE:
            return report.revision is None
        case IncidentType.ROLLBACK:
            return False


def _resolution(type_: IncidentType, action: Action | None, *, moved: bool) -> Resolution:
    if type_ is IncidentType.ROLLBACK:
        return Resolution.SUPERSEDED
    if type_ is not IncidentType.SOURCE and action is not None and action.written:
        return Resolution.HEALED
    if moved:
        return Resolution.ACCEPTED if type_ is IncidentType.DRIFT else Resolution.SUPERSEDED
    return Resolution.REVERTED


def _sync_failed(report: Report, action: Action | None, sha: str | None) -> Finding | None:
    if action is None or not action.failed:
        return None
    lines = [f"{one.ref}: {one.error}" for one in action.failed]
    return Finding(
        IncidentType.SYNC_FAILED, report.app, report.cluster, sha, message="\n".join(lines), cause="\n".join(lines)
    )


def _unhealthy(report: Report, health: Sequence[Health], sha: str | None) -> Finding | None:
    if not health:
        return None
    return Finding(
        IncidentType.UNHEALTHY, report.app, report.cluster, sha, message=describe(health),
        cause=" ".join(sorted(f"{one.ref}={one.state}" for one in health)),
    )  # fmt: skip


def _rolled_back(report: Report, hold: Hold | None) -> Finding | None:
    if hold is None or report.revision is None:
        return None
    back_to = report.revision
    return Finding(
        IncidentType.ROLLBACK, report.app, report.cluster, hold.bad_revision,
        message=f"rolled back from {hold.bad_revision[:8]} to {back_to.short} ({back_to.subject}): {hold.reason}; "
        "held there until what Git declares changes",
        cause=f"{hold.bad_revision}>{hold.revision}",
    )  # fmt: skip


def _rollback_refused(report: Report, why: str) -> Finding | None:
    if not why or report.revision is None:
        return None
    bad = report.revision
    return Finding(
        IncidentType.SYNC_FAILED, report.app, report.cluster, bad.sha,
        message=f"{bad.short} ({bad.subject}) is bad: {why}", cause=f"no way back from {bad.sha}",
    )  # fmt: skip


def _source_broken(report: Report, sha: str | None) -> Finding | None:
    """What is wrong with a revision. Without one it is the source that is unreachable, which is told once for all."""
    if report.error is None or report.revision is None:
        return None
    return Finding(IncidentType.SOURCE, report.app, report.cluster, sha, message=report.error, cause=report.error)
