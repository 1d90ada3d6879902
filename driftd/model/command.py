"""What a person asks of driftd about one app, and the lease of whoever may run passes over it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftd.model.resource import JsonObject


class CommandKind(StrEnum):
    """What is asked for."""

    SYNC = "sync"
    ROLLBACK = "rollback"


class CommandState(StrEnum):
    """How far a command has got."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (CommandState.PENDING, CommandState.RUNNING)


@dataclass(frozen=True, slots=True)
class Command:
    """A request by a person. `to` is the revision of a rollback (None: the last good one), `release` ends a hold."""

    id: str
    app: str
    kind: CommandKind
    by: str
    created: datetime
    to: str | None = None
    release: bool = False


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command as the store has it. `holder` is the process that carries it out; `error` is set when it failed."""

    command: Command
    state: CommandState
    holder: str | None = None
    started: datetime | None = None
    finished: datetime | None = None
    result: JsonObject | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run passes over an app, until it expires or is renewed."""

    app: str
    holder: str
    expires: datetime
