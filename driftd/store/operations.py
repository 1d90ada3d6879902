"""Operations: writes to the cluster, recorded before they are made, and their outcomes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from driftd.model.operation import Operation
from driftd.model.plan import Outcome
from driftd.store import codec, takeovers
from driftd.store.readable import Readable, readable
from driftd.store.records import OpenPlan
from driftd.store.schema import STREAMED, operations


class _Stage(StrEnum):
    OPEN = "open"
    RECORDED = "recorded"
    CLOSED = "closed"


_OPEN = (
    select(operations)
    .where(operations.c.app == bindparam("of"), operations.c.stage != _Stage.CLOSED)
    .order_by(operations.c.number)
)
_SET_OUTCOME = update(operations).where(operations.c.id == bindparam("operation"))


def plan(connection: Connection, planned: Sequence[Operation]) -> None:
    """Record operations that are about to be made."""
    if planned:
        connection.execute(insert(operations), [_row(operation) for operation in planned])


def finish(connection: Connection, outcomes: Sequence[Operation]) -> None:
    """Record the outcomes of operations."""
    rows = [
        {
            "operation": operation.id,
            "outcome": operation.outcome.value if operation.outcome else None,
            "error": operation.error,
            "finished": operation.finished,
        }
        for operation in outcomes
    ]
    if rows:
        connection.execute(_SET_OUTCOME, rows)
        takeovers.record(connection, outcomes)


def open_plans(connection: Connection, app: str) -> list[OpenPlan]:
    """The app's plans that are not closed, in the order in which they were recorded."""
    rows = connection.execute(_OPEN, {"of": app}).all()
    plans: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        plans[row.plan].append(row)
    return [_open_plan(name, members) for name, members in plans.items()]


def _open_plan(name: str, members: Sequence[Row[Any]]) -> OpenPlan:
    found = readable(members, _operation, _name)
    is_recorded = members[0].stage != _Stage.OPEN
    return OpenPlan(name, members[0].planned, is_recorded, tuple(found), found.unreadable)


def record(connection: Connection, app: str, plan: str) -> None:
    """The history has this plan as an action."""
    connection.execute(
        update(operations)
        .where(operations.c.app == app, operations.c.stage == _Stage.OPEN, operations.c.plan == plan)
        .values(stage=_Stage.RECORDED)
    )


def close(connection: Connection, app: str, plans: Collection[str]) -> None:
    """Close some of the app's plans: what they came to has been recorded, and people were notified of it."""
    of_plans = (operations.c.app == app, operations.c.stage != _Stage.CLOSED, operations.c.plan.in_(plans))
    connection.execute(update(operations).where(*of_plans).values(stage=_Stage.CLOSED))


def of_plans(connection: Connection, plans: Collection[str]) -> dict[str, Readable[Operation]]:
    """The operations of some plans, in the order in which they were recorded."""
    rows: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    query = select(operations).where(operations.c.plan.in_(plans)).order_by(operations.c.number)
    for row in connection.execute(query):
        rows[row.plan].append(row)
    return {plan: readable(members, _operation, _name) for plan, members in rows.items()}


def by_id(connection: Connection, ids: Collection[str]) -> Readable[Operation]:
    """Some operations, in the order in which they were recorded."""
    query = select(operations).where(operations.c.id.in_(ids)).order_by(operations.c.number)
    return readable(connection.execute(query), _operation, _name)


def read(
    connection: Connection,
    *,
    app: str | None,
    kind: str | None,
    namespace: str | None,
    name: str | None,
    since: datetime | None,
    limit: int,
    before: str | None,
) -> Readable[Operation]:
    """The operations that match, newest first. `before` is the id of the last one of the page before."""
    columns = operations.c
    query = select(operations).order_by(columns.number.desc())
    for column, value in (("app", app), ("kind", kind), ("namespace", namespace), ("name", name)):
        if value is not None:
            query = query.where(columns[column] == value)
    if since is not None:
        query = query.where(columns.planned >= since)
    if before is not None:
        query = query.where(columns.number < select(columns.number).where(columns.id == before).scalar_subquery())
    return readable(connection.execute(query, execution_options=STREAMED), _operation, _name, limit)


def _row(operation: Operation) -> dict[str, Any]:
    ref = operation.ref
    return {
        "id": operation.id,
        "app": operation.app,
        "plan": operation.plan,
        "api_group": ref.group,
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "planned": operation.planned,
        "outcome": operation.outcome.value if operation.outcome else None,
        "error": operation.error,
        "finished": operation.finished,
        "stage": _Stage.OPEN,
        "document": codec.OPERATION.dump_json(replace(operation, outcome=None, error=None, finished=None)),
    }


def _name(row: Row[Any]) -> str:
    return f"write {row.id}"


def _operation(row: Row[Any]) -> Operation:
    operation = codec.OPERATION.validate_json(row.document)
    outcome = Outcome(row.outcome) if row.outcome is not None else None
    return replace(operation, outcome=outcome, error=row.error, finished=row.finished)
