"""The rollout of an app's revision: applied, then good or bad; and a rollback where it is bad."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.model.app import App
from driftd.model.drift import Change, Status, Verdict
from driftd.model.errors import DriftdError, Superseded
from driftd.model.health import Health
from driftd.model.plan import Action, Mode, Outcome, RollbackMode
from driftd.model.report import Report
from driftd.model.resource import ResourceRef
from driftd.model.revision import RevisionState
from driftd.policy.borders import Borders
from driftd.policy.claims import refusal
from driftd.policy.lifecycle import Application, Rollout, Sighting
from driftd.reconcile.scan import Scan
from driftd.repair.target import Target, TargetSelector
from driftd.store.store import Store

_ZERO = timedelta(0)

_WRITTEN = frozenset({Outcome.CREATED, Outcome.CONFIGURED, Outcome.UNCHANGED})

_RUNNING = (("spec",), ("pods",))
"""Where the fields of an object begin that say what runs."""


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


@dataclass(slots=True)
class _Tracked:
    """The revision that is being followed: what of it has yet to be applied, and then its rollout.

    `changed` are the objects that it declares otherwise than the one before it; `unhealthy_before` are those that it is
    not to blame for, since they were unhealthy when it came.
    """

    target: tuple[str, bool]
    changed: AbstractSet[ResourceRef]
    to_apply: set[ResourceRef]
    unhealthy_before: AbstractSet[ResourceRef]
    application: Application
    rollout: Rollout | None = None


class RolloutTracker:
    """Follows the rollouts of one app from pass to pass.

    What was seen of one ends with the process: the next one gives the revision all of its deadline again.
    """

    def __init__(
        self,
        app: App,
        store: Store,
        targets: TargetSelector,
        borders: Borders,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._app = app
        self._store = store
        self._targets = targets
        self._borders = borders
        self._now = now
        self._monotonic = monotonic
        self._tracked: _Tracked | None = None
        self._kept: Verdict | None = None
        self._observed_at: float | None = None
        self._unhealthy_for: timedelta | None = None

    async def assess(
        self, target: Target, before: Scan, after: Scan, action: Action | None, kept: Verdict | None = None
    ) -> RolloutOutcome:
        """What becomes of the target's revision after a pass, which found the app as `before` and left it as `after`.

        `kept` is an object that is left to another deployer: then the revision is not driftd's to take back.

        Raises: Superseded: something is to be written, and the target rests on a cached state.
        """
        self._kept = kept
        elapsed = self._observe(after)
        if action is not None and {health.ref for health in after.unhealthy} & {one.ref for one in action.written}:
            self._unhealthy_for = None  # whatever driftd has just written begins anew
        health = self._lasting(after, elapsed)
        state = target.record.state
        if target.desired.errors:  # what does not parse cannot be applied as a whole
            return RolloutOutcome(state, health)
        if not target.is_in_cluster:
            tracked = await self._track(target, before)
            if not _is_applied(tracked, after, action if self._app.deploys else None):  # what it heals is no rollout
                return await self._assess_unapplied(target, tracked, action, health, elapsed)
            state = await self._record_applied(target)
        if state is RevisionState.GOOD or elapsed is None:
            return RolloutOutcome(state, health)
        tracked = await self._track(target, before)
        if tracked.rollout is None:
            unhealthy_before, changed = tracked.unhealthy_before, tracked.changed
            tracked.rollout = Rollout(self._app.settle, self._app.deadline, changed, unhealthy_before)
            elapsed = _ZERO
        tracked.rollout.observe(_sighting(before, after, action), elapsed)
        assessment = tracked.rollout.assess(state)
        if assessment.state is not state:
            await self._set_state(target, assessment.state, assessment.reason)
        due, refused = False, ""
        if assessment.state is RevisionState.BAD and target.hold is None and tracked.rollout.blamed:
            due, refused = await self._roll_back(target, assessment.reason or target.record.reason)
        return RolloutOutcome(assessment.state, health, assessment.requeue_after, due, refused)

    async def _assess_unapplied(
        self,
        target: Target,
        tracked: _Tracked,
        action: Action | None,
        health: tuple[Health, ...],
        elapsed: timedelta | None,
    ) -> RolloutOutcome:
        """What becomes of a revision of which something has yet to come into the cluster."""
        state = target.record.state
        if target.hold is not None or not self._is_deployed_here or elapsed is None:
            return RolloutOutcome(state, health)
        refused = {one.ref: one.error or "" for one in action.failed if one.refused} if action is not None else {}
        tracked.application.observe(refused, tracked.to_apply, elapsed)
        assessment = tracked.application.assess(state)
        if assessment.state is not state:
            await self._set_state(target, assessment.state, assessment.reason)
        due, rollback_refused = False, ""
        if assessment.state is RevisionState.BAD and tracked.application.refused:
            due, rollback_refused = await self._roll_back(target, assessment.reason or target.record.reason)
        return RolloutOutcome(assessment.state, health, assessment.requeue_after, due, rollback_refused)

    async def _track(self, target: Target, before: Scan) -> _Tracked:
        key = (target.record.digest, target.hold is not None)
        if self._tracked is None or self._tracked.target != key:
            changed = {ref for ref in await self._changed(target, before) if self._is_applied_here(ref)}
            unhealthy = {health.ref for health in before.unhealthy}
            if not self._is_lasting:
                unhealthy -= changed
            to_apply = set[ResourceRef]() if target.is_in_cluster else set(changed)
            self._tracked = _Tracked(key, changed, to_apply, unhealthy, Application(self._app.deadline))
        return self._tracked

    def _is_applied_here(self, ref: ResourceRef) -> bool:
        """Whether an object is part of the app's rollout: what lies outside of its borders is never written."""
        return not self._is_deployed_here or self._borders.outside(ref) is None

    @property
    def _is_deployed_here(self) -> bool:
        """Whether driftd may bring a revision in, and take it back."""
        return self._app.mode is not Mode.OBSERVE and self._app.deploys

    async def _changed(self, target: Target, scan: Scan) -> AbstractSet[ResourceRef]:
        """The objects that the target declares otherwise than the revision before it; all of them where it is held.

        What both declare has been applied before.
        """
        mapped = scan.mapping.mapped
        if target.before is None or target.hold is not None:
            return {item.manifest.ref for item in mapped}
        _, changed = await self._store.difference(target.before, {item.manifest.digest for item in mapped})
        return {item.manifest.ref for item in mapped if item.manifest.digest in changed}

    async def _record_applied(self, target: Target) -> RevisionState:
        self._require_fresh(target)
        await self._store.record_applied(self._app.name, target.record.revision.sha, time=self._now())
        if target.hold is not None and target.hold.pending:
            await self._store.conclude_hold(self._app.name)
        state = target.record.state
        return RevisionState.APPLIED if state is RevisionState.SEEN else state

    async def _roll_back(self, target: Target, reason: str) -> tuple[bool, str]:
        """Holds the app at the revision before. Returns: whether it is held, or why it could not be."""
        if self._app.rollback is not RollbackMode.AUTO or not self._is_deployed_here:
            return False, ""
        if self._kept is not None:
            return False, f"{reason}; it is not rolled back: {refusal(self._kept)}"
        try:
            await self._targets.hold_at_previous(target.desired, reason=reason)
        except DriftdError as error:
            return False, f"{reason}; {error}"
        return True, ""

    async def _set_state(self, target: Target, state: RevisionState, reason: str) -> None:
        self._require_fresh(target)
        sha = target.record.revision.sha
        await self._store.set_revision_state(self._app.name, sha, state, reason=reason, time=self._now())

    def _require_fresh(self, target: Target) -> None:
        """Raises: Superseded: the state of the app has to be read before something is written because of it."""
        if target.from_cache:
            raise Superseded(f"app {self._app.name}: its state has to be read first")
        self._targets.invalidate()

    def _observe(self, scan: Scan) -> timedelta | None:
        """The time since the last pass; zero where the app was not observed all that time. None: it is not now."""
        since, self._observed_at = self._observed_at, None
        if scan.report.undecided or not scan.observed:
            return None
        self._observed_at = self._monotonic()
        return timedelta(seconds=self._observed_at - since) if since is not None else _ZERO

    def _lasting(self, scan: Scan, elapsed: timedelta | None) -> tuple[Health, ...]:
        """The health that people are notified of: what has failed, and after the deadline whatever is not healthy."""
        unhealthy = tuple([health for health in scan.unhealthy if not health.own_pace])
        if not unhealthy:
            self._unhealthy_for = None
        elif self._unhealthy_for is None:
            self._unhealthy_for = _ZERO
        elif elapsed is not None:
            self._unhealthy_for += elapsed
        return unhealthy if self._is_lasting else scan.failed

    @property
    def _is_lasting(self) -> bool:
        """Whether something has been unhealthy for as long as the deadline."""
        return self._unhealthy_for is not None and self._unhealthy_for >= self._app.deadline


def _is_applied(tracked: _Tracked, scan: Scan, action: Action | None) -> bool:
    """Whether each object that the revision changed has been as it declares, or was written so, since it came."""
    if scan.report.error is not None or not scan.settled:
        return False
    written = {applied.ref for applied in action.applied if applied.outcome in _WRITTEN} if action else set()
    written -= {verdict.ref for verdict in scan.report.drifted if verdict.claim is not None}  # it is its deployer's
    different = {verdict.ref for verdict in scan.report.notable if not _is_as_declared(verdict, written)}
    tracked.to_apply &= different
    return not tracked.to_apply


def _is_as_declared(verdict: Verdict, written: AbstractSet[ResourceRef]) -> bool:
    """Whether a manifest is in the cluster: what somebody has added to it, and other pods, are drift and no rollout."""
    if verdict.status is not Status.DRIFTED:
        return verdict.status is Status.IGNORED
    if verdict.ref in written:
        return True
    return verdict.behind is None and all(field.change is Change.ADDED or field.of_pods for field in verdict.fields)


def _sighting(before: Scan, after: Scan, action: Action | None) -> Sighting:
    written = {applied.ref for applied in action.applied} if action is not None else set()
    return Sighting(after.unhealthy, _edited(after.report), written | _edited(before.report))


def _edited(report: Report) -> AbstractSet[ResourceRef]:
    """The declared objects that are gone, or run something else than Git declares."""
    return {
        verdict.ref
        for verdict in report.drifted
        if verdict.status is Status.MISSING
        or (verdict.status is Status.DRIFTED and any(field.path[:1] in _RUNNING for field in verdict.fields))
    }
