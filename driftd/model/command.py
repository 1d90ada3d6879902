"""Commands: what people ask the daemon to do, and the leases by which one process at a time works on an app."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftd.model.resource import JsonObject


class CommandKind(StrEnum):
    SYNC = "sync"
    ROLLBACK = "rollback"


class CommandState(StrEnum):
    """The states of a command: pending, then running, then done or failed; only a pending one can be cancelled."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Command:
    """A request by a person. `id` is unique; `to` is the revision of a rollback, `release` ends an app's hold."""

    id: str
    app: str
    kind: CommandKind
    by: str
    created: datetime
    to: str | None = None
    release: bool = False


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command with its state. `holder` is the process that runs it, or ran it; `error` is set when it failed."""

    command: Command
    state: CommandState
    holder: str | None
    started: datetime | None
    finished: datetime | None
    result: JsonObject | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Lease:
    """The exclusive right of one process, the holder, to act on an app until `expires`, by its own clock.

    Others go by whether it is renewed (see `driftd.reconcile.leases`).
    """

    app: str
    holder: str
    expires: datetime
