"""What a pass leaves behind: the report, and the incidents that people are told of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from driftd.model.drift import Report
from driftd.model.health import Health
from driftd.model.incident import IncidentType, Resolution
from driftd.model.plan import Action, Hold
from driftd.model.revision import Revision
from driftd.reconcile.incidents import Trouble, follow, of_type
from driftd.reconcile.lifecycle import describe
from driftd.reconcile.source import SourceState
from driftd.store.store import Store

_BLIPS = 2
"""So many fetches in a row must fail before people are told."""


class Recorder:
    """Writes to the store; `told` is called when there is something to deliver."""

    def __init__(
        self, store: Store, channels: Sequence[str], now: Callable[[], datetime], told: Callable[[], None]
    ) -> None:
        self._store = store
        self._channels = tuple(channels)
        self._now = now
        self._told = told

    async def passed(
        self,
        found: Report,
        after: Report,
        *,
        health: Sequence[Health],
        action: Action | None,
        hold: Hold | None,
        planned: bool = False,
    ) -> None:
        """Takes in a pass: what it `found`, and what was left `after` it acted.

        `planned` marks the pass that brings a new revision in: what differs before it is the commit, not drift.
        """
        await self._store.record_report(after)
        sha = after.revision.sha if after.revision else None
        if not planned or after.drifted:
            drifted = after.drifted if planned else found.drifted or after.drifted
            trouble = Trouble(IncidentType.DRIFT, after.app, after.cluster, sha, drifted) if drifted else None
            await self._tell(after, IncidentType.DRIFT, trouble, action)
            if trouble is not None and not after.drifted and not after.undecided:
                await self._tell(after, IncidentType.DRIFT, None, action)
        else:
            await self._tell(after, IncidentType.DRIFT, None, action)
        await self._tell(after, IncidentType.SYNC_FAILED, _sync_failed(after, action, sha), action)
        await self._tell(after, IncidentType.SOURCE, _broken(after, sha), action)
        ailing = None
        if health:
            ailing = Trouble(
                IncidentType.UNHEALTHY, after.app, after.cluster, sha, message=describe(health),
                cause=" ".join(sorted(f"{one.ref}={one.state}" for one in health)),
            )  # fmt: skip
        await self._tell(after, IncidentType.UNHEALTHY, ailing, action)
        if hold is None:
            await self._tell(after, IncidentType.ROLLBACK, None, action)

    async def held(self, hold: Hold, back_to: Revision, cluster: str) -> None:
        """An app goes back to an earlier revision."""
        trouble = Trouble(
            IncidentType.ROLLBACK, hold.app, cluster, hold.bad_revision, cause=f"{hold.bad_revision}>{hold.revision}",
            message=f"rolled back from {hold.bad_revision[:8]} to {back_to.short} ({back_to.subject}): {hold.reason}; "
            "held there until what Git declares changes",
        )  # fmt: skip
        await self._follow(trouble.app, IncidentType.ROLLBACK, trouble, Resolution.SUPERSEDED)

    async def no_way_back(self, app: str, bad: Revision, cluster: str, reason: str) -> None:
        """A revision is bad and there is none to go back to: somebody has to look."""
        trouble = Trouble(IncidentType.SYNC_FAILED, app, cluster, bad.sha, message=f"{bad.short} is bad: {reason}")
        await self._follow(app, IncidentType.SYNC_FAILED, trouble, Resolution.SUPERSEDED)

    async def fetched(self, source: SourceState) -> None:
        """A source was fetched, or could not be: told after the second failure in a row, under the source's name."""
        trouble = None
        if source.error is not None:
            if source.failures < _BLIPS:
                return
            revision = source.revision
            still = f"; {revision.short} stays in use" if revision else ""
            trouble = Trouble(
                IncidentType.SOURCE, f"source/{source.name}", "", revision.sha if revision else None,
                message=f"{source.error}{still}", cause="unreachable",
            )  # fmt: skip
        await self._follow(f"source/{source.name}", IncidentType.SOURCE, trouble, Resolution.REVERTED)

    async def _tell(self, report: Report, type_: IncidentType, trouble: Trouble | None, action: Action | None) -> None:
        if trouble is None and type_ is IncidentType.DRIFT and report.undecided:
            return  # what cannot be read has not gone away
        if trouble is None and type_ is IncidentType.SYNC_FAILED and action is None and report.drifted:
            return  # not tried again yet
        incident = of_type(await self._store.open_incidents(report.app), type_)
        if incident is None and trouble is None:
            return
        moved = incident is not None and report.revision is not None and incident.revision != report.revision.sha
        await self._follow(report.app, type_, trouble, _resolution(type_, action, moved=moved))

    async def _follow(self, app: str, type_: IncidentType, trouble: Trouble | None, resolution: Resolution) -> None:
        incident = of_type(await self._store.open_incidents(app), type_)
        news = follow(incident, trouble, self._now(), resolution)
        if news is not None:
            await self._store.save_incident(news[0], news[1], self._channels)
            self._told()


def _resolution(type_: IncidentType, action: Action | None, *, moved: bool) -> Resolution:
    if action is not None and action.written:
        return Resolution.HEALED
    if moved:
        return Resolution.ACCEPTED if type_ is IncidentType.DRIFT else Resolution.SUPERSEDED
    return Resolution.REVERTED


def _sync_failed(report: Report, action: Action | None, sha: str | None) -> Trouble | None:
    if action is None or not action.failed:
        return None
    lines = [f"{one.ref}: {one.error}" for one in action.failed]
    return Trouble(
        IncidentType.SYNC_FAILED, report.app, report.cluster, sha, message="\n".join(lines), cause="\n".join(lines)
    )


def _broken(report: Report, sha: str | None) -> Trouble | None:
    if report.error is None:
        return None
    return Trouble(IncidentType.SOURCE, report.app, report.cluster, sha, message=report.error, cause=report.error)
