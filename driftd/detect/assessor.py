"""Verdicts for the objects of an app."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from driftd.diff.autoscaler import Autoscalers
from driftd.diff.compare import Comparison, unknown
from driftd.diff.schema import Schema
from driftd.kube.discovery import ApiResource
from driftd.kube.objects import get, list_objects
from driftd.live.api_reader import Reader, ReadResult, ReadResults
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.drift import Status, Verdict
from driftd.model.engine import Engine
from driftd.model.errors import DriftdError, Forbidden, Invalid, KubeError
from driftd.model.resource import JsonObject, ResourceRef

log = structlog.get_logger(__name__)

SchemaAnswers = Mapping[ApiResource, Schema | KubeError | None]

_DUPLICATE_KEYS = "duplicate entries for key"
"""What server-side apply says of a map list that has a key twice, which every other way of writing takes."""

_YIELD_EVERY = 64
"""So many comparisons (a few milliseconds) between two moments in which other tasks may run."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """A verdict, and what it was reached by: the object as it was read, and the type of its kind."""

    mapped: MappedManifest
    verdict: Verdict
    live: JsonObject | None = None
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class Assessor:
    """Compares what is wanted with what is there, by the client's own comparison or by asking the API server."""

    view: ClusterView
    comparison: Comparison
    engine: Engine

    async def assess(self, items: Sequence[MappedManifest], reader: Reader) -> list[Assessment]:
        """One verdict for each object, in the given order. One object's trouble is only its own."""
        judged = await self._assess(items, reader)
        return [await self._under_autoscaler(one) if _replicas_differ(one.verdict) else one for one in judged]

    async def _assess(self, items: Sequence[MappedManifest], reader: Reader) -> list[Assessment]:
        schemas = await self.schemas({one.resource for one in items if one.resource is not None})
        if self.engine is Engine.SERVER:
            readings = await reader.read(items)
            return await asyncio.gather(*(self._by_server(one, readings, schemas) for one in items))
        places: defaultdict[ResourceRef, list[int]] = defaultdict(list)  # an object may be declared twice
        for place, one in enumerate(items):
            places[one.manifest.ref].append(place)
        judged: dict[int, Assessment] = {}
        count = 0
        async with aclosing(reader.stream(items)) as parts:
            async for readings in parts:  # each is judged while the next one is on its way
                for ref in readings:
                    count += 1
                    if count % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                    for place in places[ref]:
                        judged[place] = _without_managed_fields(self._by_client(items[place], readings, schemas))
        return [judged.get(place) or self._by_client(one, {}, schemas) for place, one in enumerate(items)]

    async def _under_autoscaler(self, one: Assessment) -> Assessment:
        """The verdict once it is known which autoscaler scales the object: a LIST, and only where replicas differ."""
        manifest, resource = one.mapped.manifest, one.mapped.resource
        if one.live is None or resource is None:
            return one
        try:
            scalers = await self.view.resource("autoscaling/v2", "HorizontalPodAutoscaler")
            listed = await list_objects(self.view.cluster, scalers, manifest.ref.namespace)
            asks = self.engine is Engine.SERVER
            answer = await self.view.dry_runs.dry_run(manifest, resource, one.live) if asks else None
        except DriftdError as error:
            log.warning("autoscalers not looked at", object=str(manifest.ref), error=str(error))
            return one
        within = Autoscalers.of(listed.items).range_of(manifest.ref)
        if within is None:
            return one
        verdict = self.comparison.verdict(
            manifest, one.live, one.schema,
            status_is_server_owned=resource.has_status, dry_run=answer, autoscaler=within,
        )  # fmt: skip
        return replace(one, verdict=verdict)

    async def schemas(self, resources: Collection[ApiResource]) -> SchemaAnswers:
        """The type of each kind, or why it could not be read: the same one for as long as the cluster's is the same."""

        async def one(resource: ApiResource) -> Schema | KubeError | None:
            try:
                return await self.view.schema(resource)
            except KubeError as error:
                return error

        ordered = list(resources)
        return dict(zip(ordered, await asyncio.gather(*(one(r) for r in ordered)), strict=True))

    def _by_client(
        self, one: MappedManifest, readings: ReadResults, schemas: SchemaAnswers, dry_run: JsonObject | None = None
    ) -> Assessment:
        manifest = one.manifest
        if one.error is not None and one.resource is None:
            return Assessment(one, unknown(manifest, one.error))
        if one.resource is None:
            return Assessment(one, Verdict(manifest.ref, manifest.api_version, Status.MISSING, manifest.source))
        reading = readings[manifest.ref]
        if reading.error is not None:
            return Assessment(one, unknown(manifest, reading.error))
        if one.error is not None and reading.body is not None:
            return Assessment(one, unknown(manifest, one.error), reading.body)
        schema = schemas[one.resource]
        if isinstance(schema, KubeError):
            return Assessment(one, unknown(manifest, f"its schema could not be read: {schema}"), reading.body)
        try:
            verdict = self.comparison.verdict(
                manifest, reading.body, schema, status_is_server_owned=one.resource.has_status, dry_run=dry_run
            )
        except Exception as error:
            # A defect of ours in the comparison of one object must not cost the verdicts on the others.
            log.exception("comparison crashed", object=str(manifest.ref))
            verdict = unknown(manifest, f"driftd could not compare it ({type(error).__name__}): this is a defect")
        return Assessment(one, verdict, reading.body, schema)

    async def _by_server(self, one: MappedManifest, readings: ReadResults, schemas: SchemaAnswers) -> Assessment:
        if one.resource is None or one.error is not None:
            return self._by_client(one, readings, schemas)
        ref = one.manifest.ref
        reading = readings[ref]
        if reading.error is not None or reading.body is None:
            return self._by_client(one, readings, schemas)
        try:
            answer = await self.view.dry_runs.dry_run(one.manifest, one.resource, reading.body)
            if _version(answer) != _version(reading.body):  # changed between the two requests: look again
                reading = ReadResult(await get(self.view.cluster, one.resource, ref.namespace, ref.name))
                if reading.body is None:
                    return self._by_client(one, {ref: reading}, schemas)
                answer = await self.view.dry_runs.dry_run(one.manifest, one.resource, reading.body)
        except Invalid as error:
            # A hand may have made of the object what no manifest can be merged into (an immutable field, the second
            # member of a union): that is drift all the same. Where nothing differs, the server's no is not "in sync",
            # but where it is the apply alone that refuses: the same variable twice is served like anything else.
            judged = self._by_client(one, {ref: reading}, schemas)
            if judged.verdict.status is Status.DRIFTED or _DUPLICATE_KEYS in str(error):
                return judged
            return Assessment(one, unknown(one.manifest, _no_dry_run(error)), reading.body)
        except DriftdError as error:
            return Assessment(one, unknown(one.manifest, _no_dry_run(error)), reading.body)
        return self._by_client(one, {ref: reading}, schemas, dry_run=answer)


def _without_managed_fields(judged: Assessment) -> Assessment:
    """Without who holds which field of an object that is in sync, half of it: nobody asks."""
    live = judged.live
    if live is None or judged.verdict.status is not Status.IN_SYNC:
        return judged
    metadata = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    return replace(judged, live={**live, "metadata": metadata})


def _replicas_differ(verdict: Verdict) -> bool:
    return any(drift.path == ("spec", "replicas") for drift in verdict.fields)


def _no_dry_run(error: DriftdError) -> str:
    if isinstance(error, Forbidden):
        return f"the server engine asks by dry-run, which takes the right to patch: {error}"
    if isinstance(error, Invalid):
        return f"the API server refuses the manifest: {error}"
    return f"the API server could not be asked by dry-run: {error}"


def _version(body: JsonObject) -> str | None:
    version: str | None = body["metadata"].get("resourceVersion")
    return version
