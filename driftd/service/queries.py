"""Queries: what is known of apps, as the store has it. They read nothing from Git or a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from driftd.model.app import App
from driftd.model.health import HealthState
from driftd.model.incident import Incident, IncidentType
from driftd.model.operation import Operation
from driftd.model.report import Report
from driftd.service.views import AppStatus, HistoryLine, Tone
from driftd.store.records import Backlog, HistoryEntry, HistoryKind, StoredVerdict, VerdictFilter
from driftd.store.store import Store

_WORST_FIRST = (HealthState.DEGRADED, HealthState.UNKNOWN, HealthState.PROGRESSING, HealthState.HEALTHY)


class Queries:
    """Answers for the command line, the HTTP API and pages alike."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def app_statuses(self, apps: Sequence[App]) -> list[AppStatus]:
        """Each app as its last pass left it. Raises: StoreError."""
        summaries = await self._store.app_summaries([app.name for app in apps])
        statuses = []
        for app in apps:
            summary = summaries.get(app.name)
            revision = summary.revision if summary is not None else None
            record = await self._store.revision(app.name, revision) if revision is not None else None
            status = AppStatus(
                app=app.name,
                cluster=app.cluster,
                mode=app.mode,
                revision=revision,
                state=record.state if record is not None else None,
                hold=await self._store.hold(app.name),
            )
            if summary is not None:
                health = next((state for state in _WORST_FIRST if summary.health.get(state)), None)
                status = AppStatus(
                    status.app, status.cluster, status.mode, status.revision, status.state, health,
                    summary.statuses, status.hold, summary.time, summary.error,
                )  # fmt: skip
            statuses.append(status)
        return statuses

    async def outbox(self) -> Mapping[str, Backlog]:
        """What waits for delivery and what was given up, by channel. Raises: StoreError."""
        return await self._store.backlog()

    async def trouble(self) -> list[Incident]:
        """The open incidents that are not about an app: a source's, or the configuration's. Raises: StoreError."""
        return [incident for incident in await self._store.open_incidents() if "/" in incident.app]

    async def pass_errors(self) -> dict[str, str]:
        """Why the last pass over an app could not tell, by app; only apps with such an error. Raises: StoreError."""
        summaries = await self._store.app_summaries()
        return {name: summary.error for name, summary in summaries.items() if summary.error is not None}

    async def last_reports(self, apps: Sequence[str]) -> list[Report]:
        """The last report of each of these apps that has had one, whichever process made it. Raises: StoreError."""
        reports = [await self._store.last_report(app) for app in apps]
        return [report for report in reports if report is not None]

    async def resources(self, criteria: VerdictFilter, limit: int, after: str | None = None) -> list[StoredVerdict]:
        """A page of the verdicts that match, by app. `after`: the cursor of the last one before. Raises: StoreError."""
        return await self._store.verdicts(criteria, limit=limit, after=after)

    async def incidents(
        self,
        app: str | None,
        type_: IncidentType | None,
        is_open: bool | None,  # None: both
        since: datetime | None,
        limit: int,
        before: str | None,
    ) -> list[Incident]:
        """A page of the incidents that match, newest first. Raises: StoreError."""
        return await self._store.incidents(app=app, type=type_, open=is_open, since=since, limit=limit, before=before)

    async def operations(
        self,
        *,
        app: str | None = None,
        kind: str | None = None,
        namespace: str | None = None,
        name: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Operation]:
        """A page of the writes that match, newest first. Raises: StoreError."""
        return await self._store.operations(
            app=app, kind=kind, namespace=namespace, name=name, since=since, limit=limit, before=before
        )

    async def history(self, app: str, limit: int) -> list[HistoryLine]:
        """What happened to an app, newest first. Raises: StoreError."""
        return [_line(entry) for entry in await self._store.history(app, limit)]


def _line(entry: HistoryEntry) -> HistoryLine:
    return HistoryLine(
        time=entry.time,
        what=str(entry.kind),
        tone=_tone(entry),
        revision=entry.details.get("revision"),
        by=entry.details.get("by"),
        detail=entry.summary,
    )


def _tone(entry: HistoryEntry) -> Tone:
    details = entry.details
    if not details:
        return Tone.NEUTRAL
    match entry.kind:
        case HistoryKind.REVISION:
            return {"good": Tone.GOOD, "bad": Tone.BAD}.get(details["state"], Tone.NEUTRAL)
        case HistoryKind.VERDICT:
            return Tone.GOOD if details["in_sync"] else Tone.BAD
        case HistoryKind.ACTION:
            return Tone.BAD if details["failed"] else Tone.GOOD
        case HistoryKind.INCIDENT:
            return Tone.GOOD if details["resolution"] else Tone.BAD
        case HistoryKind.HOLD:
            return Tone.BAD if details["held"] else Tone.GOOD
        case _:
            return Tone.BAD
