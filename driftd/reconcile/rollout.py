"""The rollout of an app's revision: applied, then good or bad; and a rollback where it is bad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.model.app import App
from driftd.model.errors import DriftdError, Superseded
from driftd.model.health import Health
from driftd.model.plan import SYSTEM_ACTOR, Action, Mode, RollbackMode
from driftd.model.revision import RevisionState
from driftd.policy.lifecycle import Rollout, assess_revision
from driftd.reconcile.scan import Scan
from driftd.repair.target import Target, TargetSelector
from driftd.store.store import Store


@dataclass(frozen=True, slots=True)
class RolloutOutcome:
    """What a pass means for the revision: its state now, and what people are to know of the app's health.

    `rollback_due`: the app is held at its last good revision from now on. `rollback_refused` says why it could not be.
    """

    state: RevisionState
    health: tuple[Health, ...] = ()
    requeue_after: timedelta | None = None
    rollback_due: bool = False
    rollback_refused: str = ""


class RolloutTracker:
    """Follows the rollouts of one app from pass to pass."""

    def __init__(self, app: App, store: Store, targets: TargetSelector, now: Callable[[], datetime]) -> None:
        self._app = app
        self._store = store
        self._targets = targets
        self._now = now
        self._stable_since: tuple[str, datetime] | None = None
        self._unhealthy_since: datetime | None = None

    async def assess(self, target: Target, scan: Scan, action: Action | None) -> RolloutOutcome:
        """What becomes of the target's revision, after a pass that left the cluster as the scan found it.

        Raises: Superseded: something is to be written, and the target rests on a cached state.
        """
        now = self._now()
        self._observe(target, scan, now)
        complete = scan.report.in_sync or (action is not None and not action.failed and not scan.report.undecided)
        record = target.record
        state, applied_at = record.state, record.applied_at
        if complete and target.hold is not None and target.hold.pending:
            self._require_fresh(target)
            await self._store.conclude_hold(self._app.name)
        if complete and applied_at is None:
            state, applied_at = RevisionState.APPLIED, now
            await self._set_state(target, state, now)
        rollout = Rollout(
            state=state,
            applied_at=applied_at,
            stable_since=self._stable_since[1] if self._stable_since else None,
            in_sync=scan.report.in_sync,
            unhealthy=scan.unhealthy,
        )
        assessment = assess_revision(rollout, now, settle=self._app.settle, deadline=self._app.deadline)
        if assessment.state is not state:
            await self._set_state(target, assessment.state, now, assessment.reason)
        due, refused = False, ""
        if assessment.state is RevisionState.BAD and target.hold is None and scan.unhealthy:
            due, refused = await self._roll_back(target, assessment.reason or record.reason)
        health = self._lasting(scan, now)
        return RolloutOutcome(assessment.state, health, assessment.requeue_after, due, refused)

    async def _roll_back(self, target: Target, reason: str) -> tuple[bool, str]:
        """Holds the app at its last good revision. Returns: whether it is held, or why it could not be."""
        if self._app.rollback is not RollbackMode.AUTO or self._app.mode is Mode.OBSERVE:
            return False, ""
        try:
            await self._targets.hold_at(target.desired, to=None, by=SYSTEM_ACTOR, reason=reason)
        except DriftdError as error:
            return False, f"{reason}; {error}"
        return True, ""

    async def _set_state(self, target: Target, state: RevisionState, now: datetime, reason: str = "") -> None:
        self._require_fresh(target)
        await self._store.set_revision_state(self._app.name, target.record.revision.sha, state, reason=reason, time=now)

    def _require_fresh(self, target: Target) -> None:
        """Raises: Superseded: the state of the app has to be read before something is written because of it."""
        if target.from_cache:
            raise Superseded(f"app {self._app.name}: its state has to be read first")
        self._targets.invalidate()

    def _observe(self, target: Target, scan: Scan, now: datetime) -> None:
        sha = target.desired.revision.sha
        if not scan.report.in_sync or scan.unhealthy:
            self._stable_since = None
        elif self._stable_since is None or self._stable_since[0] != sha:
            self._stable_since = (sha, now)
        if not scan.unhealthy:
            self._unhealthy_since = None
        elif self._unhealthy_since is None:
            self._unhealthy_since = now

    def _lasting(self, scan: Scan, now: datetime) -> tuple[Health, ...]:
        """The health that people are notified of: what has failed, and after the deadline whatever is not healthy."""
        too_long = self._unhealthy_since is not None and now - self._unhealthy_since >= self._app.deadline
        return scan.unhealthy if too_long else scan.failed
