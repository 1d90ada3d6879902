"""Incidents, and the outbox of what is to be told about them.

An incident and the deliveries it asks for are written in one transaction: either both are known after a crash, or
neither. Deliveries of one incident to one channel keep their order; a later one waits until an earlier one has been
delivered or given up.
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
"""From the open incident of an app and type, if there is one, to what becomes of it, and what is to be told: pure."""

_KEPT = 256
"""So many open incidents are held as they were read."""


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
    """Reads the documents of incidents as they lie in the database; one that is the same as before is not read again.

    Every pass asks for those of its app.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[bytes, Incident]] = OrderedDict()

    def __call__(self, name: str, stored: bytes) -> Incident:
        document = bytes(stored)
        known = self._known.get(name)
        if known is not None and known[0] == document:
            return known[1]
        incident = codec.INCIDENT.validate_json(unpacked(document))
        self._known[name] = (document, incident)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return incident


def save(
    connection: Connection, incident: Incident, notification: Notification | None, channels: Sequence[str]
) -> None:
    """Write the incident as it now is, and one delivery of the notification per channel.

    A notification whose id is already known is not queued again.
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
    """Write what becomes of the app's incident of one type. Returns: whether there is something to tell."""
    known = next((incident for incident in still_open(connection, app, read) if incident.type is type_), None)
    found = transition_of(known)
    if found is None:
        return False
    save(connection, *found, channels)
    return found[1] is not None


def claim(connection: Connection, now: datetime, limit: int, channel: str | None, lease: timedelta) -> list[Delivery]:
    """Take the deliveries that are due, oldest first: nobody else gets them until `lease` is over."""
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
    """Note a try that failed. Without `retry_at` it was the last one, which the history then says."""
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
    """What is pending and what was given up, per channel that has either."""
    query = (
        select(deliveries.c.channel, deliveries.c.state, func.count(), func.min(deliveries.c.accepted))
        .where(deliveries.c.state != DeliveryState.DELIVERED)
        .group_by(deliveries.c.channel, deliveries.c.state)
    )
    found: dict[str, Backlog] = {}
    for channel, state, count, oldest in connection.execute(query):
        so_far = found.get(channel, Backlog(0, 0, None))
        found[channel] = (
            Backlog(count, so_far.failed, oldest)
            if state == DeliveryState.PENDING
            else Backlog(so_far.pending, count, so_far.oldest)
        )
    return found


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
