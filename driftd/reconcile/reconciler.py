"""The pass over one app: target, scan, mark, plan, act or wait, outcome, record. Each step is one call."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic, perf_counter

from driftd.attribution.enricher import NOTIFY_AFTER
from driftd.attribution.git_attribution import GitAttribution
from driftd.desired.source import SourceState
from driftd.desired.state import Desired
from driftd.detect.detector import Detector
from driftd.detect.runs import Runs
from driftd.diff.compare import Comparison
from driftd.incidents.findings import PassRecord
from driftd.incidents.recorder import Recorder
from driftd.live.cluster import ClusterView
from driftd.model.app import App
from driftd.model.command import Command, CommandKind
from driftd.model.errors import DriftdError, GitError, KubeError, ManifestsNotKept, RenderError, Superseded
from driftd.model.plan import Action, Mode
from driftd.model.report import Report
from driftd.model.resource import ResourceRef
from driftd.model.revision import Revision
from driftd.policy.borders import Borders
from driftd.policy.claims import refusal
from driftd.policy.decide import repairable
from driftd.reconcile.declared_objects import DeclaredObjects, describe_shared, tells
from driftd.reconcile.deployment import Deployment
from driftd.reconcile.left_alone import LeftAlone
from driftd.reconcile.next_deployments import NextDeployments
from driftd.reconcile.provenance import told_apart
from driftd.reconcile.result import PassResult
from driftd.reconcile.rollout import RolloutOutcome, RolloutTracker
from driftd.reconcile.scan import Background, Scan, Scanner
from driftd.reconcile.unread_apps import UnreadApps
from driftd.repair.executor import Executor
from driftd.repair.inventory import Inventory
from driftd.repair.planner import Planner
from driftd.repair.recovery import Concluded, Recovery
from driftd.repair.removal_check import RemovalCheck
from driftd.repair.siblings import Siblings
from driftd.repair.target import Target, TargetSelector
from driftd.store.store import Store

_REDISCOVER_AFTER = timedelta(seconds=30)
"""How long until a source or a cluster that could not answer is asked again: no watch says when it can."""

_AWAIT_OTHERS = timedelta(seconds=0.5)
"""Between two looks whether the other apps have been read."""

_MAX_ATTEMPTS = 12
"""At one pass: damaged manifests of every revision that was applied are set aside one by one."""

_AT_ONCE = timedelta(0)


def _unguarded() -> None:
    """The lease of a caller that needs none."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the reconcilers of all apps share. `now` gives points in time, `monotonic` (seconds) measures spans."""

    store: Store
    comparison: Comparison
    recorder: Recorder
    now: Callable[[], datetime]
    monotonic: Callable[[], float] = monotonic
    declared: DeclaredObjects = field(default_factory=DeclaredObjects)
    unread: UnreadApps = field(default_factory=lambda: UnreadApps(DeclaredObjects()))


class Reconciler:
    """Runs passes over one app, one at a time.

    `background` is None for a command: then each pass reads from the API server. `check_lease` raises LeaseLost where
    this process may not write any more.
    """

    def __init__(
        self,
        app: App,
        source: SourceState,
        view: ClusterView,
        shared: Shared,
        *,
        background: Background | None = None,
        check_lease: Callable[[], None] = _unguarded,
    ) -> None:
        self.app = app
        self.source = source
        store, comparison, now = shared.store, shared.comparison, shared.now
        self._store = store
        self._recorder = shared.recorder
        self._now = now
        self._view = view
        self._declared = shared.declared
        self._unread = shared.unread
        self._cluster = view.name
        self._in_background = background is not None
        self._targets = TargetSelector(app, store, now, self._render)
        attribution = GitAttribution(app, source.mirror, comparison)
        inventory = Inventory(app, view, store)
        runs = Runs(app, store, now)
        detector = Detector(app, view, comparison)
        self._scanner = Scanner(detector, attribution, inventory, runs, now, background)
        borders = Borders.of(app, view.cluster.namespace)
        removals = RemovalCheck(view, detector.judge)
        deployment = Deployment(app, source, store, self._scanner, attribution)
        self._next = NextDeployments(app, source, self._scanner, comparison, view.capabilities, shared.monotonic)
        self._left_alone = LeftAlone(app, source, store, borders, removals, deployment)
        self._planner = Planner(app, removals, Siblings(view, comparison.managers), now, shared.monotonic)
        self._executor = Executor(app, view, store, borders, now, detector.judge, comparison.managers, check_lease)
        self._recovery = Recovery(view, store, self._executor.unrecorded)
        self._rollout = RolloutTracker(app, store, self._targets, borders, now, shared.monotonic)
        self._desired: Desired | None = None
        self._full_pass_due = True
        self._plans_open = True  # an earlier process may have left some

    async def run(self, command: Command | None = None) -> PassResult:
        """One pass: idempotent, and complete whatever caused it.

        Raises: DriftdError: a person asked for something that cannot be done; StoreError.
        """
        started = perf_counter()
        if command is not None and self.app.mode is Mode.OBSERVE and not command.release:
            raise DriftdError(f"app {self.app.name} is in mode observe, in which driftd never writes to the cluster")
        if command is not None and command.kind is CommandKind.ROLLBACK and not self.app.deploys:
            raise DriftdError(
                f"app {self.app.name} is not deployed by driftd (`deploys: false`): its deployer rolls it back"
            )
        changed, revision = self._changed(command), self.source.revision
        try:
            result = await self._pass_again(command, changed)
        except BaseException:
            self._full_pass_due = True  # some of what was to be scanned may not have been
            raise
        finally:
            self._unread.record_read(self.app.name, revision.sha if revision is not None else None)
        return replace(result, seconds=perf_counter() - started)

    def request_full_pass(self) -> None:
        """Makes the next pass scan every object, not only those that the watches saw changing, and look for plans that
        another process has left open."""
        self._full_pass_due = True
        self._plans_open = True

    def take_over(self) -> None:
        """Says that another process may have made the passes until now."""
        self._scanner.take_over()

    async def close(self) -> None:
        """Ends what goes on in the background."""
        self._declared.forget(self.app.name)
        await self._scanner.close()

    async def _pass(self, command: Command | None, changed: AbstractSet[ResourceRef] | None) -> PassResult:
        try:
            desired = await self._read_desired()
        except (GitError, RenderError, KubeError) as error:
            return await self._record_undesired(error, command)
        if command is not None and command.kind is CommandKind.ROLLBACK:
            await self._refuse_where_kept(desired)
        target = await self._targets.select(desired, command, use_cached=self._only_reports(command))
        try:
            found = await self._scanner.scan(target, changed, enrich=self._enriches_first(command))
        except KubeError as error:
            return await self._record_unreadable(target, error, command)
        found = await self._next.mark(found)
        shared = self._declared.declare(self.app, found.mapping)
        self._unread.record_read(self.app.name, desired.revision.sha)
        asked = command is not None
        heals = self.app.mode is Mode.HEAL and not asked  # for a command, the source has been fetched
        anew = command is not None and command.kind is CommandKind.SYNC
        scan = await self._left_alone.mark(target, found, shared.keys(), may_write=heals, takes_over_anew=anew)
        if heals and self._awaits_others(desired, scan):
            return self._waiting(target, scan)
        plan = await self._planner.plan(target, scan.report, scan.mapping, scan.reader, command)
        action = None
        if plan is not None:
            if asked or (target.is_new and self.app.deploys):
                plan = await told_apart(plan, target, scan, self._scanner, self._store)
            self._plans_open = True
            action = await self._executor.execute(plan, scan.on_write)
            self._planner.record(action)
            found = await self._scanner.rescan(target, found, action)
        after = await self._left_alone.mark(target, found, shared.keys(), may_write=False)
        kept = self._left_alone.kept_by_others(after.report)
        outcome = await self._rollout.assess(target, scan, after, action, kept)
        if outcome.rollback_due:  # the next pass has the held revision as its target, and records
            self._full_pass_due = True
            return self._result(target, after, action, outcome, _AT_ONCE)
        concluded = await self._concluded(after)
        conflicts, returned = describe_shared(self.app.name, scan.mapping, shared), self._left_alone.returned
        record = PassRecord(
            report=after.report,
            health=outcome.health,
            action=action,
            writes=concluded.operations,
            plans=concluded.plans,
            unverified=concluded.unverified,
            hold=target.hold,
            rollback_refused=outcome.rollback_refused,
            conflicts=(*(text for ref, text in conflicts.items() if tells(self.app.name, shared[ref])), *returned),
            declared=after.declared,
            no_longer_declared=frozenset([item.manifest.ref for item in after.no_longer_declared]),
            settled=after.settled,
            held_back=after.held_back,
            put_back_by=after.put_back_by,
            reverted=after.reverted,
            version=self._targets.version if self._only_reports(command) else None,
        )
        notify_after = await self._recorder.record_pass(record)
        self._scanner.recorded(after)
        self._plans_open = bool(concluded.unverified)
        result = self._result(target, after, action, outcome, notify_after)
        return replace(result, conflicts=(*conflicts.values(), *returned), reverted=len(after.reverted))

    async def _pass_again(self, command: Command | None, changed: AbstractSet[ResourceRef] | None) -> PassResult:
        """A pass, which begins anew where something that it rests on turns out to be out of date, or damaged."""
        for _ in range(_MAX_ATTEMPTS - 1):
            try:
                return await self._pass(command, changed)
            except Superseded:  # by a command, mostly; what has been assessed need not be assessed again
                self._targets.invalidate()
                changed = frozenset()
            except ManifestsNotKept:  # what Git declares is stored anew, and the rest does without
                self._targets.record_again()
                changed = None
        return await self._pass(command, changed)

    # -- the steps that this room takes itself ---------------------------------------------------------------------

    def _changed(self, command: Command | None) -> AbstractSet[ResourceRef] | None:
        """The objects that may have changed since the last pass; None for all of them."""
        changed = self._scanner.drain_changes()
        full, self._full_pass_due = self._full_pass_due, False
        return None if full or command is not None else changed

    async def _read_desired(self) -> Desired:
        """What Git declares; a chart is rendered anew where its cluster has changed.

        Raises: GitError, RenderError: there is no revision, or it cannot be rendered. KubeError: a chart cannot be, as
            its cluster does not say what it serves.
        """
        if self._desired is None or self._desired.revision != self.source.revision:
            self._desired = await self.source.desired(self.app, self._view.capabilities)
        elif self._desired.errors:  # a rendering that was stopped may not be stopped again; a mistake costs a look
            again = await self.source.desired(self.app, self._view.capabilities)
            self._desired = self._desired if again == self._desired else again
        elif self._desired.capabilities is not None:
            with suppress(KubeError):  # the scan reports it
                if self._desired.capabilities != await self._view.capabilities():
                    self._desired = await self.source.desired(self.app, self._view.capabilities)
        return self._desired

    async def _refuse_where_kept(self, desired: Desired) -> None:
        """Raises: DriftdError: another deployer keeps some of the app, so that it cannot be rolled back as a whole."""
        target = await self._targets.select(desired, None)
        scan = await self._scanner.scan(target, None, enrich=False)
        await self._left_alone.mark(target, scan, (), may_write=False)
        kept = self._left_alone.kept_by_others(scan.report)
        if kept is not None:
            raise DriftdError(f"app {self.app.name} is not rolled back: {refusal(kept)}")

    async def _render(self, revision: Revision) -> Desired:
        """What an earlier revision declares, as it is in Git. Raises: DriftdError."""
        return await self.source.desired(self.app, self._view.capabilities, revision)

    def _only_reports(self, command: Command | None) -> bool:
        return command is None and self.app.mode is Mode.OBSERVE

    def _enriches_first(self, command: Command | None) -> bool:
        """Whether everything is known about a difference before driftd acts on it."""
        return command is not None or self.app.mode is Mode.HEAL or not self._in_background

    def _awaits_others(self, desired: Desired, scan: Scan) -> bool:
        """Whether other apps have yet to be read, which may declare what this one would write for the first time."""
        to_write = {verdict.ref for verdict in repairable(scan.report)}
        return bool(self._unread.awaited(self.app, desired.revision.sha, scan.mapping.by_ref.keys(), to_write))

    def _waiting(self, target: Target, scan: Scan) -> PassResult:
        """The result of a pass that comes before anything can be done: the next one, which is due soon, records."""
        state, hold = target.record.state, target.hold
        return PassResult(scan.report, scan.unhealthy, state, hold, requeue_after=_AWAIT_OTHERS)

    async def _concluded(self, scan: Scan) -> Concluded:
        """What the plans came to that this pass has carried out, or that were found open. Raises: StoreError."""
        if not self._plans_open:
            return Concluded()
        return await self._recovery.conclude(scan.report, scan.mapping.by_ref, scan.reader, self._now())

    async def _record_undesired(self, error: DriftdError, command: Command | None) -> PassResult:
        if command is not None:
            raise error
        self._full_pass_due = True
        hold = await self._store.hold(self.app.name)
        report = Report(self.app.name, self._cluster, self.source.revision, (), self._now(), error=str(error))
        await self._recorder.record_pass(PassRecord(report, hold=hold))
        return PassResult(report, hold=hold)

    async def _record_unreadable(self, target: Target, error: KubeError, command: Command | None) -> PassResult:
        if command is not None:
            raise error
        self._full_pass_due = True
        report = self._scanner.unreadable(target.desired, error)
        version = self._targets.version if self._only_reports(command) else None
        await self._recorder.record_pass(PassRecord(report, hold=target.hold, version=version))
        return PassResult(report, state=target.record.state, hold=target.hold, requeue_after=_REDISCOVER_AFTER)

    def _result(
        self,
        target: Target,
        scan: Scan,
        action: Action | None,
        outcome: RolloutOutcome,
        notify_after: timedelta | None,
    ) -> PassResult:
        waiting = any(verdict.namespace_deleted for verdict in scan.report.drifted)  # for its end, which no watch tells
        # What could not be assessed is tried again by every pass.
        self._full_pass_due |= scan.report.undecided or waiting
        waits = [
            outcome.requeue_after,
            self._planner.requeue_after(scan.report),
            _REDISCOVER_AFTER if scan.mapping.incomplete or waiting or self._left_alone.waits else None,
            notify_after,
            None if scan.settled else NOTIFY_AFTER,
            self._next.wait,
        ]
        return PassResult(
            report=scan.report,
            health=scan.unhealthy,
            state=outcome.state,
            hold=target.hold,
            action=action,
            requeue_after=min((wait for wait in waits if wait is not None), default=None),
            rollback_due=outcome.rollback_due,
        )
