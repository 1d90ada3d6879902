"""Commands: a person's request is a row in the store, which the holder of the app's lease carries out."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from driftd.model.command import Command, CommandKind, CommandState
from driftd.model.errors import DriftdError
from driftd.model.plan import Action, Hold
from driftd.store.store import Store

EXPIRES_AFTER = timedelta(minutes=10)
"""A command that is still pending by then is cancelled: the state that it was meant for may be gone."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of a command. `warning` is about the source, where it could not be fetched first.

    `conflicts` has a sentence for each object that was not written, as other apps declare it, too.
    """

    in_sync: bool
    undecided: bool
    action: Action | None = None
    hold: Hold | None = None
    warning: str | None = None
    conflicts: tuple[str, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """As JSON, for the store."""
        document: dict[str, Any] = _RESULT.dump_python(self, mode="json")
        return document


_RESULT: TypeAdapter[CommandResult] = TypeAdapter(CommandResult)


class Commands:
    """Submits commands, and tells what came of them."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def submit(
        self, app: str, kind: CommandKind, by: str, *, to: str | None = None, release: bool = False
    ) -> Command:
        """Writes a command into the store. Raises: StoreError."""
        command = Command(uuid.uuid4().hex, app, kind, by, self._now(), to=to, release=release)
        await self._store.submit_command(command)
        return command

    async def result(self, command: Command) -> CommandResult | None:
        """What came of a command; None while it waits or is being carried out.

        Raises: DriftdError: it failed; the text says why.
        """
        record = await self._store.command(command.id)
        if record is None or record.state is CommandState.CANCELLED:
            raise DriftdError(f"{command.kind} of app {command.app}: the command was cancelled")
        if record.state is CommandState.FAILED:
            raise DriftdError(record.error or f"{command.kind} of app {command.app} failed")
        return _RESULT.validate_python(record.result) if record.state is CommandState.DONE else None

    async def cancel(self, command: Command) -> bool:
        """Takes a command back. False: it is being carried out, or has been."""
        return await self._store.cancel_command(command.id)
