"""Commands: the queue of people's requests to the daemon."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, exists, insert, select, update

from driftd.model.command import Command, CommandRecord, CommandState
from driftd.model.resource import JsonObject
from driftd.store import codec
from driftd.store.schema import commands

_INTERRUPTED = "driftd ended while it ran the command: see what the app's history has of it, and give the command again"

_UNREADABLE = "the record of the command cannot be read: give it again"


def submit(connection: Connection, command: Command) -> None:
    """Queue a command, unless one of its id is known."""
    if connection.execute(select(exists().where(commands.c.id == command.id))).scalar_one():
        return
    connection.execute(
        insert(commands).values(
            id=command.id,
            app=command.app,
            state=CommandState.PENDING.value,
            created=command.created,
            document=codec.COMMAND.dump_json(command),
        )
    )


def pending(connection: Connection, apps: Collection[str]) -> tuple[list[Command], list[str]]:
    """The pending commands of some apps, oldest first, and the ids of those that cannot be read."""
    query = (
        select(commands.c.id, commands.c.document)
        .where(commands.c.state == CommandState.PENDING.value, commands.c.app.in_(apps))
        .order_by(commands.c.created, commands.c.number)
    )
    found: list[Command] = []
    unreadable: list[str] = []
    for row in connection.execute(query):
        try:
            found.append(codec.COMMAND.validate_json(row.document))
        except ValueError:
            unreadable.append(row.id)
    return found, unreadable


def reject(connection: Connection, names: Collection[str], now: datetime) -> None:
    """Fail pending commands that cannot be read."""
    connection.execute(
        update(commands)
        .where(commands.c.id.in_(names), commands.c.state == CommandState.PENDING.value)
        .values(state=CommandState.FAILED.value, error=_UNREADABLE, finished=now)
    )


def start(connection: Connection, name: str, holder: str, now: datetime) -> bool:
    return _move(connection, name, CommandState.PENDING, CommandState.RUNNING, holder=holder, started=now)


def finish(connection: Connection, name: str, result: JsonObject | None, error: str | None, now: datetime) -> bool:
    state = CommandState.DONE if error is None else CommandState.FAILED
    document = codec.DETAILS.dump_json(dict(result)) if result is not None else None
    return _move(connection, name, CommandState.RUNNING, state, result=document, error=error, finished=now)


def cancel(connection: Connection, name: str, now: datetime) -> bool:
    return _move(connection, name, CommandState.PENDING, CommandState.CANCELLED, finished=now)


def interrupt(connection: Connection, app: str, holder: str, now: datetime) -> None:
    """Fail the running commands of an app that other processes than `holder` had started."""
    connection.execute(
        update(commands)
        .where(commands.c.state == CommandState.RUNNING.value, commands.c.app == app, commands.c.holder != holder)
        .values(state=CommandState.FAILED.value, error=_INTERRUPTED, finished=now)
    )


def read(connection: Connection, name: str) -> CommandRecord | None:
    row = connection.execute(select(commands).where(commands.c.id == name)).one_or_none()
    return _record(row) if row is not None else None


def _move(connection: Connection, name: str, before: CommandState, after: CommandState, **values: Any) -> bool:
    """Change the state of a command that is in another one. Returns: whether it was."""
    statement = update(commands).where(commands.c.id == name, commands.c.state == before.value)
    return connection.execute(statement.values(state=after.value, **values)).rowcount > 0


def _record(row: Row[Any]) -> CommandRecord:
    return CommandRecord(
        command=codec.COMMAND.validate_json(row.document),
        state=CommandState(row.state),
        holder=row.holder,
        started=row.started,
        finished=row.finished,
        result=codec.DETAILS.validate_json(row.result) if row.result is not None else None,
        error=row.error,
    )
