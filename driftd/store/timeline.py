"""The history: the events of each app, in one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from driftd.store import codec
from driftd.store.records import HistoryEntry, HistoryKind
from driftd.store.schema import history

_INSERT = insert(history)


def write(
    connection: Connection,
    app: str,
    kind: HistoryKind,
    *,
    time: datetime,
    summary: str,
    details: Mapping[str, Any] | None = None,
    resources: Sequence[bytes] | None = None,
) -> None:
    """Add an entry, in the transaction of its event. `resources` are details that are encoded as JSON already."""
    document = codec.DETAILS.dump_json(dict(details or {}))
    if resources is not None:
        document = b'%b,"resources":[%b]}' % (document[:-1], b",".join(resources))
    values = {"app": app, "time": time, "kind": kind, "summary": summary, "details": document}
    connection.execute(_INSERT, values)


def read(
    connection: Connection, app: str | None, limit: int, before: int | None, since: datetime | None
) -> list[HistoryEntry]:
    query = select(history).order_by(history.c.id.desc()).limit(limit)
    if app is not None:
        query = query.where(history.c.app == app)
    if before is not None:
        query = query.where(history.c.id < before)
    if since is not None:
        query = query.where(history.c.time >= since)
    return [_entry(row) for row in connection.execute(query)]


def latest(connection: Connection, app: str, kind: HistoryKind) -> HistoryEntry | None:
    """The app's last entry of a kind."""
    of_kind = select(history).where(history.c.app == app, history.c.kind == kind).order_by(history.c.id.desc()).limit(1)
    row = connection.execute(of_kind).one_or_none()
    return _entry(row) if row is not None else None


def _entry(row: Row[Any]) -> HistoryEntry:
    try:
        details = codec.DETAILS.validate_json(row.details)
    except ValueError:  # its summary says what happened
        return HistoryEntry(row.id, row.app, row.time, HistoryKind(row.kind), row.summary, {}, readable=False)
    return HistoryEntry(row.id, row.app, row.time, HistoryKind(row.kind), row.summary, details)
