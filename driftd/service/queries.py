"""Queries: what is known of apps, as the store has it. They read nothing from Git or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from driftd.model.app import App
from driftd.model.document import operation_document
from driftd.model.health import HealthState
from driftd.model.incident import Incident, IncidentType
from driftd.model.operation import Operation
from driftd.model.report import Report
from driftd.model.text import plural
from driftd.process.identity import has_ended
from driftd.service.views import AppDetail, AppStatus, HistoryFilter, HistoryLine, IncidentDetail, Tone
from driftd.store.readable import Readable
from driftd.store.records import AppSummary, Backlog, HistoryEntry, HistoryKind, StoredVerdict, VerdictFilter
from driftd.store.store import Store

_PAGE = 200
"""Entries of the history that are read at a time."""

_WORST_FIRST = (HealthState.DEGRADED, HealthState.UNKNOWN, HealthState.PROGRESSING, HealthState.HEALTHY)


class Queries:
    """Answers for the command line, the HTTP API and pages alike."""

    def __init__(
        self,
        store: Store,
        apps: Sequence[App] = (),
        *,
        discovers: bool = False,
        not_judged: Callable[[], Mapping[str, tuple[str, str]]] = dict,
    ) -> None:
        """`discovers` says that there are apps besides these: those that a daemon has found in the clusters.

        `not_judged` tells what the configuration means by an app and cannot be one, with its cluster and the reason.
        """
        self._store = store
        self._apps = tuple(apps)
        self._not_judged = not_judged
        self._discovers = discovers

    async def apps(self) -> list[App]:
        """The apps of the configuration, and those that were found, of which the store has a report.

        Raises: StoreError.
        """
        configured = [*self._apps, *(App(name, name, cluster) for name, (cluster, _) in self._not_judged().items())]
        if not self._discovers:
            return configured
        known = {app.name for app in configured}
        found = [one for one in await self._store.report_headers() if "/" in one.app and one.app not in known]
        return [*configured, *(App(one.app, one.app, one.cluster, deploys=False) for one in found)]

    async def app_statuses(self) -> list[AppStatus]:
        """Each app as its last pass left it. Raises: StoreError."""
        apps = await self.apps()
        summaries = await self._store.app_summaries([app.name for app in apps])
        return [await self._status(app, summaries.get(app.name)) for app in apps]

    async def outbox(self) -> Mapping[str, Backlog]:
        """What waits for delivery and what was given up, by channel. Raises: StoreError."""
        return await self._store.backlog()

    async def trouble(self) -> list[Incident]:
        """The open incidents that are not about an app: a source's, or the configuration's. Raises: StoreError."""
        return [one for one in await self._store.open_incidents() if one.app.startswith(("source/", "config/"))]

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
    ) -> Readable[Incident]:
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
    ) -> Readable[Operation]:
        """A page of the writes that match, newest first. Raises: StoreError."""
        return await self._store.operations(
            app=app, kind=kind, namespace=namespace, name=name, since=since, limit=limit, before=before
        )

    async def history(self, criteria: HistoryFilter, limit: int, before: int | None = None) -> list[HistoryLine]:
        """What happened, newest first: a page of the lines that match.

        `before` is the id of the last line of the page before. Raises: StoreError.
        """
        lines: list[HistoryLine] = []
        while len(lines) < limit:
            page = await self._store.history(criteria.app, _PAGE, before, criteria.since)
            lines += [line for entry in await self._lines(page) if (line := _matching(entry, criteria)) is not None]
            if len(page) < _PAGE:
                break
            before = page[-1].id
        return lines[:limit]

    async def app_detail(self, name: str) -> AppDetail | None:
        """All that is known of one app; None where there is none of that name. Raises: StoreError."""
        app = next((app for app in await self.apps() if app.name == name), None)
        if app is None:
            return None
        status = await self._status(app, (await self._store.app_summaries([name])).get(name))
        report = await self._store.last_report(name)
        return AppDetail(status, report, tuple(await self._store.open_incidents(name)))

    async def incident(self, id_or_prefix: str) -> IncidentDetail | None:
        """Everything about the incident whose id starts so. Raises: StoreError: several do."""
        incident = await self._store.incident(id_or_prefix)
        if incident is None:
            return None
        ids = {one.operation for one in incident.ended if one.operation is not None}
        operations = await self._store.operations_by_id(ids) if ids else Readable[Operation]()
        told = await self._store.notifications(incident.id)
        unreadable = len(operations.unreadable) + len(told.unreadable)
        return IncidentDetail(incident, tuple(operations), tuple(told), unreadable)

    async def _status(self, app: App, summary: AppSummary | None) -> AppStatus:
        revision = summary.revision if summary is not None else None
        record = await self._store.revision(app.name, revision) if revision is not None else None
        state = record.state if record is not None else None
        lease = await self._store.lease(app.name)
        if lease is not None and has_ended(lease.holder):
            lease = None
        hold = await self._store.hold(app.name)
        status = AppStatus(
            app.name, app.cluster, app.mode, revision, state, hold=hold, lease=lease, deploys=app.deploys
        )
        if summary is None:
            return status
        health = next((state for state in _WORST_FIRST if summary.health.get(state)), None)
        return replace(
            status,
            health=health,
            counts=summary.statuses,
            last_pass=summary.time,
            error=summary.error,
            pending=summary.pending,
        )

    async def _lines(self, entries: Sequence[HistoryEntry]) -> list[HistoryLine]:
        plans = {entry.details["plan"] for entry in entries if entry.details.get("plan")}
        writes = await self._store.operations_of(plans) if plans else {}
        none = Readable[Operation]()
        return [_line(entry, writes.get(entry.details.get("plan") or "", none)) for entry in entries]


def _line(entry: HistoryEntry, writes: Readable[Operation]) -> HistoryLine:
    details = entry.details
    summary = entry.summary if entry.readable else f"{entry.summary} (the details cannot be read)"
    if writes.unreadable:
        summary += f" ({plural(len(writes.unreadable), 'write')} cannot be read)"
    return HistoryLine(
        time=entry.time,
        what=str(entry.kind),
        tone=_tone(entry),
        revision=details.get("revision"),
        by=details.get("by"),
        detail=summary,
        app=entry.app,
        id=entry.id,
        incident=details.get("incident"),
        objects=tuple([operation_document(one) for one in writes] or details.get("resources", ())),
    )


def _matching(line: HistoryLine, criteria: HistoryFilter) -> HistoryLine | None:
    if not criteria.by_object:
        return line
    objects = tuple([one for one in line.objects if criteria.matches(one)])
    return replace(line, objects=objects) if objects else None


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
        case HistoryKind.REVERTED:
            return Tone.NEUTRAL
        case HistoryKind.HOLD:
            return Tone.BAD if details["held"] else Tone.GOOD
        case _:
            return Tone.BAD
