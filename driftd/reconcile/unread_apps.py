"""Which apps have yet to be read: until then nobody knows which objects several of them declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from time import monotonic

import structlog

from driftd.model.app import App
from driftd.model.resource import ResourceRef
from driftd.reconcile.declared_objects import DeclaredObjects

_PATIENCE_SECONDS = 60.0
"""For how long an app waits for the others at one revision: one that hangs does not hold them up for good."""

log = structlog.get_logger(__name__)


class UnreadApps:
    """What each app of a daemon was read at, and for which others it waits before it writes what is new of it.

    An app of another source has to have been read, or found unreadable, once: since the start, or by an earlier or
    another process. One of the same source has to have been read at the same revision, as one commit may declare an
    object in both. Objects that the app declared before are written without waiting.
    """

    def __init__(
        self, declared: DeclaredObjects, apps: Iterable[App] = (), monotonic: Callable[[], float] = monotonic
    ) -> None:
        self._declared = declared
        self._apps = tuple(apps)
        self._monotonic = monotonic
        self._read: dict[str, str | None] = {}
        self._settled: dict[str, AbstractSet[ResourceRef]] = {}
        """By app, what it declared when nobody was waited for."""
        self._since: dict[str, tuple[str, float]] = {}

    def record_read(self, app: str, revision: str | None) -> None:
        """An app was read at a revision, or could not be; None where its source has none."""
        self._read[app] = revision

    def awaited(
        self, app: App, revision: str, own: AbstractSet[ResourceRef], to_write: AbstractSet[ResourceRef]
    ) -> list[str]:
        """The apps to be read before an app writes some of its `own` objects; none: it may write."""
        name = app.name
        unread = [one.name for one in self._apps if one.name != name and not self._is_read(one, app, revision)]
        settled = self._settled.setdefault(name, self._declared.stored(name, app.cluster))
        if not unread:
            self._settled[name] = own
        if not unread or to_write <= settled:
            return []
        at, since = self._since.get(name, ("", 0.0))
        if at != revision:
            since = self._monotonic()
            self._since[name] = (revision, since)
            log.info("waiting for what other apps declare", app=name, apps=unread)
        if self._monotonic() - since < _PATIENCE_SECONDS:
            return unread
        log.warning("going on without knowing what other apps declare", app=name, apps=unread)
        self._settled[name] = own
        return []

    def _is_read(self, other: App, app: App, revision: str) -> bool:
        if other.cluster != app.cluster or self._declared.at_work_elsewhere(other.name):
            return True
        if other.source == app.source:
            return self._read.get(other.name) == revision
        return other.name in self._read or bool(self._declared.stored(other.name, other.cluster))
