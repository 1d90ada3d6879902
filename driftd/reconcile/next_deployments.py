"""What an app's deployer has yet to deploy, or is deploying now, in the passes of the daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from driftd.desired.next_deployment import read_next
from driftd.desired.source import SourceState
from driftd.desired.state import CapabilitiesSource, Desired
from driftd.detect.next_deployment import made_by_deployer, without_next
from driftd.diff.compare import Comparison
from driftd.model.app import App
from driftd.model.errors import KubeError
from driftd.model.next_deployment import NextDeployment, PendingRevision
from driftd.model.resource import ResourceRef
from driftd.model.revision import Revision
from driftd.reconcile.scan import Scan, Scanner

log = structlog.get_logger(__name__)

DEPLOYER_GRACE = timedelta(seconds=30)
"""A deployer writes objects before it says what it deploys: for so long people are not told of what it has written."""


@dataclass
class NextDeployments:
    """Follows what the deployer of one app has yet to deploy. Costs nothing for an app that is not pinned to a commit.

    `monotonic` gives seconds.
    """

    app: App
    source: SourceState
    scanner: Scanner
    comparison: Comparison
    capabilities: CapabilitiesSource
    monotonic: Callable[[], float]
    wait: timedelta | None = None
    """In how long some of what a deployer has written is told, as of the last call of `mark`."""
    _pending: PendingRevision | None = field(default=None, init=False)
    _of: tuple[str, NextDeployment] | None = field(default=None, init=False)
    """The deployed commit, and what is next, that `_pending` and `_desired` are for."""
    _desired: Desired | None = field(default=None, init=False)
    _since: dict[ResourceRef, float] = field(default_factory=dict, init=False)

    async def mark(self, scan: Scan) -> Scan:
        """The scan with what is pending. What is as it is to be next is no drift any more; other drift that a deployer
        has made is held back for a while, in which the deployer may say what it deploys."""
        self.wait = None
        if not self.source.is_pinned:
            return scan
        report = scan.report
        next_ = self.source.next
        if next_ is not None and report.revision is not None:
            await self._look(report.revision.sha, next_)
            scan = replace(scan, report=replace(report, pending=self._pending))
            if self._desired is not None and report.drifted:
                scan = await self._without_next(scan, self._desired)
        return self._held_back(scan)

    async def _look(self, deployed: str, next_: NextDeployment) -> None:
        """Renders what is next, and counts its commits, once."""
        if self._of == (deployed, next_):
            return
        self._pending, self._desired = await read_next(next_, deployed, self.source.mirror, self._render)
        if self._desired is not None or next_.pending.revision is None:  # else the next pass tries again
            self._of = (deployed, next_)

    async def _render(self, app: App, revision: Revision) -> Desired:
        return await self.source.desired(app, self.capabilities, revision)

    async def _without_next(self, scan: Scan, desired: Desired) -> Scan:
        try:
            found = await without_next(
                scan.report.drifted,
                desired,
                lambda them: self.scanner.verdicts_by(them, scan),
                self.comparison.managers,
            )
        except KubeError as error:
            log.warning("next deployment not compared", app=self.app.name, error=str(error))
            return scan
        return scan.with_verdicts(found)

    def _held_back(self, scan: Scan) -> Scan:
        """The scan with what a deployer has written a short while ago, of which people are not told yet."""
        managers, now = self.comparison.managers, self.monotonic()
        written = [one.ref for one in scan.report.drifted if made_by_deployer(one, managers)]
        self._since = {ref: self._since.get(ref, now) for ref in written}
        left = {ref: self._since[ref] + DEPLOYER_GRACE.total_seconds() - now for ref in written}
        held_back = frozenset([ref for ref, seconds in left.items() if seconds > 0])
        if not held_back:
            return scan
        self.wait = timedelta(seconds=min(left[ref] for ref in held_back))
        return replace(scan, held_back=held_back)
