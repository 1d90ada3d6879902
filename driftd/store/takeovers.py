"""The objects that driftd has taken over from other deployers: one that comes back is not fought with."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from sqlalchemy import Connection, delete, exists, insert, select

from driftd.model.operation import Operation
from driftd.model.plan import WRITTEN
from driftd.model.resource import ResourceRef
from driftd.store.schema import revisions, takeovers


def read(connection: Connection, app: str, cluster: str) -> AbstractSet[ResourceRef]:
    """The objects of a cluster that were taken over for an app."""
    rows = connection.execute(select(takeovers).where(takeovers.c.app == app, takeovers.c.cluster == cluster))
    return frozenset([ResourceRef(row.api_group, row.kind, row.namespace or None, row.name) for row in rows])


def record(connection: Connection, outcomes: Iterable[Operation]) -> None:
    """Record the takeovers among some writes, in the transaction of their outcomes."""
    for one in outcomes:
        if one.taken_from is None or one.outcome not in WRITTEN:
            continue
        key = {
            "app": one.app,
            "cluster": one.cluster,
            "api_group": one.ref.group,
            "kind": one.ref.kind,
            "namespace": one.ref.namespace or "",
            "name": one.ref.name,
        }
        connection.execute(delete(takeovers).where(*[takeovers.c[column] == value for column, value in key.items()]))
        values = {"deployer": str(one.taken_from), "time": one.finished or one.planned}
        connection.execute(insert(takeovers).values(**key, **values))


def prune(connection: Connection) -> None:
    """Delete those of apps of which nothing is kept any more."""
    connection.execute(delete(takeovers).where(~exists().where(revisions.c.app == takeovers.c.app)))
