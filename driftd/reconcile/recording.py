"""What a pass leaves behind: the report, and the incidents that people are told of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from driftd.model.drift import Report, Status
from driftd.model.health import Health
from driftd.model.incident import Incident, IncidentType, Notification, Resolution
from driftd.model.plan import Action, Hold
from driftd.reconcile.incidents import Trouble, follow, of_type
from driftd.reconcile.lifecycle import describe
from driftd.reconcile.source import SourceState
from driftd.store.incidents import News
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
        no_way_back: str = "",
    ) -> None:
        """Takes in a pass: what it `found`, and what was left `after` it acted.

        `planned` marks the pass that brings a new revision in: what differs before it is the commit, not drift.
        `no_way_back` says why a bad revision stays where it should have been rolled back: somebody has to look.
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
        failure = _sync_failed(after, action, sha) or _stays_bad(after, no_way_back)
        await self._tell(after, IncidentType.SYNC_FAILED, failure, action)
        await self._tell(after, IncidentType.SOURCE, _broken(after, sha), action)
        ailing = None
        if health:
            ailing = Trouble(
                IncidentType.UNHEALTHY, after.app, after.cluster, sha, message=describe(health),
                cause=" ".join(sorted(f"{one.ref}={one.state}" for one in health)),
            )  # fmt: skip
        await self._tell(after, IncidentType.UNHEALTHY, ailing, action)
        if hold is None or action is not None or not after.undecided:  # what is not done yet is not told yet
            await self._tell(after, IncidentType.ROLLBACK, _rolled_back(after, hold), action)

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
        now = self._now()
        await self._follow(
            f"source/{source.name}",
            IncidentType.SOURCE,
            lambda incident: follow(incident, trouble, now, Resolution.REVERTED),
        )

    async def _tell(self, report: Report, type_: IncidentType, trouble: Trouble | None, action: Action | None) -> None:
        if trouble is None and _may_go_on(type_, report, action):
            return
        now = self._now()

        def news(incident: Incident | None) -> tuple[Incident, Notification | None] | None:
            moved = incident is not None and report.revision is not None and incident.revision != report.revision.sha
            return follow(incident, trouble, now, _resolution(type_, action, moved=moved))

        await self._follow(report.app, type_, news)

    async def _follow(self, app: str, type_: IncidentType, news: News) -> None:
        known = of_type(await self._store.open_incidents(app), type_)
        # Mostly there is nothing new, and nothing to write. Else the incident counts as it is when it is written: a
        # command and the daemon may find the same at the same time.
        if news(known) is not None and await self._store.follow_incident(app, type_, news, self._channels):
            self._told()


def _may_go_on(type_: IncidentType, report: Report, action: Action | None) -> bool:
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


def _sync_failed(report: Report, action: Action | None, sha: str | None) -> Trouble | None:
    if action is None or not action.failed:
        return None
    lines = [f"{one.ref}: {one.error}" for one in action.failed]
    return Trouble(
        IncidentType.SYNC_FAILED, report.app, report.cluster, sha, message="\n".join(lines), cause="\n".join(lines)
    )


def _rolled_back(report: Report, hold: Hold | None) -> Trouble | None:
    if hold is None or report.revision is None:
        return None
    back_to = report.revision
    return Trouble(
        IncidentType.ROLLBACK, report.app, report.cluster, hold.bad_revision,
        message=f"rolled back from {hold.bad_revision[:8]} to {back_to.short} ({back_to.subject}): {hold.reason}; "
        "held there until what Git declares changes",
        cause=f"{hold.bad_revision}>{hold.revision}",
    )  # fmt: skip


def _stays_bad(report: Report, why: str) -> Trouble | None:
    if not why or report.revision is None:
        return None
    bad = report.revision
    return Trouble(
        IncidentType.SYNC_FAILED, report.app, report.cluster, bad.sha,
        message=f"{bad.short} ({bad.subject}) is bad: {why}", cause=f"no way back from {bad.sha}",
    )  # fmt: skip


def _broken(report: Report, sha: str | None) -> Trouble | None:
    """What is wrong with a revision. Without one it is the source that is unreachable, which is told once for all."""
    if report.error is None or report.revision is None:
        return None
    return Trouble(IncidentType.SOURCE, report.app, report.cluster, sha, message=report.error, cause=report.error)
