"""Leases: at most one process at a time acts on an app."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from driftd.model.command import Lease
from driftd.store.schema import Instant, leases


def now(connection: Connection, clock: Callable[[], datetime]) -> datetime:
    """The time by which leases expire: the server's on PostgreSQL, since several hosts' clocks may differ."""
    if connection.dialect.name != "postgresql":
        return clock()
    moment: datetime = connection.execute(select(func.clock_timestamp(type_=Instant))).scalar_one()
    return moment


def acquire(connection: Connection, app: str, holder: str, ttl: timedelta, moment: datetime) -> Lease | None:
    """The holder's lease, new or renewed; None while that of another one has not expired."""
    held = read(connection, app)
    if held is not None and held.holder != holder and held.expires > moment:
        return None
    lease = Lease(app, holder, moment + ttl)
    if held is None:
        connection.execute(insert(leases).values(app=app, holder=holder, expires=lease.expires))
    else:
        connection.execute(update(leases).where(leases.c.app == app).values(holder=holder, expires=lease.expires))
    return lease


def renew(connection: Connection, holder: str, ttl: timedelta, moment: datetime) -> frozenset[str]:
    """Renew a holder's leases, also an expired one that no other holder has acquired since. Returns: their apps."""
    connection.execute(update(leases).where(leases.c.holder == holder).values(expires=moment + ttl))
    return frozenset(connection.execute(select(leases.c.app).where(leases.c.holder == holder)).scalars())


def release(connection: Connection, holder: str, apps: Collection[str] | None) -> None:
    """End a holder's leases, those of some apps or all."""
    statement = delete(leases).where(leases.c.holder == holder)
    connection.execute(statement if apps is None else statement.where(leases.c.app.in_(apps)))


def read(connection: Connection, app: str) -> Lease | None:
    """The last lease of an app, also when it has expired."""
    row = connection.execute(select(leases).where(leases.c.app == app)).one_or_none()
    return Lease(row.app, row.holder, row.expires) if row is not None else None
