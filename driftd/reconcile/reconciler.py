"""The pass over one app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import Protocol

from driftd.attribution.enricher import NOTIFY_AFTER, GitEnricher
from driftd.attribution.git_attribution import GitAttribution
from driftd.desired.renderer import Renderer
from driftd.desired.source import SourceState
from driftd.desired.state import Desired
from driftd.detect.assessor import Assessment
from driftd.detect.detector import Detector
from driftd.detect.orphans import orphans
from driftd.detect.verdict_cache import VerdictCache
from driftd.diff.compare import Comparison
from driftd.incidents.recorder import Recorder
from driftd.kube.discovery import Scope
from driftd.live.actors import ActorLog
from driftd.live.api_reader import ApiReader, Reader
from driftd.live.cache_reader import CacheReader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest, RestMapper, RestMapping
from driftd.live.pods import pod_scopes
from driftd.model.app import App
from driftd.model.errors import DriftdError, GitError, KubeError, RenderError, Superseded
from driftd.model.health import Health
from driftd.model.plan import Action, Hold, Mode, RollbackMode, Trigger
from driftd.model.report import Report
from driftd.model.resource import ResourceRef
from driftd.model.revision import RevisionState
from driftd.policy.lifecycle import assess_revision
from driftd.render.parsed import CachingParser
from driftd.repair.inventory import Inventory
from driftd.repair.planner import SYSTEM_ACTOR, Command, Repair
from driftd.repair.target import Target, TargetSelector
from driftd.store.records import RevisionRecord
from driftd.store.store import Store

_REDISCOVER_AFTER = timedelta(seconds=30)
"""How long until a cluster that could not say what it serves is asked again: no watch tells when it can."""

_OBJECTS_PER_BATCH = 64
"""So many objects of the cache are unpacked at a time."""


class Watches(Protocol):
    """Keeps the live side of what the apps of one cluster declare."""

    @property
    def actors(self) -> ActorLog: ...

    def drain_changes(self, app: str) -> set[ResourceRef] | None: ...

    async def subscribe(self, app: str, scopes: set[Scope], refs: set[ResourceRef]) -> CacheReader: ...


@dataclass(frozen=True, slots=True)
class PassResult:
    """What a pass found and did. `health` is that of objects that are not healthy.

    `look_again` is when time alone may change something.
    """

    report: Report
    health: tuple[Health, ...] = ()
    state: RevisionState | None = None
    hold: Hold | None = None
    action: Action | None = None
    requeue_after: timedelta | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class Reconciler:
    """Runs passes over one app, one at a time."""

    app: App
    source: SourceState
    view: ClusterView
    store: Store
    comparison: Comparison
    recorder: Recorder
    now: Callable[[], datetime]
    watches: Watches | None = None
    parser: CachingParser = field(default_factory=CachingParser)
    wake: Callable[[], None] = field(default=lambda: None)
    enrichment_slot: asyncio.Lock = field(default_factory=asyncio.Lock)
    _renderer: Renderer = field(init=False)
    _mapper: RestMapper = field(init=False)
    _detector: Detector = field(init=False)
    _attribution: GitAttribution = field(init=False)
    _targets: TargetSelector = field(init=False)
    _inventory: Inventory = field(init=False)
    _stable_since: tuple[str, datetime] | None = None
    _unhealthy_since: datetime | None = None
    _repair: Repair = field(init=False)
    _enricher: GitEnricher = field(init=False)
    _verdicts: VerdictCache = field(default_factory=VerdictCache)
    _rendered: Desired | None = None
    _full_pass_due: bool = True
    _watched: tuple[RestMapping, tuple[MappedManifest, ...]] | None = None
    _watching: CacheReader = field(init=False)

    def __post_init__(self) -> None:
        self._renderer = Renderer(self.app, self.source.mirror, self.parser)
        self._mapper = RestMapper(self.app, self.view)
        self._detector = Detector(self.app, self.view, self.comparison)
        self._attribution = GitAttribution(self.app, self.source.mirror, self.comparison)
        self._inventory = Inventory(self.app, self.view, self.store)
        self._targets = TargetSelector(self.app, self.store, self.now)
        self._repair = Repair(self.app, self.view, self.store, self.now)
        self._enricher = GitEnricher(self._attribution.enrich, self._verdicts, self.wake, self.enrichment_slot)

    async def run(self, command: Command | None = None) -> PassResult:
        """One pass: idempotent, and complete whatever caused it.

        Raises: DriftdError, where a person asked for something that cannot be done; StoreError.
        """
        started = perf_counter()
        changed = self._changed(command)
        try:
            try:
                result = await self._run(command, changed)
            except Superseded:  # by a command, mostly; what has been judged need not be judged again
                self._targets.invalidate()
                result = await self._run(command, set())
        except BaseException:
            self._full_pass_due = True  # what was to be looked at may not have been
            raise
        return replace(result, seconds=perf_counter() - started)

    def request_full_pass(self) -> None:
        """Lets the next pass look at every object, not only at those that the watches tell of."""
        self._full_pass_due = True

    async def close(self) -> None:
        """Ends what goes on beside the passes."""
        await self._enricher.close()

    def _changed(self, ask: Command | None) -> set[ResourceRef] | None:
        """The objects that may have changed since the last pass; None for all of them."""
        changed = self.watches.drain_changes(self.app.name) if self.watches is not None else None
        anything, self._full_pass_due = self._full_pass_due, False
        return None if anything or ask is not None else changed

    async def _run(self, ask: Command | None, changed: set[ResourceRef] | None) -> PassResult:
        revision = self.source.revision
        if revision is None:
            return await self._undecided(
                GitError(self.source.error or f"source {self.source.name} has not been fetched yet"), ask
            )
        try:
            if self._rendered is None or self._rendered.revision != revision:
                self._rendered = await self._renderer.desired(revision)
        except (GitError, RenderError) as error:
            return await self._undecided(error, ask)
        desired = self._rendered
        if ask is not None and ask.trigger is Trigger.ROLLBACK:
            target = await self._targets.roll_back(desired, to=ask.to, by=ask.by, reason=f"asked for by {ask.by}")
        else:
            release = ask is not None and ask.release
            target = await self._targets.choose(desired, release=release, use_cached=self._only_looks(ask))
        return await self._compare_and_act(target, ask, changed)

    def _only_looks(self, ask: Command | None) -> bool:
        return ask is None and self.app.mode is Mode.OBSERVE

    def _mark(self, ask: Command | None) -> str | None:
        return self._targets.version if self._only_looks(ask) else None

    async def _undecided(self, reason: DriftdError, ask: Command | None) -> PassResult:
        if ask is not None:
            raise reason
        self._full_pass_due = True
        hold = await self.store.hold(self.app.name)
        report = Report(self.app.name, self.view.name, self.source.revision, (), self.now(), error=str(reason))
        await self.recorder.record_pass(report, report, health=(), action=None, hold=hold)
        return PassResult(report, hold=hold)

    async def _compare_and_act(
        self, target: Target, ask: Command | None, changed: set[ResourceRef] | None = None
    ) -> PassResult:
        try:
            placement = await self._mapper.map(target.desired.manifests)
            dropped = await self._inventory.no_longer_declared(placement, target.desired.digest, target.applied_digests)
            reader = await self._reader(placement, dropped)
        except KubeError as error:
            if ask is not None:
                raise
            self._full_pass_due = True
            report = self._detector.unreadable(target.desired, error, self.now())
            await self.recorder.record_pass(
                report, report, health=(), action=None, hold=target.hold, version=self._mark(ask)
            )
            return PassResult(report, state=target.record.state, hold=target.hold, requeue_after=_REDISCOVER_AFTER)
        at_once = ask is not None or self.watches is None or self.app.mode is Mode.HEAL
        found = await self._scan(target, placement, dropped, reader, changed, at_once=at_once)
        action = await self._repair.act(target, found, placement, reader, ask)
        after = found
        if action is not None:
            if placement.incomplete:
                placement = await self._mapper.map(target.desired.manifests)  # a CRD may have brought kinds since
                reader = await self._reader(placement, dropped)
            after = await self._scan(
                target, placement, dropped, reader, {one.ref for one in action.applied}, at_once=True
            )
        return await self._conclude(target, found, after, placement, action, ask)

    async def _reader(self, placement: RestMapping, dropped: tuple[MappedManifest, ...]) -> Reader:
        if self.watches is None:
            return ApiReader(self.view.cluster)
        if (placement, dropped) != self._watched:
            scopes = {
                (one.resource, one.manifest.ref.namespace)
                for one in (*placement.mapped, *dropped)
                if one.resource is not None
            }
            scopes |= await pod_scopes(placement.mapped, self.view)
            refs = {*placement.by_ref, *(one.manifest.ref for one in dropped)}
            self._watching = await self.watches.subscribe(self.app.name, scopes, refs)
            self._watched = (placement, dropped)
        return self._watching

    async def _scan(
        self,
        target: Target,
        placement: RestMapping,
        dropped: tuple[MappedManifest, ...],
        reader: Reader,
        changed: set[ResourceRef] | None,
        *,
        at_once: bool,
    ) -> Report:
        """Judges what may have changed, and reports on everything; with Git's side of it at once, or later."""
        revision = target.desired.revision
        schemas = await self._detector.schemas(placement.resources)
        suspects, standing = self._verdicts.stale(placement, revision.sha, reader, schemas, changed)
        if at_once:
            suspects += [one.mapped for one in standing]
        else:
            self._enricher.enqueue_unchanged(revision, standing, reader)
        # Straight from the API server it is all asked for at once; from the cache, so much is unpacked at a time.
        at_a_time = len(suspects) if self.watches is None else _OBJECTS_PER_BATCH
        for start in range(0, len(suspects), max(at_a_time, 1)):
            some = suspects[start : start + at_a_time]
            stamps = [reader.version_of(one) for one in some]
            judged = await self._detector.assess(some, reader)
            self._attribution.observe(judged)
            if self.watches is not None:
                judged = self._named(judged, self.watches.actors)
            told = await self._attribution.enrich(revision, judged) if at_once else [one.verdict for one in judged]
            self._verdicts.update(judged, stamps, told)
            if not at_once:
                self._enricher.enqueue(revision, judged, stamps, reader)
        gone = await orphans(dropped, reader)
        return self._detector.report(target.desired, self._verdicts.verdicts.followed_by(gone), self.now())

    async def _roll_back(self, target: Target, reason: str) -> PassResult | str:
        """Goes back to the last good revision; or says why it could not, which is empty where the app forbids it."""
        if self.app.rollback is not RollbackMode.AUTO or self.app.mode is Mode.OBSERVE:
            return ""
        try:
            held = await self._targets.roll_back(target.desired, to=None, by=SYSTEM_ACTOR, reason=reason)
        except DriftdError as error:
            return f"{reason}; {error}"
        return await self._compare_and_act(held, Command(Trigger.ROLLBACK, SYSTEM_ACTOR))

    @staticmethod
    def _named(judged: Sequence[Assessment], witness: ActorLog) -> list[Assessment]:
        verdicts = witness.attribute([one.verdict for one in judged])
        return [replace(one, verdict=verdict) for one, verdict in zip(judged, verdicts, strict=True)]

    # -- what follows from it ------------------------------------------------------------------------------------

    async def _conclude(
        self,
        target: Target,
        found: Report,
        after: Report,
        placement: RestMapping,
        action: Action | None,
        ask: Command | None,
    ) -> PassResult:
        now = self.now()
        ailing = self._verdicts.unhealthy
        self._remember(after, ailing, now)
        self._full_pass_due |= after.undecided  # what could not be told is tried again by every pass
        record = await self._applied(target, after, action, now)
        judged = assess_revision(
            record.state,
            after,
            ailing,
            applied_at=record.applied_at,
            stable_since=self._stable_since[1] if self._stable_since else None,
            now=now,
            settle=self.app.settle,
            deadline=self.app.deadline,
        )
        if judged.state is not record.state:
            await self._set_state(target, judged.state, now, judged.reason)
        no_way_back = ""
        if judged.state is RevisionState.BAD and target.hold is None and ailing:
            rolled_back = await self._roll_back(target, judged.reason or record.reason)
            if isinstance(rolled_back, PassResult):
                return rolled_back
            no_way_back = rolled_back
        complete = self._enricher.settled
        more_to_tell = await self.recorder.record_pass(
            found,
            after,
            health=self._lasting_trouble(ailing, now),
            action=action,
            hold=target.hold,
            planned=ask is not None or (target.is_new and self.app.mode is Mode.HEAL),
            rollback_refused=no_way_back,
            settled=complete,
            version=self._mark(ask),
        )
        waits = [
            judged.requeue_after,
            self._repair.wait(after, now),
            _REDISCOVER_AFTER if placement.incomplete else None,
            more_to_tell,
            None if complete else NOTIFY_AFTER,
        ]
        return PassResult(
            report=after,
            health=ailing,
            state=judged.state,
            hold=target.hold,
            action=action,
            requeue_after=min((wait for wait in waits if wait is not None), default=None),
        )

    async def _applied(self, target: Target, after: Report, action: Action | None, now: datetime) -> RevisionRecord:
        """The record once all of the revision is in the cluster."""
        record = target.record
        carried_out = action is not None and not action.failed
        if record.applied_at is not None or after.undecided or not (after.in_sync or carried_out):
            return record
        await self._set_state(target, RevisionState.APPLIED, now)
        return replace(record, state=RevisionState.APPLIED, applied_at=now)

    async def _set_state(self, target: Target, state: RevisionState, now: datetime, reason: str = "") -> None:
        """Writes what became of a revision. Raises: Superseded: first, how the app stands has to be read."""
        if target.from_cache:
            raise Superseded(f"app {self.app.name}: how it stands has to be read")
        self._targets.invalidate()
        await self.store.set_revision_state(self.app.name, target.record.revision.sha, state, reason=reason, time=now)

    def _remember(self, report: Report, ailing: Sequence[Health], now: datetime) -> None:
        sha = report.revision.sha if report.revision else ""
        if not report.in_sync or ailing:
            self._stable_since = None
        elif self._stable_since is None or self._stable_since[0] != sha:
            self._stable_since = (sha, now)
        if not ailing:
            self._unhealthy_since = None
        elif self._unhealthy_since is None:
            self._unhealthy_since = now

    def _lasting_trouble(self, ailing: tuple[Health, ...], now: datetime) -> tuple[Health, ...]:
        """What to tell people: not every rollout that is under way, only one that has failed or takes too long."""
        too_long = self._unhealthy_since is not None and now - self._unhealthy_since >= self.app.deadline
        return ailing if too_long else self._verdicts.failed
