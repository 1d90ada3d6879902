"""The verdict cache: an object is assessed again when its manifest, its live object or its schema has changed."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from driftd.detect.assessor import Assessment, SchemaAnswers
from driftd.diff.typed.schema import Schema
from driftd.live.api_reader import Reader
from driftd.live.mapping import MappedManifest, RestMapping
from driftd.model.drift import Status, Verdict
from driftd.model.health import Health, HealthState
from driftd.model.report import CHUNK_SIZE, Chunk, Verdicts, changed_positions
from driftd.model.resource import Manifest, ResourceRef


@dataclass(frozen=True, slots=True)
class _CacheEntry:
    """The inputs of a cached verdict. A version of None is never equal to another."""

    manifest: Manifest
    version: str | None
    schema: Schema | None


class VerdictCache:
    """The verdicts on one mapping of an app, in its order, and its unhealthy objects.

    Kept are verdicts, not objects. A verdict holds for the manifest's key, the live object's version, and the schema of
    its kind.
    """

    def __init__(self) -> None:
        self._mapping = RestMapping()
        self._commit = ""
        self._schemas: SchemaAnswers = {}
        self._entries: dict[ResourceRef, _CacheEntry] = {}
        self._verdicts: list[Verdict] = []
        self._chunks: list[Chunk | None] = []
        self._positions: dict[ResourceRef, int] = {}
        self._unhealthy: dict[ResourceRef, Health] = {}
        self._failed: dict[ResourceRef, Health] = {}

    def stale(
        self,
        mapping: RestMapping,
        commit: str,
        reader: Reader,
        schemas: SchemaAnswers,
        changed: AbstractSet[ResourceRef] | None,
    ) -> tuple[list[MappedManifest], list[Assessment]]:
        """The objects to be assessed again, and unchanged assessments of objects that differ, if the commit is new.

        `changed` are the objects with watch events since the last pass. None stands for all: then an object that was in
        sync stays so while its inputs are the same, and every other one is assessed again, since its verdict may depend
        on more (an autoscaler).

        Otherwise `changed` and objects with another manifest are assessed again, and all other verdicts stand. With a
        new commit their attribution may change: these are the unchanged assessments.
        """
        if not _same_types(schemas, self._schemas):
            changed = None
        same_desired = mapping is self._mapping and commit == self._commit
        redeclared = self._switch_to(mapping, commit, schemas)
        if changed is None:
            return [item for item in mapping.mapped if not self._is_unchanged(item, reader, schemas)], []
        if same_desired:
            return [mapping.by_ref[ref] for ref in changed if ref in mapping.by_ref], []
        stale = {self._positions[item.manifest.ref] for item in redeclared}
        stale.update([self._positions[ref] for ref in changed if ref in self._positions])
        items, in_sync = list(mapping.mapped), Status.IN_SYNC
        unchanged: list[Assessment] = []
        for position in [at for at, verdict in enumerate(self._verdicts) if verdict.status is not in_sync]:
            verdict = self._verdicts[position]
            if verdict.status is Status.UNKNOWN:
                stale.add(position)
            elif position not in stale and differs(verdict):
                unchanged.append(Assessment(items[position], verdict, None, self._entries[verdict.ref].schema))
        return [items[position] for position in sorted(stale)], unchanged

    def update(
        self, assessments: Sequence[Assessment], versions: Sequence[str | None], verdicts: Sequence[Verdict]
    ) -> None:
        """Stores the last `verdicts` on some objects. The `versions` are from before the objects were read."""
        for one, version, verdict in zip(assessments, versions, verdicts, strict=True):
            ref = verdict.ref
            self._entries[ref] = _CacheEntry(one.mapped.manifest, version, one.schema)
            self._put(self._positions[ref], verdict)
            self._unhealthy.pop(ref, None)
            self._failed.pop(ref, None)
            health = one.health
            if health is not None and health.state is not HealthState.HEALTHY:
                self._unhealthy[ref] = health
                if health.state.failed:
                    self._failed[ref] = health

    def enrich(self, cached: Verdict, enriched: Verdict) -> None:
        """Replaces a cached verdict by the enriched one, unless a newer one has replaced it already."""
        position = self._positions.get(cached.ref)
        if position is not None and self._verdicts[position] is cached:
            self._put(position, enriched)

    def verdict(self, ref: ResourceRef) -> Verdict:
        """The last verdict on an object of the mapping."""
        return self._verdicts[self._positions[ref]]

    @property
    def verdicts(self) -> Verdicts:
        """The verdict on each object of the mapping, in its order."""
        for number, chunk in enumerate(self._chunks):
            if chunk is None:
                self._chunks[number] = Chunk(self._verdicts[number * CHUNK_SIZE : (number + 1) * CHUNK_SIZE])
        return Verdicts([chunk for chunk in self._chunks if chunk is not None])

    @property
    def unhealthy(self) -> tuple[Health, ...]:
        """The health of live objects that are not healthy."""
        return tuple(self._unhealthy.values())

    @property
    def failed(self) -> tuple[Health, ...]:
        """The health of those whose state waiting will not cure."""
        return tuple(self._failed.values())

    def _put(self, position: int, verdict: Verdict) -> None:
        self._verdicts[position] = verdict
        self._chunks[position // CHUNK_SIZE] = None

    def _switch_to(self, mapping: RestMapping, commit: str, schemas: SchemaAnswers) -> list[MappedManifest]:
        """Replaces the mapping. Returns: the manifests that are new or changed in it."""
        self._commit = commit
        self._schemas = schemas
        if mapping is self._mapping:
            return []
        earlier = self._mapping.by_ref
        old, new = list(self._mapping.mapped), list(mapping.mapped)
        changed = changed_positions(old, new)
        if len(old) == len(new) and all(old[at].manifest.ref == new[at].manifest.ref for at in changed):
            self._mapping = mapping
            return [new[at] for at in changed if not new[at].same_as(old[at])]
        old_ids = {id(item) for item in old}
        verdicts = dict(zip(self._positions, self._verdicts, strict=True))
        self._mapping = mapping
        self._positions = {ref: position for position, ref in enumerate(mapping.by_ref)}
        self._entries = {ref: entry for ref, entry in self._entries.items() if ref in self._positions}
        self._unhealthy = {ref: health for ref, health in self._unhealthy.items() if ref in self._positions}
        self._failed = {ref: health for ref, health in self._failed.items() if ref in self._positions}
        initial = (Verdict(item.manifest.ref, item.manifest.api_version, Status.UNKNOWN) for item in mapping.mapped)
        self._verdicts = [verdicts.get(verdict.ref, verdict) for verdict in initial]
        self._chunks = [None] * -(-len(self._verdicts) // CHUNK_SIZE)
        fresh = [item for item in new if id(item) not in old_ids]
        return [item for item in fresh if (was := earlier.get(item.manifest.ref)) is None or not item.same_as(was)]

    def _is_unchanged(self, item: MappedManifest, reader: Reader, schemas: SchemaAnswers) -> bool:
        """Whether an object was in sync, and its manifest, live object and schema are the same as then."""
        entry = self._entries.get(item.manifest.ref)
        if entry is None or item.resource is None or item.error is not None:
            return False
        if self._verdicts[self._positions[item.manifest.ref]].status is not Status.IN_SYNC:
            return False
        return (
            entry.version is not None
            and item.manifest.same_as(entry.manifest)
            and entry.schema is schemas[item.resource]
            and entry.version == reader.version_of(item)
        )


def differs(verdict: Verdict) -> bool:
    """Whether a verdict can be attributed in Git: to a line, or to an earlier revision."""
    return bool(verdict.fields) or verdict.status is Status.MISSING


def _same_types(new: SchemaAnswers, old: SchemaAnswers) -> bool:
    return new.keys() == old.keys() and all(schema is old[resource] for resource, schema in new.items())
