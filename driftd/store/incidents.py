"""Incidents, and the outbox of their notifications.

An incident and its deliveries are written in one transaction: after a crash there are both, or neither. Deliveries of
one incident to one channel keep their order: a later one waits until the earlier one was delivered or has failed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    ScalarSelect,
    and_,
    bindparam,
    exists,
    func,
    insert,
    select,
    tuple_,
    type_coerce,
    update,
)

from driftd.model.errors import StoreError
from driftd.model.incident import Incident, IncidentEvent, IncidentType, Notification
from driftd.model.text import plural
from driftd.store import codec, timeline
from driftd.store.records import Backlog, Delivery, DeliveryState, HistoryKind
from driftd.store.schema import deliveries, incidents, notifications, unpacked

TransitionOf = Callable[[Incident | None], tuple[Incident, Notification | None] | None]
"""A pure function from the open incident of an app and type, if there is one, to its next state and notification."""

_CACHE_SIZE = 256
"""Maximum number of decoded incidents in memory."""


_OPEN = (
    select(incidents.c.id, type_coerce(incidents.c.document, LargeBinary).label("document"))
    .where(incidents.c.resolved.is_(None))
    .order_by(incidents.c.app, incidents.c.id)
)
_OPEN_OF = _OPEN.where(incidents.c.app == bindparam("of"))


def still_open(connection: Connection, app: str | None, read: IncidentReader) -> list[Incident]:
    rows = connection.execute(_OPEN) if app is None else connection.execute(_OPEN_OF, {"of": app})
    return [read(row.id, row.document) for row in rows]


class IncidentReader:
    """Decodes the documents of incidents. Unchanged ones are cached: every pass reads those of its app."""

    def __init__(self) -> None:
        self._cached: OrderedDict[str, tuple[bytes, Incident]] = OrderedDict()

    def __call__(self, name: str, stored: bytes) -> Incident:
        document = bytes(stored)
        cached = self._cached.get(name)
        if cached is not None and cached[0] == document:
            return cached[1]
        incident = codec.INCIDENT.validate_json(unpacked(document))
        self._cached[name] = (document, incident)
        while len(self._cached) > _CACHE_SIZE:
            self._cached.popitem(last=False)
        return incident


def save(
    connection: Connection, incident: Incident, notification: Notification | None, channels: Sequence[str]
) -> None:
    """Write an incident, and one delivery of the notification per channel.

    A notification whose id is stored already is not queued again.
    """
    _save_incident(connection, incident)
    if notification is None:
        return
    if connection.execute(select(exists().where(notifications.c.id == notification.id))).scalar_one():
        return
    connection.execute(
        insert(notifications).values(
            id=notification.id,
            incident=incident.id,
            time=notification.time,
            document=codec.NOTIFICATION.dump_json(notification),
        )
    )
    for channel in dict.fromkeys(channels):
        connection.execute(
            insert(deliveries).values(
                notification=notification.id,
                incident=incident.id,
                channel=channel,
                state=DeliveryState.PENDING,
                attempts=0,
                accepted=notification.time,
                due=notification.time,
                error="",
            )
        )
    timeline.write(
        connection,
        incident.app,
        HistoryKind.INCIDENT,
        time=notification.time,
        summary=_summary(notification),
        details={
            "incident": incident.id,
            "notification": notification.id,
            "event": notification.event,
            "type": incident.type,
            "revision": incident.revision,
            "resolution": incident.resolution,
            "message": incident.message,
            "channels": list(channels),
        },
    )


def transition(
    connection: Connection,
    app: str,
    type_: IncidentType,
    transition_of: TransitionOf,
    channels: Sequence[str],
    read: IncidentReader,
) -> bool:
    """Write the next state of the app's incident of one type. Returns: whether there is a notification."""
    current = next((incident for incident in still_open(connection, app, read) if incident.type is type_), None)
    result = transition_of(current)
    if result is None:
        return False
    incident, notification = result
    save(connection, incident, notification, channels)
    return notification is not None


def read(
    connection: Connection,
    *,
    app: str | None,
    type_: IncidentType | None,
    is_open: bool | None,
    since: datetime | None,
    limit: int,
    before: str | None,
) -> list[Incident]:
    """The incidents that match, newest first. `before` is the id of the last one of the page before."""
    columns = incidents.c
    query = select(columns.document).order_by(columns.opened.desc(), columns.id.desc()).limit(limit)
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
    return [codec.INCIDENT.validate_json(document) for document in connection.execute(query).scalars()]


def claim(connection: Connection, now: datetime, limit: int, channel: str | None, lease: timedelta) -> list[Delivery]:
    """Claim the deliveries that are due, oldest first: no other process gets them until `lease` has expired."""
    query = (
        select(
            deliveries.c.id,
            deliveries.c.channel,
            deliveries.c.attempts,
            deliveries.c.accepted,
            notifications.c.document,
            _latest_receipt().label("receipt"),
        )
        .join(notifications, notifications.c.id == deliveries.c.notification)
        .where(deliveries.c.state == DeliveryState.PENDING, deliveries.c.due <= now, ~_blocked())
        .order_by(deliveries.c.due, deliveries.c.id)
        .limit(limit)
    )
    if channel is not None:
        query = query.where(deliveries.c.channel == channel)
    taken = [
        Delivery(
            id=row.id,
            notification=codec.NOTIFICATION.validate_json(row.document),
            channel=row.channel,
            attempts=row.attempts,
            accepted=row.accepted,
            receipt=row.receipt,
        )
        for row in connection.execute(query)
    ]
    ids = [delivery.id for delivery in taken]
    connection.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(due=now + lease))
    return taken


def next_due(connection: Connection, channel: str) -> datetime | None:
    query = select(func.min(deliveries.c.due)).where(
        deliveries.c.state == DeliveryState.PENDING, deliveries.c.channel == channel, ~_blocked()
    )
    return connection.execute(query).scalar()


def delivered(connection: Connection, delivery: Delivery, receipt: str | None, now: datetime) -> None:
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery.id, deliveries.c.state == DeliveryState.PENDING)
        .values(state=DeliveryState.DELIVERED, receipt=receipt, finished=now, error="")
    )


def failed(connection: Connection, delivery: Delivery, error: str, retry_at: datetime | None, now: datetime) -> None:
    """Record a failed attempt. Without `retry_at` it was the last one, which gets an entry in the history."""
    values = {"attempts": delivery.attempts + 1, "error": error}
    outcome = {"due": retry_at} if retry_at is not None else {"state": DeliveryState.FAILED, "finished": now}
    result = connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery.id, deliveries.c.state == DeliveryState.PENDING)
        .values(**values, **outcome)
    )
    if retry_at is not None or result.rowcount == 0:
        return
    incident = delivery.notification.incident
    attempts = plural(delivery.attempts + 1, "attempt")
    what = _summary(delivery.notification)
    timeline.write(
        connection,
        incident.app,
        HistoryKind.DELIVERY,
        time=now,
        summary=f"{what}: not delivered to {delivery.channel}, given up after {attempts}: {error}",
        details={
            "incident": incident.id,
            "notification": delivery.notification.id,
            "channel": delivery.channel,
            "attempts": delivery.attempts + 1,
            "error": error,
        },
    )


def backlog(connection: Connection) -> Mapping[str, Backlog]:
    """The pending and the failed deliveries of each channel that has any."""
    query = (
        select(deliveries.c.channel, deliveries.c.state, func.count(), func.min(deliveries.c.accepted))
        .where(deliveries.c.state != DeliveryState.DELIVERED)
        .group_by(deliveries.c.channel, deliveries.c.state)
    )
    backlogs: dict[str, Backlog] = {}
    for channel, state, count, oldest in connection.execute(query):
        backlog = backlogs.get(channel, Backlog(0, 0, None))
        backlogs[channel] = (
            Backlog(count, backlog.failed, oldest)
            if state == DeliveryState.PENDING
            else Backlog(backlog.pending, count, backlog.oldest)
        )
    return backlogs


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


def _blocked() -> ColumnElement[bool]:
    """An earlier delivery of the same incident to the same channel is still pending."""
    earlier = deliveries.alias()
    return exists().where(
        earlier.c.incident == deliveries.c.incident,
        earlier.c.channel == deliveries.c.channel,
        earlier.c.id < deliveries.c.id,
        earlier.c.state == DeliveryState.PENDING,
    )


def _latest_receipt() -> ScalarSelect[str | None]:
    """The receipt of the last delivery of the same incident to the same channel that has one."""
    earlier = deliveries.alias()
    return (
        select(earlier.c.receipt)
        .where(
            and_(
                earlier.c.incident == deliveries.c.incident,
                earlier.c.channel == deliveries.c.channel,
                earlier.c.id < deliveries.c.id,
                earlier.c.receipt.is_not(None),
            )
        )
        .order_by(earlier.c.id.desc())
        .limit(1)
        .correlate(deliveries)
        .scalar_subquery()
    )


def _summary(notification: Notification) -> str:
    incident = notification.incident
    about = incident.message or plural(incident.objects, "object")
    if notification.event is IncidentEvent.RESOLVED:
        about = str(incident.resolution) if incident.resolution else "over"
    return f"{incident.type} {notification.event}: {about}"
