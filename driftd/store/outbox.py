"""The outbox: deliveries of notifications to channels, which are kept until they are made or given up.

Deliveries of one incident to one channel keep their order: a later one waits until the earlier one was delivered or has
failed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, ScalarSelect, and_, exists, func, insert, or_, select, update

from driftd.model.incident import IncidentEvent, Notification
from driftd.model.text import plural
from driftd.store import codec, timeline
from driftd.store.readable import Readable, readable
from driftd.store.records import Backlog, Delivery, DeliveryRecord, DeliveryState, HistoryKind, Told
from driftd.store.schema import deliveries, incidents, notifications

_UNREADABLE = "its record cannot be read"

_LONGEST_WAIT = timedelta(minutes=15)
"""Longer than any lease of a delivery, and than any time until it is tried again."""


def enqueue(connection: Connection, notification: Notification, channels: Sequence[str]) -> None:
    """Write a notification, and one pending delivery of it per channel."""
    connection.execute(
        insert(notifications).values(
            id=notification.id,
            incident=notification.incident.id,
            time=notification.time,
            document=codec.NOTIFICATION.dump_json(notification),
        )
    )
    for channel in dict.fromkeys(channels):
        connection.execute(
            insert(deliveries).values(
                notification=notification.id,
                incident=notification.incident.id,
                channel=channel,
                state=DeliveryState.PENDING,
                attempts=0,
                accepted=notification.time,
                due=notification.time,
                error="",
            )
        )


def claim(connection: Connection, now: datetime, limit: int, channel: str | None, lease: timedelta) -> list[Delivery]:
    """Claim the deliveries that are due, oldest first: no other process gets them until `lease` has expired.

    One whose record cannot be read has failed, which gets an entry in the history; the others go on.
    """
    query = (
        select(deliveries.c.id)
        .where(deliveries.c.state == DeliveryState.PENDING, _is_due(now), ~_blocked())
        .order_by(deliveries.c.due, deliveries.c.id)
    )
    if channel is not None:
        query = query.where(deliveries.c.channel == channel)
    taken: list[Delivery] = []
    while len(taken) < limit:
        ids = connection.execute(query.limit(limit - len(taken))).scalars().all()
        for id_ in ids:
            try:
                taken.append(_read(connection, id_))
            except (ValueError, TypeError):  # of the document, or of a column that SQLite has in another type
                _set_aside(connection, id_, now)
        claimed = [delivery.id for delivery in taken]
        connection.execute(update(deliveries).where(deliveries.c.id.in_(claimed)).values(due=now + lease))
        if not ids:
            break
    return taken


def _read(connection: Connection, id_: int) -> Delivery:
    """Raises: ValueError, TypeError: it cannot be read."""
    row = connection.execute(
        select(
            deliveries.c.id,
            deliveries.c.channel,
            deliveries.c.attempts,
            deliveries.c.accepted,
            notifications.c.document,
            _latest_receipt().label("receipt"),
        )
        .join(notifications, notifications.c.id == deliveries.c.notification)
        .where(deliveries.c.id == id_)
    ).one()
    return Delivery(
        id=row.id,
        notification=codec.NOTIFICATION.validate_json(row.document),
        channel=row.channel,
        attempts=int(row.attempts),
        accepted=row.accepted,
        receipt=row.receipt,
    )


def _set_aside(connection: Connection, id_: int, now: datetime) -> None:
    """Fail a delivery whose record cannot be read."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == id_)
        .values(state=DeliveryState.FAILED, finished=now, error=_UNREADABLE)
    )
    row = connection.execute(
        select(deliveries.c.channel, deliveries.c.incident, deliveries.c.notification, incidents.c.app)
        .outerjoin(incidents, incidents.c.id == deliveries.c.incident)
        .where(deliveries.c.id == id_)
    ).one()
    timeline.write(
        connection,
        row.app or "",
        HistoryKind.DELIVERY,
        time=now,
        summary=f"a message about incident {row.incident}: not delivered to {row.channel}: {_UNREADABLE}",
        details={
            "incident": row.incident,
            "notification": row.notification,
            "channel": row.channel,
            "attempts": 0,
            "error": _UNREADABLE,
        },
    )


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether a delivery may be tried. A clock that was set back must not hold messages back for as long.

    Nothing is postponed for longer than `_LONGEST_WAIT`, and what was never tried is due when it was accepted: where
    that is in the future, it counts as now.
    """
    is_new = and_(deliveries.c.attempts == 0, deliveries.c.due == deliveries.c.accepted)
    return or_(deliveries.c.due <= now, is_new, deliveries.c.due > now + _LONGEST_WAIT)


def told(connection: Connection, incident: str) -> Readable[Told]:
    """The notifications of an incident in their order, with what became of each; unreadable ones are left out."""
    made = defaultdict(list)
    rows = connection.execute(select(deliveries).where(deliveries.c.incident == incident).order_by(deliveries.c.id))
    for row in rows:
        record = DeliveryRecord(row.channel, DeliveryState(row.state), row.attempts, row.finished, row.error)
        made[row.notification].append((row.id, record))
    rows = connection.execute(select(notifications).where(notifications.c.incident == incident))
    found = readable(rows, lambda row: codec.NOTIFICATION.validate_json(row.document), lambda row: f"message {row.id}")
    # Two notifications of one moment are in the order of their deliveries.
    found.sort(key=lambda one: (one.time, [number for number, _ in made[one.id]]))
    together = [Told(one, tuple([delivery for _, delivery in made[one.id]])) for one in found]
    return Readable(together, found.unreadable)


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
    what = summary(delivery.notification)
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


def summary(notification: Notification) -> str:
    incident = notification.incident
    about = incident.message or plural(incident.objects, "object")
    if notification.event is IncidentEvent.RESOLVED:
        about = str(incident.resolution) if incident.resolution else "over"
    return f"{incident.type} {notification.event}: {about}"
