"""Carrying out the commands of the store: by the daemon, or by the command line itself where there is none."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from math import inf

from driftd.model.command import Command
from driftd.process.clock import boottime
from driftd.reconcile.reconciler import Reconciler
from driftd.reconcile.result import PassResult
from driftd.service.commands import EXPIRES_AFTER, CommandResult
from driftd.store.store import Store


class CommandQueue:
    """The commands that wait for a pass over their app."""

    def __init__(
        self, store: Store, holder: str, now: Callable[[], datetime], monotonic: Callable[[], float] = boottime
    ) -> None:
        self._store = store
        self._holder = holder
        self._now = now
        self._monotonic = monotonic
        self._polled: dict[str, float] = {}
        self._made: dict[str, float] = {}
        """When each pending command was made at the earliest, by the monotonic clock."""
        self._pending: defaultdict[str, deque[Command]] = defaultdict(deque)
        self._taken: set[str] = set()

    async def poll(self, apps: Collection[str]) -> set[str]:
        """Reads new commands on some apps. Returns: those apps for which there is one. Raises: StoreError."""
        asked = self._monotonic()
        commands = await self._store.pending_commands(apps)
        self._taken &= {command.id for command in commands}
        made = {command.id: self._made_at(command, asked) for command in commands}
        self._made = {id_: self._made.get(id_, moment) for id_, moment in made.items()}
        self._polled = dict.fromkeys(apps, asked)
        found = set()
        for command in commands:
            if command.id in self._taken:
                continue
            if asked - self._made[command.id] > EXPIRES_AFTER.total_seconds():
                await self._store.cancel_command(command.id)
                continue
            self._taken.add(command.id)
            self._pending[command.app].append(command)
            found.add(command.app)
        return found

    def _made_at(self, command: Command, now: float) -> float:
        """When a command was made: not before the last look, nor before the time that it bears itself."""
        age = max(0.0, (self._now() - command.created).total_seconds())
        return max(self._polled.get(command.app, -inf), now - age)

    async def take(self, app: str) -> Command | None:
        """The next command on an app, as one that this process carries out from now on. Raises: StoreError."""
        while self._pending[app]:
            command = self._pending[app].popleft()
            if await self._store.start_command(command.id, self._holder):
                return command
        return None


async def _nothing_to_prepare() -> None:
    """Of a daemon, everything is at hand."""


async def carry_out(
    store: Store, reconciler: Reconciler, command: Command, prepare: Callable[[], Awaitable[None]] = _nothing_to_prepare
) -> PassResult:
    """Carries out a command that was started, and records what came of it, whatever that is.

    Fetches the source first; where that fails, the revision before is used. `prepare` is called between the fetch and
    the pass. Raises: DriftdError: it cannot be done.
    """
    try:
        await reconciler.source.fetch()
        await prepare()
        result = await reconciler.run(command)
        while result.rollback_due:
            result = await reconciler.run()
    except BaseException as error:
        await store.finish_command(command.id, error=str(error) or type(error).__name__)
        raise
    source = reconciler.source
    warning = f"{source.error}; going on with {source.revision.short}" if source.error and source.revision else None
    report = result.report
    done = CommandResult(report.in_sync, report.undecided, result.action, result.hold, warning, result.conflicts)
    await store.finish_command(command.id, result=done.document)
    return result
