"""Deletes old rows, so that the database stays bounded.

A clock on the wall may be wrong for a while. So one pruning deletes at most a day's worth by age, and of rows that are
numbered none that came after a younger one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, exists, func, select

from driftd.model.command import CommandState
from driftd.model.revision import RevisionState
from driftd.store import manifest_sets, runs, takeovers
from driftd.store import revisions as revisions_of
from driftd.store.records import DeliveryState, Pruned
from driftd.store.schema import commands, deliveries, history, holds, incidents, notifications, operations, revisions

_LAST_IN_CLUSTER = 2
"""The one that is there, and the one before it: a rollback goes back to that one."""

_AT_ONCE = timedelta(days=1)
"""By how much one pruning may move the age of the oldest rows on."""

_UNFINISHED = (CommandState.PENDING.value, CommandState.RUNNING.value)


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept.

    An app's current revision, the one it is held at, the last two in its cluster and the last good ones always stay.
    """

    good_revisions: int = 10
    """Number of good revisions per app that keep their manifests, which a rollback needs."""
    history: timedelta = timedelta(days=90)
    """The age of entries of the history, resolved incidents, revisions, operations and finished commands."""
    history_entries: int = 5000
    """Maximum number per app: a flapping app does not fill the disk within the days of `history`."""
    operations: int = 50_000
    """Maximum number per app."""
    deliveries: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        if self.good_revisions < 2:
            raise ValueError("a rollback needs the last good revision and one before it")


def prune(connection: Connection, keep: Retention, now: datetime) -> Pruned:
    kept = _revisions_to_keep(connection, keep.good_revisions)
    oldest = now - keep.history
    old = _is_old(connection, revisions.c.first_seen, oldest, revisions.c.id)
    gone_revisions = _delete_ids(
        connection, [i for i in connection.execute(select(revisions.c.id).where(old)).scalars() if i not in kept]
    )
    digests = {
        row.digest for row in connection.execute(select(revisions.c.id, revisions.c.digest)).all() if row.id in kept
    }
    gone_sets = manifest_sets.keep_only(connection, digests)
    runs.prune(connection)
    takeovers.prune(connection)
    if gone_revisions or gone_sets:
        revisions_of.bump_version(connection)
    gone_history = _prune_rows(connection, history, history.c.id, history.c.time, oldest, keep.history_entries)
    gone_deliveries = _prune_deliveries(connection, now - keep.deliveries)
    gone_incidents = connection.execute(
        delete(incidents).where(
            _is_old(connection, incidents.c.resolved, oldest),
            incidents.c.opened < oldest,  # resolved while the clock was wrong
            ~exists().where(notifications.c.incident == incidents.c.id),
        )
    ).rowcount
    gone_operations = _prune_rows(
        connection, operations, operations.c.number, operations.c.planned, oldest, keep.operations
    )
    old_commands = (
        _is_old(connection, commands.c.created, oldest, commands.c.number),
        commands.c.state.not_in(_UNFINISHED),
    )
    return Pruned(
        manifest_sets=gone_sets,
        revisions=gone_revisions,
        history=gone_history,
        incidents=gone_incidents,
        deliveries=gone_deliveries,
        operations=gone_operations,
        commands=connection.execute(delete(commands).where(*old_commands)).rowcount,
    )


def _revisions_to_keep(connection: Connection, good: int) -> set[int]:
    """The ids of the revisions that stay at any age: the last good ones declare `good` different things."""
    held = set(connection.execute(select(holds.c.app, holds.c.revision)).all())
    columns = (revisions.c.id, revisions.c.app, revisions.c.sha, revisions.c.digest, revisions.c.state)
    rows = connection.execute(select(*columns).order_by(revisions.c.app, revisions.c.turn.desc())).all()
    kept: set[int] = set()
    app, seen_good = None, set[str]()
    for row in rows:
        if row.app != app:
            app, seen_good = row.app, set()
            kept.add(row.id)
        if (row.app, row.sha) in held:
            kept.add(row.id)
        if row.state == RevisionState.GOOD and row.digest not in seen_good and len(seen_good) < good:
            seen_good.add(row.digest)
            kept.add(row.id)
    return kept | _last_in_cluster(connection)


def _last_in_cluster(connection: Connection) -> set[int]:
    applied = select(revisions.c.id, revisions.c.app, revisions.c.digest).where(revisions.c.applied_turn.is_not(None))
    order = (revisions.c.app, revisions.c.applied_turn.desc(), revisions.c.turn.desc())
    kept: set[int] = set()
    app, digests = None, set[str]()
    for row in connection.execute(applied.order_by(*order)):
        if row.app != app:
            app, digests = row.app, set()
        if row.digest not in digests and len(digests) < _LAST_IN_CLUSTER:
            digests.add(row.digest)
            kept.add(row.id)
    return kept


def _delete_ids(connection: Connection, ids: list[int]) -> int:
    for start in range(0, len(ids), 500):
        connection.execute(delete(revisions).where(revisions.c.id.in_(ids[start : start + 500])))
    return len(ids)


def _is_old(
    connection: Connection, time: Column[datetime], oldest: datetime, order: Column[int] | None = None
) -> ColumnElement[bool]:
    """Whether a row is from before `oldest`, of those that may go at once.

    `order` numbers the rows as they came: then none that came after a younger one is old, whatever its time says.
    """
    first = connection.execute(select(func.min(time))).scalar()
    until = min(oldest, first + _AT_ONCE) if first is not None else oldest
    if order is None:
        return time < until
    younger = connection.execute(select(func.min(order)).where(time >= until)).scalar()
    return time < until if younger is None else (time < until) & (order < younger)


def _prune_rows(
    connection: Connection, table: Table, order: Column[int], time: Column[datetime], oldest: datetime, limit: int
) -> int:
    """Delete the rows that are too old, and of each app with more than `limit` others the first ones."""
    deleted = connection.execute(delete(table).where(_is_old(connection, time, oldest, order))).rowcount
    crowded = connection.execute(select(table.c.app).group_by(table.c.app).having(func.count() > limit)).scalars()
    for app in crowded.all():
        of_app = table.c.app == app
        last_deleted = select(order).where(of_app).order_by(order.desc()).offset(limit).limit(1).scalar_subquery()
        deleted += connection.execute(delete(table).where(of_app, order <= last_deleted)).rowcount
    return deleted


def _prune_deliveries(connection: Connection, before: datetime) -> int:
    """Deletes finished deliveries of resolved incidents. The next message of an open one needs their receipt."""
    over: ColumnElement[bool] = exists().where(
        incidents.c.id == deliveries.c.incident, incidents.c.resolved.is_not(None)
    )
    waiting = deliveries.alias()
    gone = connection.execute(
        delete(deliveries).where(
            deliveries.c.state != DeliveryState.PENDING,
            _is_old(connection, deliveries.c.finished, before, deliveries.c.id),
            over,
            # a pending delivery of the same incident needs their receipt
            deliveries.c.incident.not_in(select(waiting.c.incident).where(waiting.c.state == DeliveryState.PENDING)),
        )
    ).rowcount
    connection.execute(
        delete(notifications).where(
            notifications.c.time < before, ~exists().where(deliveries.c.notification == notifications.c.id)
        )
    )
    return gone
