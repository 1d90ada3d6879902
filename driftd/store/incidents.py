"""Incidents, and what becomes of them.

An incident and the deliveries of its notifications are written in one transaction: after a crash there are both, or
neither. The deliveries are made from the outbox (`outbox.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    LargeBinary,
    bindparam,
    exists,
    insert,
    select,
    tuple_,
    type_coerce,
    update,
)

from driftd.model.document import ended_document, verdict_document
from driftd.model.errors import StoreError
from driftd.model.incident import Incident, IncidentEvent, IncidentType, Notification
from driftd.store import codec, outbox, timeline
from driftd.store.readable import Readable, readable
from driftd.store.records import HistoryKind
from driftd.store.schema import STREAMED, UNREADABLE, incidents, notifications, unpacked

Step = tuple[Incident, tuple[Notification, ...]]
"""The next state of an incident, and the notifications about it, in their order."""

StepsOf = Callable[[Incident | None], Sequence[Step]]
"""A pure function from the open incident of an app and type, if there is one, to what is to be written: the next state
of that one, or incidents that open now, perhaps to be over at once."""

Change = tuple[IncidentType, StepsOf]
"""What becomes of the incidents of one type."""

_LISTED = 20
"""Maximum number of objects in one entry of the history; the operations have all that driftd wrote."""

_CACHE_SIZE = 256
"""Maximum number of decoded incidents in memory."""


_OPEN = (
    select(incidents.c.id, type_coerce(incidents.c.document, LargeBinary).label("document"))
    .where(incidents.c.resolved.is_(None))
    .order_by(incidents.c.app, incidents.c.id)
)
_OPEN_OF = _OPEN.where(incidents.c.app == bindparam("of"))


def still_open(connection: Connection, app: str | None, read: IncidentReader) -> Readable[Incident]:
    """The open incidents that can be read."""
    rows = connection.execute(_OPEN) if app is None else connection.execute(_OPEN_OF, {"of": app})
    return readable(rows, lambda row: read(row.id, row.document), _name)


def open_for_update(connection: Connection, app: str, read: IncidentReader, now: datetime) -> list[Incident]:
    """The same of one app, in a transaction that writes: those that cannot be read are ended, with an entry in the
    history. What is still wrong opens another one.
    """
    found: list[Incident] = []
    for row in connection.execute(_OPEN_OF, {"of": app}).all():
        try:
            found.append(read(row.id, row.document))
        except ValueError:
            _set_aside(connection, app, row.id, now)
    return found


def _set_aside(connection: Connection, app: str, incident: str, now: datetime) -> None:
    connection.execute(update(incidents).where(incidents.c.id == incident).values(resolved=now, updated=now))
    timeline.write(
        connection,
        app,
        HistoryKind.INCIDENT,
        time=now,
        summary=f"incident {incident} was set aside: its record cannot be read",
        details={"incident": incident, "event": "set aside", "resolution": None, "revision": None, "message": ""},
    )


class IncidentReader:
    """Decodes the documents of incidents. Unchanged ones are cached: every pass reads those of its app."""

    def __init__(self) -> None:
        self._cached: OrderedDict[str, tuple[bytes, Incident]] = OrderedDict()

    def __call__(self, name: str, stored: object) -> Incident:
        """Raises: ValueError: it cannot be read."""
        document = bytes(stored) if isinstance(stored, bytes | memoryview) else UNREADABLE
        cached = self._cached.get(name)
        if cached is not None and cached[0] == document:
            return cached[1]
        incident = codec.INCIDENT.validate_json(unpacked(document))
        self._cached[name] = (document, incident)
        while len(self._cached) > _CACHE_SIZE:
            self._cached.popitem(last=False)
        return incident


def save(connection: Connection, incident: Incident, told: Sequence[Notification], channels: Sequence[str]) -> None:
    """Write an incident, and one delivery of each notification per channel, with an entry in the history.

    A notification whose id is stored already is not queued again.
    """
    _save_incident(connection, incident)
    for notification in told:
        if connection.execute(select(exists().where(notifications.c.id == notification.id))).scalar_one():
            continue
        outbox.enqueue(connection, notification, channels)
        about = notification.incident
        timeline.write(
            connection,
            about.app,
            HistoryKind.INCIDENT,
            time=notification.time,
            summary=outbox.summary(notification),
            details={
                "incident": about.id,
                "notification": notification.id,
                "event": notification.event,
                "type": about.type,
                "revision": about.revision,
                "resolution": about.resolution,
                "message": about.message,
                "channels": list(channels),
            },
            resources=_documents(notification),
        )


def transition(
    connection: Connection,
    app: str,
    changes: Sequence[Change],
    channels: Sequence[str],
    read: IncidentReader,
    now: datetime,
) -> bool:
    """Write what becomes of the app's incidents of some types. Returns: whether there is a notification."""
    known = open_for_update(connection, app, read, now)
    notified = False
    for type_, steps_of in changes:
        for incident, told in steps_of(next((one for one in known if one.type is type_), None)):
            save(connection, incident, told, channels)
            notified |= bool(told)
    return notified


def find(connection: Connection, prefix: str) -> Incident | None:
    """The incident whose id starts so. Raises: StoreError: several do."""
    if not prefix:
        return None
    matches = incidents.c.id.startswith(prefix.lower(), autoescape=True)
    rows = connection.execute(select(incidents.c.id, incidents.c.document).where(matches).limit(6)).all()
    if len(rows) > 1 and prefix.lower() not in {row.id for row in rows}:
        some = ", ".join(row.id[:12] for row in rows[:5])
        raise StoreError(f"{prefix!r} could be several incidents ({some}…): give more of the incident's id")
    found = [row for row in rows if len(rows) == 1 or row.id == prefix.lower()]
    if not found:
        return None
    try:
        return codec.INCIDENT.validate_json(found[0].document)
    except ValueError as e:
        raise StoreError(f"{_name(found[0])}: its record cannot be read") from e


def _name(row: Any) -> str:
    return f"incident {row.id}"


def read(
    connection: Connection,
    *,
    app: str | None,
    type_: IncidentType | None,
    is_open: bool | None,
    since: datetime | None,
    limit: int,
    before: str | None,
) -> Readable[Incident]:
    """The incidents that match, newest first. `before` is the id of the last one of the page before."""
    columns = incidents.c
    query = select(columns.id, columns.document).order_by(columns.opened.desc(), columns.id.desc())
    if app is not None:
        query = query.where(columns.app == app)
    if type_ is not None:
        query = query.where(columns.type == type_.value)
    if is_open is not None:
        query = query.where(columns.resolved.is_(None) if is_open else columns.resolved.is_not(None))
    if since is not None:
        query = query.where(columns.updated >= since)
    if before is not None:
        last = select(columns.opened, columns.id).where(columns.id == before)
        query = query.where(tuple_(columns.opened, columns.id) < last.scalar_subquery())
    rows = connection.execute(query, execution_options=STREAMED)
    return readable(rows, lambda row: codec.INCIDENT.validate_json(row.document), _name, limit)


def _save_incident(connection: Connection, incident: Incident) -> None:
    if incident.resolved is None:
        other = connection.execute(
            select(incidents.c.id).where(
                incidents.c.app == incident.app,
                incidents.c.type == incident.type,
                incidents.c.resolved.is_(None),
                incidents.c.id != incident.id,
            )
        ).scalar()
        if other is not None:
            raise StoreError(
                f"{incident.app}: an incident about {incident.type} is already open ({other}): "
                "it is to be changed or resolved, not opened twice"
            )
    values = {
        "app": incident.app,
        "type": incident.type,
        "resolved": incident.resolved,
        "opened": incident.first_seen,
        "updated": incident.updated,
        "document": codec.INCIDENT.dump_json(incident),
    }
    if connection.execute(update(incidents).where(incidents.c.id == incident.id).values(**values)).rowcount == 0:
        connection.execute(insert(incidents).values(id=incident.id, **values))


def _documents(notification: Notification) -> list[bytes]:
    """The objects that a notification is about, with their fields: at a resolution those of which it is the end."""
    about = notification.incident
    if notification.event is IncidentEvent.RESOLVED and about.ended:
        documents = [ended_document(one) for one in about.ended if one.time == about.resolved]
    else:
        documents = [verdict_document(verdict) for verdict in about.resources]
        documents += [ended_document(one) for one in about.ended if one.time == notification.time]
    return [codec.DETAILS.dump_json(document) for document in documents[:_LISTED]]
