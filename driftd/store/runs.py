"""How far the Jobs and Pods of an app had come when they were last seen: those that are done are not run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, exists, insert, select

from driftd.model.resource import ResourceRef
from driftd.model.run import Run, RunState
from driftd.store.schema import manifests, runs


def read(connection: Connection, app: str) -> Mapping[ResourceRef, Run]:
    rows = connection.execute(select(runs).where(runs.c.app == app))
    found = [
        Run(
            ref=ResourceRef(row.api_group, row.kind, row.namespace or None, row.name),
            digest=row.digest,
            state=RunState(row.state),
            message=row.message,
            time=row.time,
        )
        for row in rows
    ]
    return {run.ref: run for run in found}


def record(connection: Connection, app: str, seen: Sequence[Run]) -> None:
    """Write runs in place of the earlier ones of the same objects."""
    for run in seen:
        ref = run.ref
        key = {
            "app": app,
            "api_group": ref.group,
            "kind": ref.kind,
            "namespace": ref.namespace or "",
            "name": ref.name,
        }
        connection.execute(delete(runs).where(*[runs.c[column] == value for column, value in key.items()]))
        values = {"digest": run.digest, "state": run.state.value, "message": run.message, "time": run.time}
        connection.execute(insert(runs).values(**key, **values))


def prune(connection: Connection) -> None:
    """Delete the runs that no kept revision declares."""
    connection.execute(delete(runs).where(~exists().where(manifests.c.digest == runs.c.digest)))
