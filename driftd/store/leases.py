"""Leases: at most one process at a time acts on an app.

No clock on the wall ends a lease: it may be set, and those of several hosts differ. Who waits for one measures by the
monotonic clock for how long it has not been renewed; `expires`, which every renewal changes, shows that.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from driftd.model.command import Lease
from driftd.store.schema import leases


def acquire(
    connection: Connection, app: str, holder: str, ttl: timedelta, moment: datetime, ended: Lease | None
) -> Lease | None:
    """The holder's lease, new or renewed; None where another one has it, unless exactly as `ended`."""
    held = read(connection, app)
    if held is not None and held.holder != holder and held != ended:
        return None
    lease = Lease(app, holder, moment + ttl)
    if held is None:
        connection.execute(insert(leases).values(app=app, holder=holder, expires=lease.expires))
    else:
        connection.execute(update(leases).where(leases.c.app == app).values(holder=holder, expires=lease.expires))
    return lease


def renew(connection: Connection, holder: str, ttl: timedelta, moment: datetime) -> frozenset[str]:
    """Renew a holder's leases, also a late one that no other holder has acquired since. Returns: their apps."""
    connection.execute(update(leases).where(leases.c.holder == holder).values(expires=moment + ttl))
    return frozenset(connection.execute(select(leases.c.app).where(leases.c.holder == holder)).scalars())


def release(connection: Connection, holder: str, apps: Collection[str] | None) -> None:
    """End a holder's leases, those of some apps or all."""
    statement = delete(leases).where(leases.c.holder == holder)
    connection.execute(statement if apps is None else statement.where(leases.c.app.in_(apps)))


def read(connection: Connection, app: str) -> Lease | None:
    """The last lease of an app, also when nobody renews it any more."""
    row = connection.execute(select(leases).where(leases.c.app == app)).one_or_none()
    return Lease(row.app, row.holder, row.expires) if row is not None else None
