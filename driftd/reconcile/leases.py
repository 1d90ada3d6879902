"""The leases by which of one app there is never more than one pass, across processes too.

Source: client-go's leaderelection (a lease of 15 s, renewed long before it ends, and given up by its holder before
anybody else may take it; who waits takes it when it has not been renewed for as long, by a clock that nobody sets).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

import structlog

from driftd.model.command import Lease
from driftd.model.errors import LeaseLost, StoreError
from driftd.process.clock import boottime
from driftd.process.identity import has_ended, process_identity
from driftd.store.store import Store

DURATION = timedelta(seconds=15)
"""How long a lease lasts unless it is renewed."""

_MARGIN_SECONDS = 3.0
"""A lease counts as lost for its holder so long before it is free for others."""

_RENEW_SECONDS = 5.0
_RETRY_SECONDS = 1.0
"""Between two attempts to acquire a lease that another process holds."""

log = structlog.get_logger(__name__)


class Leases:
    """The leases that this process holds."""

    def __init__(self, store: Store, holder: str | None = None) -> None:
        self.holder = holder or process_identity()
        self._store = store
        self._valid_until: dict[str, float] = {}
        self._others: dict[str, tuple[Lease, float]] = {}
        """The leases of others, and since when each has been as it is."""

    def holds(self, app: str) -> bool:
        """Whether this process may run passes over an app now."""
        return boottime() < self._valid_until.get(app, 0.0)

    def check(self, app: str) -> None:
        """To be called before each write. Raises: LeaseLost."""
        if not self.holds(app):
            raise LeaseLost(f"the lease of app {app} has been lost: another process may be at work on it")

    def other_holder(self, app: str) -> str | None:
        """The process that held the lease of an app when this one last tried to acquire it."""
        other = self._others.get(app)
        return other[0].holder if other is not None else None

    def is_renewed_elsewhere(self, lease: Lease) -> bool:
        """Whether another process goes on renewing a lease, as far as it was seen here."""
        if lease.holder == self.holder or has_ended(lease.holder):
            return False
        self._observe(lease.app, lease)
        return self._ended(lease.app, boottime()) is None

    async def acquire(self, app: str) -> bool:
        """Tries to acquire the lease of an app: one that nobody has, or whose holder has not renewed it in time.

        A holder that has ended on this machine has lost it at once.

        Commands that an earlier holder had started count as failed: no process continues them.
        """
        asked = boottime()
        lease = await self._store.acquire_lease(app, self.holder, DURATION, ended=self._ended(app, asked))
        if lease is None:
            other = await self._store.lease(app)
            if other is not None and has_ended(other.holder):
                await self._store.release_leases(other.holder, [app])
                asked = boottime()
                lease = await self._store.acquire_lease(app, self.holder, DURATION)
            if lease is None:
                self._observe(app, other)
                return False
        self._others.pop(app, None)
        await self._store.interrupt_commands(app, self.holder)
        self._hold(app, asked)
        return True

    async def renew(self) -> frozenset[str]:
        """Renews all of them. Returns: the apps whose lease was lost."""
        asked = boottime()
        held = frozenset(self._valid_until)
        renewed = await self._store.renew_leases(self.holder, DURATION)
        for app in held & renewed:
            self._hold(app, asked)
        for app in held - renewed:
            del self._valid_until[app]
        return held - renewed

    async def release(self, apps: Iterable[str] | None = None) -> None:
        """Lets others acquire them at once."""
        released = list(self._valid_until if apps is None else apps)
        for app in released:
            self._valid_until.pop(app, None)
        if released:
            await self._store.release_leases(self.holder, released)

    def _observe(self, app: str, other: Lease | None) -> None:
        """Takes in the lease of another process; the time without a renewal begins when it was seen first."""
        known = self._others.get(app)
        if other is None:
            self._others.pop(app, None)
        elif known is None or known[0] != other:
            self._others[app] = (other, boottime())

    def _ended(self, app: str, now: float) -> Lease | None:
        """The lease of another process that it has not renewed for all of its duration."""
        other, since = self._others.get(app, (None, now))
        return other if now - since >= DURATION.total_seconds() else None

    def _hold(self, app: str, asked: float) -> None:
        self._valid_until[app] = asked + DURATION.total_seconds() - _MARGIN_SECONDS


class _Standby:
    """Logs for which apps this process stands by, each time that this changes."""

    def __init__(self) -> None:
        self._holders: Mapping[str, str] = {}

    def follow(self, holders: Mapping[str, str]) -> None:
        """`holders` are the processes at work on apps that this one waits for."""
        before, self._holders = self._holders, holders
        for holder in sorted({holders[app] for app in holders if before.get(app) != holders[app]}):
            waited_for = [app for app in holders if holders[app] == holder]
            log.info("another driftd holds the leases: standing by", holder=holder, apps=waited_for)
        if taken := [app for app in before if app not in holders]:
            log.info("no other driftd holds the leases any more", apps=taken)


def _ignored(_app: str, _error: str) -> None:
    """A command notices by itself that it may not go on."""


async def keep_leases(
    leases: Leases,
    apps: Callable[[], Iterable[str]],
    on_acquired: Callable[[str], None],
    on_unknown: Callable[[str, str], None] = _ignored,
) -> None:
    """Acquires and renews the leases of some apps, until it is cancelled.

    `on_acquired` requests a pass. `on_unknown` is called with an app that this process does not hold and the error,
    for as long as the store does not say whose its lease is.
    """
    loop = asyncio.get_running_loop()
    next_renewal = loop.time() + _RENEW_SECONDS
    standby = _Standby()
    while True:
        try:
            if loop.time() >= next_renewal:
                next_renewal = loop.time() + _RENEW_SECONDS
                for app in await leases.renew():
                    log.warning("lease lost", app=app)
            for app in [app for app in apps() if not leases.holds(app)]:
                if await leases.acquire(app):
                    on_acquired(app)
            standby.follow({app: holder for app in apps() if (holder := leases.other_holder(app)) is not None})
        except StoreError as error:
            log.error("leases not renewed", error=str(error))  # noqa: TRY400  # the text says it all
            for app in apps():
                if not leases.holds(app):
                    on_unknown(app, str(error))
        await asyncio.sleep(_RETRY_SECONDS)
