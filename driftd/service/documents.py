"""The answers of queries as JSON: the same from the command line and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from driftd.model.bounded import MAX_OBJECT_FIELDS, bounded
from driftd.model.document import (
    incident_document,
    operation_document,
    pending_document,
    timestamp,
    verdict_document,
)
from driftd.model.health import HealthState
from driftd.model.plan import Hold
from driftd.service.views import AppDetail, AppStatus, HistoryLine, IncidentDetail
from driftd.store.records import Backlog, Told


def statuses_document(apps: Sequence[AppStatus]) -> dict[str, Any]:
    """The apps as their last passes left them."""
    return {"version": 1, "apps": [_status(app) for app in apps]}


def app_document(detail: AppDetail) -> dict[str, Any]:
    """One app: its status, the objects that are not in sync, its unhealthy objects, and its open incidents."""
    verdicts = detail.report.verdicts if detail.report is not None else ()
    notable = detail.report.notable if detail.report is not None else ()
    unhealthy = [one for one in verdicts if one.health not in (None, HealthState.HEALTHY)]
    return {
        "version": 1,
        **_status(detail.status),
        "resources": bounded([verdict_document(verdict, MAX_OBJECT_FIELDS) for verdict in notable]),
        "unhealthy": [
            {
                "api_version": one.api_version,
                "kind": one.ref.kind,
                "namespace": one.ref.namespace,
                "name": one.ref.name,
                "health": str(one.health),
                "message": one.health_message,
            }
            for one in unhealthy
        ],
        "incidents": [incident_document(incident) for incident in detail.incidents],
    }


def history_document(app: str | None, lines: Sequence[HistoryLine]) -> dict[str, Any]:
    """The history of an app, or of all (None)."""
    return {"version": 1, "app": app, "history": [_history_line(line) for line in lines]}


def incident_detail_document(detail: IncidentDetail) -> dict[str, Any]:
    """Everything about an incident."""
    return {
        "version": 1,
        **incident_document(detail.incident),
        "operations": bounded([operation_document(operation) for operation in detail.operations]),
        "notifications": [_told(told) for told in detail.told],
        **left_out(detail.unreadable),
    }


def left_out(unreadable: int) -> dict[str, Any]:
    """How many records an answer leaves out because they cannot be read; nothing where there are none."""
    return {"unreadable": unreadable} if unreadable else {}


def outbox_document(backlog: Mapping[str, Backlog]) -> list[dict[str, Any]]:
    """What waits in the outbox, by channel, as `status -o json` and the HTTP API have it."""
    return [
        {
            "channel": channel,
            "pending": waiting.pending,
            "failed": waiting.failed,
            "oldest": timestamp(waiting.oldest) if waiting.oldest else None,
        }
        for channel, waiting in sorted(backlog.items())
    ]


def _status(app: AppStatus) -> dict[str, Any]:
    pending = {"pending": pending_document(app.pending)} if app.pending is not None else {}
    return {
        "app": app.app,
        "cluster": app.cluster,
        "mode": str(app.mode),
        "deploys": app.deploys,
        "revision": app.revision,
        "state": str(app.state) if app.state else None,
        "health": str(app.health) if app.health else None,
        "counts": {str(status): count for status, count in app.counts.items()} if app.counts is not None else None,
        "held": _hold(app.hold) if app.hold else None,
        "last_pass": timestamp(app.last_pass) if app.last_pass else None,
        "error": app.error,
        "holder": app.lease.holder if app.lease else None,
        **pending,
    }


def _hold(hold: Hold) -> dict[str, Any]:
    return {
        "revision": hold.revision,
        "bad_revision": hold.bad_revision,
        "reason": hold.reason,
        "by": hold.by,
        "since": timestamp(hold.since),
    }


def _history_line(line: HistoryLine) -> dict[str, Any]:
    return {
        "id": line.id,
        "app": line.app,
        "time": timestamp(line.time),
        "what": line.what,
        "tone": str(line.tone),
        "revision": line.revision,
        "by": line.by,
        "detail": line.detail,
        "incident": line.incident,
        "objects": bounded(line.objects),
    }


def _told(told: Told) -> dict[str, Any]:
    notification = told.notification
    return {
        "id": notification.id,
        "event": str(notification.event),
        "time": timestamp(notification.time),
        "deliveries": [
            {
                "channel": one.channel,
                "state": str(one.state),
                "attempts": one.attempts,
                "finished": timestamp(one.finished) if one.finished else None,
                "error": one.error or None,
            }
            for one in told.deliveries
        ],
    }
