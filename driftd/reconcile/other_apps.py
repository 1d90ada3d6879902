"""What the apps declare that this process makes no passes over, as the store has it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import structlog

from driftd.model.errors import StoreError
from driftd.reconcile.declared_objects import DeclaredObjects, StoredDeclarations
from driftd.reconcile.leases import Leases
from driftd.store.records import ReportHeader
from driftd.store.store import Store

_LOOK_SECONDS = 5.0
"""Between two looks at the reports of other processes: each costs one query, and more only for what has changed."""

log = structlog.get_logger(__name__)


class OtherApps:
    """Hands over what the store has of apps that are not read here.

    Those are the apps over which another process makes passes, and those of this configuration (`apps`) that this one
    has yet to read: at a start, say, or because their source cannot be rendered any more.
    """

    def __init__(self, store: Store, leases: Leases, declared: DeclaredObjects, apps: Collection[str]) -> None:
        self._store = store
        self._leases = leases
        self._declared = declared
        self._apps = frozenset(apps)
        self._known: dict[str, tuple[str, StoredDeclarations]] = {}
        """By app, with the stamp of the report."""

    async def follow(self) -> None:
        """Looks again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except StoreError as error:
                log.warning("what other processes declare is not known", error=str(error))

    async def look(self) -> Mapping[str, ReportHeader]:
        """Reads what has changed. Returns: the last reports without their verdicts, by app. Raises: StoreError."""
        headers = {header.app: header for header in await self._store.report_headers()}
        known = {}
        for app, header in headers.items():
            elsewhere = self._leases.is_renewed_elsewhere(header.lease) if header.lease is not None else False
            if elsewhere:
                self._declared.forget(app)
            elif app not in self._apps or self._declared.declared_here(app):
                continue
            known[app] = await self._read(header, at_work=elsewhere)
        self._known = known
        self._declared.set_stored({app: declared for app, (_, declared) in known.items()})
        return headers

    async def _read(self, header: ReportHeader, *, at_work: bool) -> tuple[str, StoredDeclarations]:
        stamp, known = self._known.get(header.app, (None, None))
        # A report with an error has no objects: what Git declares by now is not known, and what it did counts.
        if known is None or (stamp != header.stamp and header.error is None) or known.cluster != header.cluster:
            sources = await self._store.declared_by(header.app)
        elif known.at_work == at_work:
            return header.stamp, known
        else:
            sources = known.sources
        return header.stamp, StoredDeclarations(header.cluster, sources, at_work)
