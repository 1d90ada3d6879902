"""One scan of an app: what the target declares is assessed against what is live."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from driftd.attribution.enricher import GitEnricher
from driftd.attribution.git_attribution import GitAttribution
from driftd.attribution.put_back import PutBack
from driftd.attribution.unseen_edits import UnseenEdits
from driftd.desired.state import Desired
from driftd.detect.assessor import Assessment
from driftd.detect.detector import Detector
from driftd.detect.health import with_health
from driftd.detect.next_deployment import without_next
from driftd.detect.orphans import orphans
from driftd.detect.runs import Runs, is_deployed_by_others, with_presumed
from driftd.detect.verdict_cache import VerdictCache, differs
from driftd.diff.rules.deployer_options import created_by_others
from driftd.diff.typed.schema import Schema
from driftd.kube.discovery import Scope
from driftd.kube.resource_version import is_newer
from driftd.live.actors import ActorLog
from driftd.live.api_reader import ApiReader, Reader
from driftd.live.cache_reader import CacheReader
from driftd.live.mapping import MappedManifest, RestMapper, RestMapping, map_manifests
from driftd.live.pods import pod_scopes
from driftd.live.version_log import VersionLog
from driftd.model.app import App
from driftd.model.drift import FieldOwner, Status, Verdict
from driftd.model.errors import KubeError
from driftd.model.health import Health
from driftd.model.plan import Action, Mode
from driftd.model.report import Report
from driftd.model.resource import JsonObject, Manifest, ResourceRef
from driftd.model.reverted import RevertedEdit
from driftd.model.revision import Revision
from driftd.policy.borders import Borders
from driftd.policy.claims import left_to_deployers
from driftd.policy.decide import Left, left_outside, with_left
from driftd.reconcile.preview import Base, preview_of

if TYPE_CHECKING:  # `driftd check` scans too, and needs no store: SQLAlchemy is slow to import
    from driftd.repair.inventory import Inventory
    from driftd.repair.target import Target

_OBJECTS_PER_BATCH = 64
"""Objects of the cache that are decoded at a time."""


class Watches(Protocol):
    """Keeps the live side of what the apps of one cluster declare."""

    @property
    def actors(self) -> ActorLog: ...

    @property
    def versions(self) -> VersionLog: ...

    def drain_changes(self, app: str) -> set[ResourceRef] | None: ...

    def last_seen(self, ref: ResourceRef) -> JsonObject | None: ...

    def forget_versions(self, app: str) -> None: ...

    async def subscribe(self, app: str, scopes: set[Scope], refs: set[ResourceRef]) -> CacheReader: ...


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found. `unhealthy` and `failed` are objects by their own status; failed ones do not recover.

    `observed` is False while the watch of something is broken: what the cache has may be out of date.
    `settled` is False while Git's side of some differences is still being looked up in the background. `held_back` are
    objects that differ as a deployer has just written them: people are not told of that yet.
    `reverted` are edits that were put back before a scan saw them, and that have yet to be recorded.
    `put_back_by` tells who put back what scans have seen.
    """

    report: Report
    mapping: RestMapping
    no_longer_declared: tuple[MappedManifest, ...]
    reader: Reader
    unhealthy: tuple[Health, ...]
    failed: tuple[Health, ...]
    observed: bool
    settled: bool
    held_back: frozenset[ResourceRef] = frozenset()
    reverted: tuple[RevertedEdit, ...] = ()
    put_back_by: Callable[[Verdict], FieldOwner | None] = lambda _drift: None

    def declared(self, ref: ResourceRef) -> Manifest | None:
        """What the scan compared an object with."""
        item = self.mapping.by_ref.get(ref)
        return item.manifest if item is not None else None

    def with_verdicts(self, new: Mapping[ResourceRef, Verdict]) -> Scan:
        """This scan with other verdicts on some objects that differ."""
        return replace(self, report=self.report.with_replaced(new)) if new else self

    def on_write(self, ref: ResourceRef, body: JsonObject) -> None:
        """Takes in an object as the API server answered a write of it: the cache may be a moment behind."""
        if isinstance(self.reader, CacheReader):
            self.reader.record_write(ref, body)


class Scanner:
    """Scans one app, again and again. What has not changed since the last scan is not assessed again."""

    def __init__(
        self,
        detector: Detector,
        attribution: GitAttribution,
        inventory: Inventory,
        runs: Runs,
        now: Callable[[], datetime],
        background: Background | None = None,
    ) -> None:
        self._detector = detector
        self._attribution = attribution
        self._inventory = inventory
        self._runs = runs
        self._now = now
        self._watches = background.watches if background is not None else None
        self._mapper = RestMapper(detector.app, detector.view)
        self._verdicts = VerdictCache()
        self._subscribed: tuple[RestMapping, tuple[MappedManifest, ...]] | None = None
        self._cache_reader: CacheReader | None = None
        self._scopes: AbstractSet[Scope] = frozenset()
        self._enricher = (
            GitEnricher(attribution.enrich, self._verdicts, background.wake, background.enrichment_slot)
            if background is not None
            else None
        )
        self._put_back = PutBack(detector.comparison.managers)
        self._unseen = (
            UnseenEdits(detector.assess_past, attribution, background.watches.actors, background.wake)
            if background is not None
            else None
        )

    @property
    def app(self) -> App:
        return self._detector.app

    def drain_changes(self) -> set[ResourceRef] | None:
        """The objects that the watches saw changing since the last call; None where any may have changed."""
        return self._watches.drain_changes(self.app.name) if self._watches is not None else None

    async def close(self) -> None:
        """Gives up what goes on in the background."""
        if self._enricher is not None:
            await self._enricher.close()
        if self._unseen is not None:
            await self._unseen.close()

    def recorded(self, scan: Scan) -> None:
        """Says that a scan has been recorded."""
        if self._unseen is not None and scan.reverted:
            self._unseen.recorded(scan.reverted)

    def take_over(self) -> None:
        """Says that another process has made the scans until now: what came and went meanwhile is its to tell."""
        if self._watches is not None:
            self._watches.forget_versions(self.app.name)

    async def scan(self, target: Target, changed: AbstractSet[ResourceRef] | None, *, enrich: bool) -> Scan:
        """Scans the objects that may have `changed` (None: all of them). The report has them all.

        `enrich` says that Git's side of each difference has to be in the report: it is not left to the background.
        Raises: KubeError: the cluster as a whole cannot be read.
        """
        mapping = await self._mapper.map(target.desired.manifests)
        dropped = await self._inventory.no_longer_declared(mapping, target.desired.digest, target.applied_digests)
        return await self._scan(target.desired, mapping, dropped, changed, enrich=enrich or self._enricher is None)

    async def rescan(self, target: Target, scan: Scan, action: Action) -> Scan:
        """Scans what an action wrote."""
        mapping = scan.mapping
        if mapping.incomplete:
            mapping = await self._mapper.map(target.desired.manifests)  # a CRD may have brought kinds since
        written = {applied.ref for applied in action.applied}
        return await self._scan(target.desired, mapping, scan.no_longer_declared, written, enrich=True)

    async def verdicts_by(self, manifests: Sequence[Manifest], scan: Scan) -> Mapping[ResourceRef, Verdict]:
        """The verdicts by earlier manifests of some objects on what a scan has read.

        Raises: KubeError: no discovery. StoreError.
        """
        mapped = await map_manifests(manifests, self.app, self._detector.view)
        assessments = await self._runs.by_earlier(await self._detector.assess(mapped, scan.reader))
        return {one.verdict.ref: one.verdict for one in assessments}

    async def assessments(self, verdicts: Sequence[Verdict], scan: Scan) -> list[Assessment]:
        """Some verdicts of a scan with what they rest on. Objects are read again."""
        items = [scan.mapping.by_ref[verdict.ref] for verdict in verdicts]
        results = await scan.reader.read(items)
        schemas = await self._detector.schemas({item.resource for item in items if item.resource is not None})
        assessments = []
        for item, verdict in zip(items, verdicts, strict=True):
            schema = schemas[item.resource] if item.resource is not None else None
            known = schema if isinstance(schema, Schema) else None
            assessments.append(Assessment(item, verdict, results[verdict.ref].body, known))
        return assessments

    def unreadable(self, desired: Desired, error: KubeError) -> Report:
        """The report where the cluster as a whole cannot be read."""
        return self._detector.unreadable(desired, error, self._now())

    async def _scan(
        self,
        desired: Desired,
        mapping: RestMapping,
        dropped: tuple[MappedManifest, ...],
        changed: AbstractSet[ResourceRef] | None,
        *,
        enrich: bool,
    ) -> Scan:
        reader = await self._reader(mapping, dropped)
        self._attribution.render_for(desired.capabilities)
        revision = desired.revision
        schemas = await self._detector.schemas(mapping.resources)
        stale, unchanged = self._verdicts.stale(mapping, revision.sha, reader, schemas, changed)
        if enrich:
            stale += [assessment.mapped for assessment in unchanged]
        elif self._enricher is not None:
            self._enricher.enqueue_unchanged(revision, unchanged, reader)
        # The API server is asked for all of them at once; the cache decodes a batch at a time.
        batch_size = len(stale) if self._watches is None else _OBJECTS_PER_BATCH
        for start in range(0, len(stale), max(batch_size, 1)):
            await self._assess(stale[start : start + batch_size], desired, reader, enrich=enrich)
        verdicts = self._verdicts.verdicts.followed_by(await orphans(dropped, reader))
        report = self._detector.report(desired, verdicts, self._now())
        self._inventory.observe(report)
        return Scan(
            report=report,
            mapping=mapping,
            no_longer_declared=dropped,
            reader=reader,
            unhealthy=self._verdicts.unhealthy,
            failed=self._verdicts.failed,
            observed=not isinstance(reader, CacheReader) or reader.works(self._scopes),
            settled=self._enricher is None or self._enricher.settled,
            reverted=self._unseen.found if self._unseen is not None else (),
            put_back_by=self._put_back.by,
        )

    async def _assess(self, items: Sequence[MappedManifest], desired: Desired, reader: Reader, *, enrich: bool) -> None:
        versions = [reader.version_of(item) for item in items]
        assessments = with_health(await self._detector.assess(items, reader))
        assessments = self._attributed(await self._with_runs(assessments))
        self._attribution.observe(assessments)
        verdicts = (
            await self._attribution.enrich(desired.revision, assessments)
            if enrich
            else [assessment.verdict for assessment in assessments]
        )
        self._look_between(desired.revision, assessments, reader)
        self._verdicts.update(assessments, versions, verdicts)
        if not enrich and self._enricher is not None:
            self._enricher.enqueue(desired.revision, assessments, versions, reader)

    def _look_between(self, revision: Revision, assessments: Sequence[Assessment], reader: Reader) -> None:
        """Takes in the versions that the objects had since the last scan, up to those that were assessed now."""
        if self._watches is None or self._unseen is None:
            return
        log = self._watches.versions
        for one in assessments:
            ref, live = one.verdict.ref, one.live
            if live is None and one.verdict.status is Status.UNKNOWN:
                continue  # it could not be read
            version = live["metadata"]["resourceVersion"] if live is not None else None
            versions = log.take(self.app.name, ref, version)
            before = self._verdicts.verdict(ref)
            if differs(before) or differs(one.verdict):
                self._put_back.observe(before, one.verdict, versions)
            self._unseen.add(revision, one.mapped, versions)
            if version is not None and is_newer(version, reader.version_of(one.mapped) or "0"):
                log.pass_is_ahead(self.app.name, ref)

    async def _with_runs(self, assessments: list[Assessment]) -> list[Assessment]:
        if self._watches is None:
            return await self._runs.resolve(assessments)
        return await self._runs.resolve(assessments, self._watches.last_seen)

    def _attributed(self, assessments: list[Assessment]) -> list[Assessment]:
        """With who changed it, where the watches and the audit log know more than the objects themselves."""
        if self._watches is None:
            return assessments
        verdicts = self._watches.actors.attribute([assessment.verdict for assessment in assessments])
        return [replace(old, verdict=verdict) for old, verdict in zip(assessments, verdicts, strict=True)]

    async def _reader(self, mapping: RestMapping, dropped: tuple[MappedManifest, ...]) -> Reader:
        if self._watches is None:
            return ApiReader(self._detector.view.cluster)
        if self._cache_reader is None or (mapping, dropped) != self._subscribed:
            items = (*mapping.mapped, *dropped)
            scopes = {(item.resource, item.manifest.ref.namespace) for item in items if item.resource is not None}
            scopes |= await pod_scopes(mapping.mapped, self._detector.view)
            self._scopes = scopes
            refs = {item.manifest.ref for item in items}
            self._cache_reader = await self._watches.subscribe(self.app.name, scopes, refs)
            self._subscribed = (mapping, dropped)
        return self._cache_reader


@dataclass(frozen=True, slots=True)
class Background:
    """What a daemon has and a command has not: watches, and time to look up Git's history between the passes.

    `wake` requests a pass. `enrichment_slot` is shared by all apps: one of them reads Git's history at a time.
    """

    watches: Watches
    wake: Callable[[], None]
    enrichment_slot: asyncio.Lock


async def scan_once(
    detector: Detector,
    attribution: GitAttribution | None,
    desired: Desired,
    reader: ApiReader,
    now: datetime,
    next_desired: Desired | None = None,
    base: Base | None = None,
) -> Report:
    """The report of one scan straight from the API server, with Git's side of every difference, if Git has one.

    Where the app is repaired, whom driftd leaves a difference to is told as far as that is known without a write. What
    is as in `next_desired`, which the app's deployer may be bringing in, is no drift. With a `base`, it has the preview
    of deploying what is desired where the base was.
    """
    try:
        mapped = await map_manifests(desired.manifests, detector.app, detector.view)
    except KubeError as error:
        return detector.unreadable(desired, error, now)
    assessments = await detector.assess(mapped, reader)
    if is_deployed_by_others(detector.app):
        assessments = with_presumed(assessments, {})
    verdicts = tuple([assessment.verdict for assessment in assessments])
    if attribution is not None:
        attribution.render_for(desired.capabilities)
        attribution.observe(assessments)
        verdicts = await attribution.enrich(desired.revision, assessments)
    app, borders = detector.app, Borders.of(detector.app, detector.view.cluster.namespace)
    if app.mode is not Mode.OBSERVE:
        kept = left_to_deployers(detector.report(desired, verdicts, now), take_over=app.take_over)
        left = [
            _left(item, verdict, borders) or kept.get(verdict.ref, Left())
            for item, verdict in zip(mapped, verdicts, strict=True)
        ]
        verdicts = tuple(with_left(one, each, deploys=app.deploys) for one, each in zip(verdicts, left, strict=True))
    report = detector.report(desired, verdicts, now)
    if base is not None:
        report = replace(report, preview=await preview_of(base, detector, reader, desired, mapped, verdicts))
    if next_desired is None:
        return report

    async def judge_by(manifests: Sequence[Manifest]) -> Mapping[ResourceRef, Verdict]:
        others = await map_manifests(manifests, app, detector.view)
        return {one.verdict.ref: one.verdict for one in await detector.assess(others, reader)}

    managers = detector.comparison.managers
    return report.with_replaced(await without_next(report.drifted, next_desired, judge_by, managers))


def _left(item: MappedManifest, verdict: Verdict, borders: Borders) -> Left | None:
    """To whom an object is left as far as its manifest and the app's borders say it; None where they do not."""
    if (outside := item.outside(borders)) is not None:
        return Left(whole=left_outside(outside))
    others = created_by_others(item.manifest.body) if verdict.status is Status.MISSING else None
    return Left(whole=others) if others is not None else None
