"""Recording passes and fetches: the report, and the transitions of incidents with their notifications."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic

from driftd.desired.source import SourceState
from driftd.incidents.findings import (
    Finding,
    PassRecord,
    config_refused,
    drift_finding,
    drift_identity,
    may_persist,
    other_findings,
    resolution,
    source_unreachable,
)
from driftd.incidents.transitions import Transition, of_type, transition
from driftd.model.drift import Verdict
from driftd.model.fingerprint import Fingerprints
from driftd.model.incident import Incident, IncidentEvent, IncidentType, Resolution
from driftd.store.incidents import TransitionOf
from driftd.store.store import Store

_COALESCED = frozenset({IncidentType.DRIFT, IncidentType.UNHEALTHY})
_QUIET_PERIOD = timedelta(seconds=5)
"""How long changes of such an incident are held back: many edits in a row are one message."""

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
        self._monotonic = monotonic
        self._updates: dict[tuple[str, IncidentType], tuple[datetime, float]] = {}
        self._unsettled_drift: dict[str, tuple[Verdict, ...]] = {}
        self._fingerprints: defaultdict[str, Fingerprints] = defaultdict(lambda: Fingerprints(drift_identity))

    async def record_pass(self, record: PassRecord) -> timedelta | None:
        """Makes the report after the pass the app's last one, and follows its incidents.

        Returns: in how long changes that were held back are due, None if there are none.
        Raises: Superseded: another version of the app's state is in force; nothing was written.
        """
        open_incidents = await self._store.record_report(record.after, record.version)
        now = self._now()
        waits = [await self._follow_drift(record, of_type(open_incidents, IncidentType.DRIFT), now)]
        for type_, finding in other_findings(record).items():
            waits.append(await self._follow(record, type_, finding, of_type(open_incidents, type_), now))
        return min((wait for wait in waits if wait is not None), default=None)

    async def record_reload(self, file: str, mistakes: Sequence[str]) -> None:
        """Follows the incident of a configuration file: open while it has mistakes. Raises: StoreError."""
        finding = config_refused(file, mistakes) if mistakes else None
        await self._follow_alone(f"config/{file}", IncidentType.CONFIG, finding, Resolution.SUPERSEDED)

    async def record_fetch(self, source: SourceState) -> None:
        """Follows the incident of a source: open from its second failure in a row until it answers again."""
        finding = None
        if source.error is not None:
            if source.failures < _MIN_FETCH_FAILURES:
                return
            revision = source.revision
            still = f"; {revision.short} stays in use" if revision else ""
            finding = source_unreachable(source.name, f"{source.error}{still}", revision.sha if revision else None)
        await self._follow_alone(f"source/{source.name}", IncidentType.SOURCE, finding, Resolution.REVERTED)

    async def _follow_alone(self, about: str, type_: IncidentType, finding: Finding | None, ended: Resolution) -> None:
        """Follows an incident that is not an app's."""
        now = self._now()

        def transition_of(incident: Incident | None) -> Transition | None:
            return transition(incident, finding, now, ended)

        known = of_type(await self._store.open_incidents(about), type_)
        if transition_of(known) is not None:
            await self._write(about, type_, transition_of)

    async def _follow_drift(self, record: PassRecord, known: Incident | None, now: datetime) -> timedelta | None:
        app, drifted = record.after.app, record.drifted
        if not record.settled:
            if drifted:
                self._unsettled_drift[app] = drifted
            return None
        if record.drift_is_over and not drifted and known is None:
            drifted = self._unsettled_drift.get(app, ())  # it came and went before Git's side of it was known
        if not record.after.undecided:
            self._unsettled_drift.pop(app, None)
        if _goes_on(record, known) and (wait := self._remaining_quiet(known, now)):
            return wait  # before that, whatever is new about it need not even be hashed
        finding = drift_finding(record, drifted, self._fingerprints[app])
        wait = await self._follow(record, IncidentType.DRIFT, finding, known, now)
        if drifted and record.drift_is_over:
            known = of_type(await self._store.open_incidents(app), IncidentType.DRIFT)
            await self._follow(record, IncidentType.DRIFT, None, known, now)
        return wait

    async def _follow(
        self, record: PassRecord, type_: IncidentType, finding: Finding | None, known: Incident | None, now: datetime
    ) -> timedelta | None:
        """Follows the incident of one type, `known` being the open one. Returns: how long its change is held back."""
        if finding is None and (known is None or may_persist(type_, record)):
            return None

        def transition_of(incident: Incident | None) -> Transition | None:
            ended = resolution(type_, record, incident.revision if incident is not None else record.sha)
            return transition(incident, finding, now, ended)

        expected = transition_of(known)
        if expected is None:
            return None
        _, notification = expected
        changed = notification is not None and notification.event is IncidentEvent.CHANGED
        if changed and type_ in _COALESCED and (wait := self._remaining_quiet(known, now)):
            return wait
        await self._write(record.after.app, type_, transition_of)
        return None

    def _remaining_quiet(self, known: Incident | None, now: datetime) -> timedelta | None:
        """How long another change of an incident is held back; None where it is not."""
        if known is None:
            return None
        updated = self._updated_at(known, now)
        wait = _QUIET_PERIOD - timedelta(seconds=self._monotonic() - updated)
        return wait if wait > timedelta(0) else None

    def _updated_at(self, known: Incident, now: datetime) -> float:
        """When an incident was last updated, on the monotonic clock: a stored time in the future counts as now.

        It is converted once: whoever sets the clock later changes nothing.
        """
        key = (known.app, known.type)
        updated, at = self._updates.get(key, (None, 0.0))
        if updated != known.updated:
            at = self._monotonic() - max(0.0, (now - known.updated).total_seconds())
            self._updates[key] = (known.updated, at)
        return at

    async def _write(self, app: str, type_: IncidentType, transition_of: TransitionOf) -> None:
        """The transition is that of the incident as it is at the time of the write, others' changes included."""
        if await self._store.transition_incident(app, type_, transition_of, self._channels):
            self._notify()


def _goes_on(record: PassRecord, known: Incident | None) -> bool:
    """Whether drift that people know of is still there, at the same revision, and nothing was done about it."""
    same_revision = known is not None and known.revision == record.sha
    return same_revision and record.action is None and bool(record.after.drifted)
