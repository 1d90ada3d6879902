"""Verdicts for the objects of an app."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from driftd.diff.autoscaler import ReplicaRange
from driftd.diff.claims import claim_on
from driftd.diff.compare import Comparison, unknown_verdict
from driftd.diff.rules.conditions import counts_replicas
from driftd.diff.typed.schema import Schema
from driftd.kube.discovery import ApiResource
from driftd.kube.errors import is_refusal
from driftd.kube.object_store import log_defect
from driftd.kube.objects import get
from driftd.live.admission import Admission
from driftd.live.api_reader import Reader, ReadResult, ReadResults
from driftd.live.autoscalers import AutoscalerReader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.drift import Change, Status, Verdict
from driftd.model.engine import Engine
from driftd.model.errors import DriftdError, Forbidden, KubeError
from driftd.model.health import Health
from driftd.model.path import format_path
from driftd.model.resource import JsonObject, Manifest, ResourceRef

T = TypeVar("T")

SchemaAnswers = Mapping[ApiResource, Schema | KubeError | None]

_COMPARING = ThreadPoolExecutor(max_workers=2, thread_name_prefix="compare")
"""Where objects are compared: one with tens of thousands of fields takes seconds, and probes want an answer in one."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """A verdict with its inputs: the mapped manifest, the object as it was read, and the schema of its kind.

    `health` is that of the object; None where it is not there, or was not asked for.
    """

    mapped: MappedManifest
    verdict: Verdict
    live: JsonObject | None = None
    schema: Schema | None = None
    health: Health | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else may have set fields of an object: its autoscaler's range, and admission that selects it.

    Where one could not be read there is the error; `admission` is set then, too: it may be.
    """

    autoscaler: ReplicaRange | None = None
    admission: bool = False
    autoscaler_unread: DriftdError | None = None
    admission_unread: DriftdError | None = None


@dataclass(frozen=True, slots=True)
class Assessor:
    """Compares declared with live objects, by the client's own comparison or by dry-runs on the API server.

    With `claims`, each verdict says which other deployer keeps the object.
    """

    view: ClusterView
    comparison: Comparison
    engine: Engine
    claims: bool = False

    async def assess(self, items: Sequence[MappedManifest], reader: Reader) -> list[Assessment]:
        """One verdict for each object, in the given order. An error concerns only its own object."""
        assessments = await self._assess(items, reader)
        autoscalers, admission = AutoscalerReader(self.view), Admission(self.view)
        return [await self._in_surroundings(one, autoscalers, admission) for one in assessments]

    async def judge(self, item: MappedManifest, live: JsonObject | None) -> Verdict:
        """The verdict on one object as it has just been read, in view of its autoscaler and of admission, too."""
        schemas = await self.schemas({item.resource} if item.resource is not None else ())
        results = {item.manifest.ref: ReadResult(live)}
        if self.engine is Engine.SERVER:
            assessment = await self._by_server(item, results, schemas)
        else:
            assessment = await _in_thread(self._by_client, item, results, schemas)
        return (await self._in_surroundings(assessment, AutoscalerReader(self.view), Admission(self.view))).verdict

    async def assess_past(self, item: MappedManifest, versions: Sequence[JsonObject | None]) -> list[Assessment]:
        """Compares a manifest with versions that its object had, or None where it was not there.

        By the client's comparison: no dry-run tells of the past.
        """
        if self.engine is not Engine.CLIENT:
            return await replace(self, engine=Engine.CLIENT).assess_past(item, versions)
        schemas = await self.schemas({item.resource} if item.resource is not None else ())
        autoscalers, admission = AutoscalerReader(self.view), Admission(self.view)
        assessments = []
        for live in versions:
            one = await _in_thread(self._by_client, item, {item.manifest.ref: ReadResult(live)}, schemas)
            assessments.append(await self._in_surroundings(one, autoscalers, admission))
        return assessments

    async def _assess(self, items: Sequence[MappedManifest], reader: Reader) -> list[Assessment]:
        schemas = await self.schemas({item.resource for item in items if item.resource is not None})
        if self.engine is Engine.SERVER:
            results = await reader.read(items)
            return await asyncio.gather(*(self._by_server(item, results, schemas) for item in items))
        positions: defaultdict[ResourceRef, list[int]] = defaultdict(list)  # an object may be declared twice
        for position, item in enumerate(items):
            positions[item.manifest.ref].append(position)
        assessments: dict[int, Assessment] = {}
        async with aclosing(reader.stream(items)) as batches:
            async for results in batches:  # each is assessed while the next one is being read
                batch = [(position, items[position]) for ref in results for position in positions[ref]]
                assessments |= await _in_thread(self._by_client_all, batch, results, schemas)
        return [assessments.get(position) or self._by_client(item, {}, schemas) for position, item in enumerate(items)]

    def _by_client_all(
        self, batch: Sequence[tuple[int, MappedManifest]], results: ReadResults, schemas: SchemaAnswers
    ) -> dict[int, Assessment]:
        """The assessments of the objects of one batch, by their positions."""
        return {position: _without_managed_fields(self._by_client(item, results, schemas)) for position, item in batch}

    async def _in_surroundings(
        self, assessment: Assessment, autoscalers: AutoscalerReader, admission: Admission
    ) -> Assessment:
        """The verdict in view of the object's autoscaler, and of admission, where the difference may be theirs."""
        verdict, live, resource = assessment.verdict, assessment.live, assessment.mapped.resource
        if verdict.status is not Status.DRIFTED or live is None or resource is None:
            return assessment
        around = await self.surroundings(verdict, resource, live, autoscalers, admission)
        if around == Surroundings():
            return assessment
        dry_run = None
        if self.engine is Engine.SERVER:
            try:
                dry_run = await self.view.dry_runs.dry_run(assessment.mapped.manifest, resource, live)
            except DriftdError:
                dry_run = None  # refused: the verdict is the client's
        verdict_with = partial(
            self.comparison.verdict, assessment.mapped.manifest, live, assessment.schema,
            status_is_server_owned=resource.has_status, dry_run=dry_run, autoscaler=around.autoscaler,
        )  # fmt: skip
        verdict = await _in_thread(verdict_with, admission=around.admission)
        if around.admission_unread is not None:
            told = await _in_thread(verdict_with, admission=False)
            verdict = _without_admissions(told, verdict, around.admission_unread)
        if around.autoscaler_unread is not None:
            verdict = _without_replicas(verdict, around.autoscaler_unread)
        before = assessment.verdict
        return replace(assessment, verdict=replace(verdict, refused=before.refused, claim=before.claim))

    async def surroundings(
        self,
        verdict: Verdict,
        resource: ApiResource,
        live: JsonObject,
        autoscalers: AutoscalerReader,
        admission: Admission,
    ) -> Surroundings:
        """What else may have set the fields of a verdict. Only what may change it is read."""
        replicas, replicas_unread, admitted, admission_unread = None, None, False, None
        try:
            replicas = await autoscalers.range_of(verdict.ref) if _replicas_differ(verdict) else None
        except DriftdError as error:
            replicas_unread = error
        try:
            admitted = self._is_of_requests(verdict) and await admission.may_change(resource, live)
        except DriftdError as error:
            admitted, admission_unread = True, error
        return Surroundings(replicas, admitted, replicas_unread, admission_unread)

    def _is_of_requests(self, verdict: Verdict) -> bool:
        """Whether a difference may have come with a request that deployed the object: no tool of hands made it.

        What admission sets at the creation is in no entry of managedFields.
        """
        return any(
            drift.change is Change.ADDED
            if drift.by is None
            else drift.by.subresource is None
            and (drift.by.operation == "Update" or drift.change is Change.CHANGED)
            and not self.comparison.managers.is_interactive(drift.by)
            for drift in verdict.fields
        )

    async def schemas(self, resources: Collection[ApiResource]) -> SchemaAnswers:
        """The schema of each kind, or the error of reading it. The object stays the same while the cluster's does."""

        async def schema(resource: ApiResource) -> Schema | KubeError | None:
            try:
                return await self.view.schema(resource)
            except KubeError as error:
                return error

        ordered = list(resources)
        return dict(zip(ordered, await asyncio.gather(*(schema(resource) for resource in ordered)), strict=True))

    def _by_client(
        self, item: MappedManifest, results: ReadResults, schemas: SchemaAnswers, dry_run: JsonObject | None = None
    ) -> Assessment:
        manifest = item.manifest
        if item.error is not None and item.resource is None:
            return Assessment(item, unknown_verdict(manifest, item.error))
        if item.resource is None:
            return Assessment(item, Verdict(manifest.ref, manifest.api_version, Status.MISSING, manifest.source))
        live = results[manifest.ref]
        if live.error is not None:
            return Assessment(item, unknown_verdict(manifest, live.error))
        if item.error is not None and live.body is not None:
            return Assessment(item, unknown_verdict(manifest, item.error), live.body)
        schema = schemas[item.resource]
        if isinstance(schema, KubeError):
            return Assessment(item, unknown_verdict(manifest, f"its schema could not be read: {schema}"), live.body)
        try:
            verdict = self.comparison.verdict(
                manifest, live.body, schema, status_is_server_owned=item.resource.has_status, dry_run=dry_run
            )
        except Exception as error:  # noqa: BLE001  a defect of ours must not cost the verdicts on the other objects
            log_defect("comparison crashed", error, object=str(manifest.ref))
            verdict = unknown_verdict(
                manifest, f"driftd could not compare it ({type(error).__name__}): this is a defect"
            )
        return Assessment(item, self._with_claim(verdict, manifest, live.body), live.body, schema)

    def _with_claim(self, verdict: Verdict, manifest: Manifest, live: JsonObject | None) -> Verdict:
        claim = claim_on(manifest.body, live, self.comparison.managers) if self.claims and live is not None else None
        return replace(verdict, claim=claim) if claim is not None else verdict

    async def _by_server(self, item: MappedManifest, results: ReadResults, schemas: SchemaAnswers) -> Assessment:
        if item.resource is None or item.error is not None:
            return self._by_client(item, results, schemas)
        ref = item.manifest.ref
        live = results[ref]
        if live.error is not None or live.body is None:
            return self._by_client(item, results, schemas)
        try:
            dry_run = await self.view.dry_runs.dry_run(item.manifest, item.resource, live.body)
            if _version(dry_run) != _version(live.body):  # changed between the two requests: read again
                live = ReadResult(await get(self.view.cluster, item.resource, ref.namespace, ref.name))
                if live.body is None:
                    return self._by_client(item, {ref: live}, schemas)
                dry_run = await self.view.dry_runs.dry_run(item.manifest, item.resource, live.body)
        except DriftdError as error:
            if is_refusal(error):
                # Of the write, not of what is there: a hand may have made the object one that no manifest can be merged
                # into, a policy may refuse whoever asks. What differs, the client tells as well.
                assessment = self._by_client(item, {ref: live}, schemas)
                return replace(assessment, verdict=replace(assessment.verdict, refused=str(error)))
            return Assessment(item, unknown_verdict(item.manifest, _dry_run_error(error)), live.body)
        return await _in_thread(self._by_client, item, {ref: live}, schemas, dry_run=dry_run)


async def _in_thread(compute: Callable[..., T], *arguments: Any, **options: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(_COMPARING, partial(compute, *arguments, **options))


def _without_managed_fields(assessment: Assessment) -> Assessment:
    """Without the managedFields of an object that is in sync: they are half of it, and not used any more."""
    live = assessment.live
    if live is None or assessment.verdict.status is not Status.IN_SYNC:
        return assessment
    metadata = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    return replace(assessment, live={**live, "metadata": metadata})


def _replicas_differ(verdict: Verdict) -> bool:
    return any(counts_replicas(drift) for drift in verdict.fields)


def _without_replicas(verdict: Verdict, error: DriftdError) -> Verdict:
    """The verdict where it is not known whether an autoscaler sets the replicas."""
    if not _replicas_differ(verdict):
        return verdict
    fields = tuple([field for field in verdict.fields if not counts_replicas(field)])
    rest = replace(verdict, fields=fields, status=Status.DRIFTED if fields else Status.IN_SYNC)
    return rest.with_unjudged(f"whether an autoscaler sets spec.replicas could not be read: {error}")


def _without_admissions(told: Verdict, admitted: Verdict, error: DriftdError) -> Verdict:
    """The verdict where it is not known whether admission set what is `told`, and not in the verdict if it did."""
    certain = {field.path for field in admitted.fields}
    open_fields = [format_path(field.path) for field in told.fields if field.path not in certain]
    if not open_fields:
        return admitted
    return admitted.with_unjudged(f"whether admission set {', '.join(open_fields)} could not be read: {error}")


def _dry_run_error(error: DriftdError) -> str:
    if isinstance(error, Forbidden):
        return f"the server engine asks by dry-run, which takes the right to patch: {error}"
    return f"the API server could not be asked by dry-run: {error}"


def _version(body: JsonObject) -> str | None:
    version: str | None = body["metadata"].get("resourceVersion")
    return version
