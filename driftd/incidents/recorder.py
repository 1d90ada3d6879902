"""Recording passes and fetches: the report, and the transitions of incidents with their notifications."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from time import monotonic

from driftd.desired.source import SourceState
from driftd.incidents.findings import (
    Finding,
    PassRecord,
    config_refused,
    may_persist,
    other_findings,
    resolution,
    source_app,
    source_unreachable,
)
from driftd.incidents.follower import DriftFollower
from driftd.incidents.quiet import QuietPeriods
from driftd.incidents.transitions import of_type, resolved, transition
from driftd.model.command import Lease
from driftd.model.incident import Incident, IncidentEvent, IncidentType, Resolution
from driftd.store.incidents import Change, Step
from driftd.store.store import Store

_MIN_FETCH_FAILURES = 2
"""Consecutive failed fetches before there is an incident."""


class Recorder:
    """Writes passes and fetches to the store; `notify` is called when there is something to deliver."""

    def __init__(
        self,
        store: Store,
        channels: Sequence[str],
        now: Callable[[], datetime],
        notify: Callable[[], None],
        *,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._channels = tuple(channels)
        self._now = now
        self._notify = notify
        self._quiet = QuietPeriods(monotonic)
        self._drift = DriftFollower(store, self._quiet)

    async def record_pass(self, record: PassRecord) -> timedelta | None:
        """Makes the report after the pass the app's last one, and follows its incidents.

        All that people are notified of is written in one transaction, in which the pass's plans are closed: after a
        crash they are told of all of it, or the next process finds the plans open and tells them.

        Returns: in how long changes that were held back are due, None if there are none.
        Raises: Superseded: another version of the app's state is in force; nothing was written.
        """
        app = record.report.app
        open_incidents = await self._store.record_report(record.report, record.version)
        now = self._now()
        if record.reverted:
            await self._store.record_reverted(app, record.reverted, revision=record.sha, time=now)
        findings, failed = other_findings(record), of_type(open_incidents, IncidentType.SYNC_FAILED)
        is_failing = findings[IncidentType.SYNC_FAILED] is not None
        is_failing |= failed is not None and may_persist(IncidentType.SYNC_FAILED, record)
        known_drift = of_type(open_incidents, IncidentType.DRIFT)
        drift = await self._drift.follow(record, known_drift, now, sync_failed=is_failing)
        changes = [drift.change] if drift.change is not None else []
        waits = [drift.wait]
        for type_, finding in findings.items():
            known = of_type(open_incidents, type_)
            change = await self._change(record, type_, finding, known, now)
            wait = self._held_back(change, known, now) if change is not None else None
            waits.append(wait)
            if change is not None and wait is None:
                changes.append(change)
        if changes or record.plans:
            await self._write(app, changes, record.plans)
        self._drift.written(app, drift)
        return min((wait for wait in waits if wait is not None), default=None)

    async def record_reload(self, file: str, mistakes: Sequence[str]) -> None:
        """Follows the incident of a configuration file: open while it has mistakes. Raises: StoreError."""
        finding = config_refused(file, mistakes) if mistakes else None
        await self._follow_alone(f"config/{file}", IncidentType.CONFIG, finding, Resolution.SUPERSEDED)

    async def record_fetch(self, source: SourceState) -> None:
        """Follows the incident of a source: open from its second failure in a row until it answers again."""
        if not source.asked_remote:
            return
        finding = None
        if source.error is not None:
            if source.failures < _MIN_FETCH_FAILURES:
                return
            revision = source.revision
            still = f"; {revision.short} stays in use" if revision else ""
            finding = source_unreachable(
                source.repository, f"{source.error}{still}", revision.sha if revision else None
            )
        await self._follow_alone(source_app(source.repository), IncidentType.SOURCE, finding, Resolution.RECOVERED)

    async def _follow_alone(self, about: str, type_: IncidentType, finding: Finding | None, ended: Resolution) -> None:
        """Follows an incident that is not an app's."""
        now = self._now()

        def steps(incident: Incident | None) -> list[Step]:
            return _steps(transition(incident, finding, now, ended))

        if steps(of_type(await self._store.open_incidents(about), type_)):
            await self._write(about, [(type_, steps)])

    async def forget_others(
        self, apps: Collection[str], sources: Collection[str], is_renewed: Callable[[Lease], bool]
    ) -> None:
        """Ends the incidents of apps and sources that are not configured (any more): nobody looks at them.

        Those of an app whose lease another process goes on renewing are left to it. Raises: StoreError.
        """
        configured = {*apps, *map(source_app, sources)}
        now = self._now()

        def steps(incident: Incident | None) -> list[Step]:
            return [resolved(incident, now, Resolution.REMOVED)] if incident is not None else []

        for incident in await self._store.open_incidents():
            if incident.app in configured or incident.type is IncidentType.CONFIG:
                continue
            lease = await self._store.lease(incident.app)
            if lease is None or not is_renewed(lease):
                await self._write(incident.app, [(incident.type, steps)])

    async def _change(
        self, record: PassRecord, type_: IncidentType, finding: Finding | None, known: Incident | None, now: datetime
    ) -> Change | None:
        """What becomes of the incident of a type other than drift, `known` being the open one; None: nothing."""
        if finding is None and (known is None or may_persist(type_, record)):
            return None
        released = type_ is IncidentType.ROLLBACK and finding is None
        by = await self._store.released_by(record.report.app) if released else None

        def steps(incident: Incident | None) -> list[Step]:
            how = resolution(type_, record, incident.revision if incident is not None else record.sha)
            return _steps(transition(incident, finding, now, Resolution.RELEASED if by else how))

        return (type_, steps) if steps(known) else None

    def _held_back(self, change: Change, known: Incident | None, now: datetime) -> timedelta | None:
        """How long a change of bad health is held back, so that many are one message; None where it is not."""
        type_, steps = change
        if type_ is not IncidentType.UNHEALTHY:
            return None
        events = [notification.event for _, told in steps(known) for notification in told]
        return self._quiet.remaining(known, now) if IncidentEvent.CHANGED in events else None

    async def _write(self, app: str, changes: Sequence[Change], plans: Collection[str] = ()) -> None:
        """The changes are those of the incidents as they are at the time of the write, others' changes included."""
        if await self._store.transition_incidents(app, changes, self._channels, plans):
            self._notify()


def _steps(step: Step | None) -> list[Step]:
    return [step] if step is not None else []
