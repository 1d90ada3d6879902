"""What queries filter by gets columns, filled from the documents; operations, commands and leases get their tables."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)
TERM = sa.String(255)

_BATCH_SIZE = 1000
"""Rows per batch: the documents of a large store do not fit into memory."""

Values = dict[str, Any]


def upgrade() -> None:
    _reports()
    _verdicts()
    _incidents()
    _operations()
    op.create_table(
        "commands",
        sa.Column("number", SERIAL, primary_key=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("app", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", INSTANT, nullable=False),
        sa.Column("holder", sa.String(255)),
        sa.Column("started", INSTANT),
        sa.Column("finished", INSTANT),
        sa.Column("error", sa.Text),
        sa.Column("result", sa.LargeBinary),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("commands_by_state", "commands", ["state", "app"])
    op.create_table(
        "leases",
        sa.Column("app", sa.String(255), primary_key=True),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("expires", INSTANT, nullable=False),
    )
    op.create_index("ix_leases_holder", "leases", ["holder"])


def _reports() -> None:
    with op.batch_alter_table("reports", recreate="never") as reports:
        reports.alter_column("standing", new_column_name="state_version")
        reports.add_column(sa.Column("cluster", TERM, nullable=False, server_default=""))
        reports.add_column(sa.Column("revision", sa.String(64)))
        reports.add_column(sa.Column("error", sa.Text))
    table = sa.table("reports", *_columns("app", "frame", "cluster", "revision", "error"))

    def values(row: sa.Row[Any]) -> Values:
        frame = orjson.loads(zlib.decompress(row.frame))
        return {
            "cluster": _term(frame["cluster"]),
            "revision": frame["revision"]["sha"] if frame["revision"] else None,
            "error": _text(frame["error"]),
        }

    _fill(table, ("app",), values)


def _verdicts() -> None:
    with op.batch_alter_table("verdicts", recreate="never") as verdicts:
        verdicts.add_column(sa.Column("status", sa.String(16)))
        verdicts.add_column(sa.Column("api_group", TERM))
        for name in ("kind", "namespace", "name", "manager"):
            verdicts.add_column(sa.Column(name, TERM))
        verdicts.add_column(sa.Column("health", sa.String(16)))
        verdicts.add_column(sa.Column("since", INSTANT))
    reports = sa.table("reports", sa.column("app"), sa.column("time", INSTANT))
    times = {app: time for app, time in op.get_bind().execute(sa.select(reports.c.app, reports.c.time))}  # noqa: C416 (rows are no pairs)
    names = ("status", "api_group", "kind", "namespace", "name", "manager")
    table = sa.table("verdicts", *_columns("app", "position", "document", *names), sa.column("since", INSTANT))

    def values(row: sa.Row[Any]) -> Values:
        verdict = orjson.loads(row.document)
        ref = verdict["ref"]
        return {
            "status": verdict["status"],
            "api_group": _term(ref["group"]),
            "kind": _term(ref["kind"]),
            "namespace": _term(ref["namespace"]),
            "name": _term(ref["name"]),
            "manager": _term(_manager(verdict)),
            "since": times[row.app],  # when it was last recorded is the earliest that is known
        }

    _fill(table, ("app", "position"), values)
    with op.batch_alter_table("verdicts") as verdicts:
        for name in ("status", "api_group", "kind", "name", "since"):
            verdicts.alter_column(name, nullable=False)
    op.create_index("verdicts_by_app", "verdicts", ["app", "status", "health"])
    op.create_index("verdicts_by_status", "verdicts", ["status", "app", "position"])
    op.create_index("verdicts_by_kind", "verdicts", ["status", "kind", "namespace", "app", "position"])
    changed = sa.text("manager IS NOT NULL")
    op.create_index(
        "verdicts_by_manager",
        "verdicts",
        ["manager", "app", "position"],
        sqlite_where=changed,
        postgresql_where=changed,
    )


def _incidents() -> None:
    with op.batch_alter_table("incidents", recreate="never") as incidents:
        incidents.add_column(sa.Column("opened", INSTANT))
        incidents.add_column(sa.Column("updated", INSTANT))
    times = (sa.column("opened", INSTANT), sa.column("updated", INSTANT))
    table = sa.table("incidents", *_columns("id", "document"), *times)

    def values(row: sa.Row[Any]) -> Values:
        incident = orjson.loads(zlib.decompress(row.document))
        return {"opened": _instant(incident["first_seen"]), "updated": _instant(incident["updated"])}

    _fill(table, ("id",), values)
    with op.batch_alter_table("incidents") as incidents:
        incidents.alter_column("opened", nullable=False)
        incidents.alter_column("updated", nullable=False)
    op.create_index("incidents_by_opened", "incidents", ["opened", "id"])
    op.create_index("incidents_by_app", "incidents", ["app", "opened", "id"])


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("number", SERIAL, primary_key=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("app", sa.String(255), nullable=False),
        sa.Column("plan", sa.String(64), nullable=False),
        sa.Column("api_group", TERM, nullable=False),
        sa.Column("kind", TERM, nullable=False),
        sa.Column("namespace", TERM),
        sa.Column("name", TERM, nullable=False),
        sa.Column("planned", INSTANT, nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("error", sa.Text),
        sa.Column("finished", INSTANT),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("operations_by_app", "operations", ["app", "number"])
    op.create_index("operations_by_object", "operations", ["kind", "namespace", "name", "number"])
    op.create_index("operations_by_time", "operations", ["planned"])
    is_open = sa.text("stage <> 'closed'")
    op.create_index("open_operations", "operations", ["app"], sqlite_where=is_open, postgresql_where=is_open)


def _columns(*names: str) -> Iterator[sa.ColumnClause[Any]]:
    return (sa.column(name) for name in names)


def _fill(table: sa.TableClause, key: Sequence[str], values: Callable[[sa.Row[Any]], Mapping[str, Any]]) -> None:
    """Set columns of every row of a table, in the order of its primary key."""
    connection = op.get_bind()
    keys = [table.c[name] for name in key]
    query = sa.select(*keys, *[table.c[name] for name in ("document", "frame") if name in table.c])
    query = query.order_by(*keys).limit(_BATCH_SIZE)
    last: sa.Row[Any] | None = None
    while True:
        page = query
        if last is not None:
            page = query.where(sa.tuple_(*keys) > sa.tuple_(*[sa.literal(value) for value in last[: len(key)]]))
        rows = connection.execute(page).all()
        if not rows:
            return
        parameters = [
            {f"key_{name}": value for name, value in zip(key, row, strict=False)} | dict(values(row)) for row in rows
        ]
        statement = sa.update(table).where(*[table.c[name] == sa.bindparam(f"key_{name}") for name in key])
        connection.execute(statement, parameters)
        last = rows[-1]


def _manager(verdict: Mapping[str, Any]) -> str | None:
    """Who last changed a field that differs, or who deleted the object."""
    if verdict.get("by"):
        return str(verdict["by"]["manager"])
    owners = [field["by"] for field in verdict["fields"] if field.get("by")]
    latest = max(owners, key=lambda owner: _instant(owner["time"]).timestamp() if owner["time"] else 0, default=None)
    return latest["manager"] if latest else None


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _term(text: str | None) -> str | None:
    plain = _text(text)
    return plain[:255] if plain is not None else None


def _text(text: str | None) -> str | None:
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}") if text is not None else None
