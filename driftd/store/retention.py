"""Letting go of what nobody will ask for again, so that the database stays bounded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, exists, func, select

from driftd.model.revision import RevisionState
from driftd.store import manifest_sets
from driftd.store import revisions as revisions_of
from driftd.store.records import DeliveryState, Pruned
from driftd.store.schema import deliveries, history, holds, incidents, notifications, revisions


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept. Whatever the ages say, the current revision, the held one and the last good ones stay."""

    good_revisions: int = 10
    """Per app: so many good revisions keep their manifests, and with them the way back."""
    history: timedelta = timedelta(days=90)
    history_entries: int = 5000
    """Per app: an app whose verdict flaps does not fill the disk within the days of `history`."""
    deliveries: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        if self.good_revisions < 2:
            raise ValueError("a rollback needs the last good revision and one before it")


def prune(connection: Connection, keep: Retention, now: datetime) -> Pruned:
    kept = _revisions_to_keep(connection, keep.good_revisions)
    old = revisions.c.first_seen < now - keep.history
    gone_revisions = _delete_ids(
        connection, [i for i in connection.execute(select(revisions.c.id).where(old)).scalars() if i not in kept]
    )
    digests = {
        row.digest for row in connection.execute(select(revisions.c.id, revisions.c.digest)).all() if row.id in kept
    }
    gone_sets = manifest_sets.keep_only(connection, digests)
    if gone_revisions or gone_sets:
        revisions_of.bump_version(connection)
    gone_history = _prune_history(connection, keep, now)
    gone_deliveries = _prune_deliveries(connection, now - keep.deliveries)
    gone_incidents = connection.execute(
        delete(incidents).where(
            incidents.c.resolved < now - keep.history, ~exists().where(notifications.c.incident == incidents.c.id)
        )
    ).rowcount
    return Pruned(
        manifest_sets=gone_sets,
        revisions=gone_revisions,
        history=gone_history,
        incidents=gone_incidents,
        deliveries=gone_deliveries,
    )


def _revisions_to_keep(connection: Connection, good: int) -> set[int]:
    """The rows of the current revision of each app, of its last good ones, and of what it is held at."""
    held = set(connection.execute(select(holds.c.app, holds.c.revision)).all())
    rows = connection.execute(
        select(revisions.c.id, revisions.c.app, revisions.c.sha, revisions.c.state).order_by(
            revisions.c.app, revisions.c.turn.desc()
        )
    ).all()
    kept: set[int] = set()
    app, seen_good = None, 0
    for row in rows:
        if row.app != app:
            app, seen_good = row.app, 0
            kept.add(row.id)
        if (row.app, row.sha) in held:
            kept.add(row.id)
        if row.state == RevisionState.GOOD:
            seen_good += 1
            if seen_good <= good:
                kept.add(row.id)
    return kept


def _delete_ids(connection: Connection, ids: list[int]) -> int:
    for start in range(0, len(ids), 500):
        connection.execute(delete(revisions).where(revisions.c.id.in_(ids[start : start + 500])))
    return len(ids)


def _prune_history(connection: Connection, keep: Retention, now: datetime) -> int:
    gone = connection.execute(delete(history).where(history.c.time < now - keep.history)).rowcount
    crowded = connection.execute(
        select(history.c.app).group_by(history.c.app).having(func.count() > keep.history_entries)
    ).scalars()
    for app in crowded.all():
        newest_to_go = (
            select(history.c.id)
            .where(history.c.app == app)
            .order_by(history.c.id.desc())
            .offset(keep.history_entries)
            .limit(1)
            .scalar_subquery()
        )
        gone += connection.execute(delete(history).where(history.c.app == app, history.c.id <= newest_to_go)).rowcount
    return gone


def _prune_deliveries(connection: Connection, before: datetime) -> int:
    """Finished deliveries of resolved incidents. Those of an open one stay: its next message needs their receipt."""
    over: ColumnElement[bool] = exists().where(
        incidents.c.id == deliveries.c.incident, incidents.c.resolved.is_not(None)
    )
    waiting = deliveries.alias()
    gone = connection.execute(
        delete(deliveries).where(
            deliveries.c.state != DeliveryState.PENDING,
            deliveries.c.finished < before,
            over,
            # nor those that a pending one of the same incident will build on
            deliveries.c.incident.not_in(select(waiting.c.incident).where(waiting.c.state == DeliveryState.PENDING)),
        )
    ).rowcount
    connection.execute(
        delete(notifications).where(
            notifications.c.time < before, ~exists().where(deliveries.c.notification == notifications.c.id)
        )
    )
    return gone
