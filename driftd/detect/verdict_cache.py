"""What the last looks at an app's objects found: an object is looked at again where either side of it has changed."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from driftd.detect.assessor import Assessment, SchemaAnswers
from driftd.diff.schema import Schema
from driftd.live.api_reader import Reader
from driftd.live.mapping import MappedManifest, RestMapping
from driftd.model.drift import Status, Verdict
from driftd.model.health import Health, HealthState
from driftd.model.report import SIZE, Chunk, Verdicts, others
from driftd.model.resource import Manifest, ResourceRef


@dataclass(frozen=True, slots=True)
class _CacheEntry:
    """By what an object was judged. A stamp of None vouches for nothing."""

    manifest: Manifest
    version: str | None
    schema: Schema | None


class VerdictCache:
    """The verdicts on one placement of an app, in its order, and what of it is not healthy.

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
        """Those that have to be judged again, and those that differ as before from another revision.

        `changed` are the objects of which the watches have told something since the last look; with None everything may
        have changed. Then an object that was in sync stays so while both of its sides are the same, and whatever was
        not is judged again, since more than its two sides may count (an autoscaler).

        Otherwise what counts is what has changed: these objects, and those that Git declares otherwise. Every other
        verdict stands; but where the commit is another one, what Git's history says of it may not.
        """
        if not _same_types(schemas, self._schemas):
            changed = None
        same = mapping is self._mapping and commit == self._commit
        declared = self._switch_to(mapping, commit, schemas)
        if changed is None:
            return [one for one in mapping.mapped if not self._is_unchanged(one, reader, schemas)], []
        if same:
            return [mapping.by_ref[ref] for ref in changed if ref in mapping.by_ref], []
        again = {self._positions[one.manifest.ref] for one in declared}
        again.update([self._positions[ref] for ref in changed if ref in self._positions])
        wanted, in_sync = list(mapping.mapped), Status.IN_SYNC
        standing: list[Assessment] = []
        for position in [at for at, verdict in enumerate(self._verdicts) if verdict.status is not in_sync]:
            verdict = self._verdicts[position]
            if verdict.status is Status.UNKNOWN:
                again.add(position)
            elif position not in again and differs(verdict):
                standing.append(Assessment(wanted[position], verdict, None, self._entries[verdict.ref].schema))
        return [wanted[position] for position in sorted(again)], standing

    def update(self, judged: Sequence[Assessment], stamps: Sequence[str | None], verdicts: Sequence[Verdict]) -> None:
        """Remembers the last `verdicts` on some objects, the `stamps` being those of before they were read."""
        for one, stamp, verdict in zip(judged, stamps, verdicts, strict=True):
            ref = verdict.ref
            self._entries[ref] = _CacheEntry(one.mapped.manifest, stamp, one.schema)
            self._put(self._positions[ref], verdict)
            self._unhealthy.pop(ref, None)
            self._failed.pop(ref, None)
            if verdict.health not in (None, HealthState.HEALTHY):
                health = Health(ref, verdict.health, verdict.health_message)
                self._unhealthy[ref] = health
                if verdict.health.failed:
                    self._failed[ref] = health

    def enrich(self, known: Verdict, better: Verdict) -> None:
        """Puts a verdict that says more in the place of one, unless another one has come since."""
        position = self._positions.get(known.ref)
        if position is not None and self._verdicts[position] is known:
            self._put(position, better)

    @property
    def verdicts(self) -> Verdicts:
        """The verdict on each object of the placement, in its order."""
        for number, chunk in enumerate(self._chunks):
            if chunk is None:
                self._chunks[number] = Chunk(self._verdicts[number * SIZE : (number + 1) * SIZE])
        return Verdicts([chunk for chunk in self._chunks if chunk is not None])

    @property
    def unhealthy(self) -> tuple[Health, ...]:
        """What is there and not healthy."""
        return tuple(self._unhealthy.values())

    @property
    def failed(self) -> tuple[Health, ...]:
        """That part of it which waiting will not cure."""
        return tuple(self._failed.values())

    def _put(self, position: int, verdict: Verdict) -> None:
        self._verdicts[position] = verdict
        self._chunks[position // SIZE] = None

    def _switch_to(self, placement: RestMapping, commit: str, schemas: SchemaAnswers) -> list[MappedManifest]:
        """Turns to a placement. Returns: what it wants that the one before did not, or not so."""
        self._commit = commit
        self._schemas = schemas
        if placement is self._mapping:
            return []
        earlier = self._mapping.by_ref
        old, new = list(self._mapping.mapped), list(placement.mapped)
        places = others(old, new)
        if len(old) == len(new) and all(old[at].manifest.ref == new[at].manifest.ref for at in places):
            self._mapping = placement
            return [new[at] for at in places if not new[at].same_as(old[at])]
        known = {id(one) for one in old}
        before = dict(zip(self._positions, self._verdicts, strict=True))
        self._mapping = placement
        self._positions = {ref: position for position, ref in enumerate(placement.by_ref)}
        self._entries = {ref: look for ref, look in self._entries.items() if ref in self._positions}
        self._unhealthy = {ref: well for ref, well in self._unhealthy.items() if ref in self._positions}
        self._failed = {ref: well for ref, well in self._failed.items() if ref in self._positions}
        unjudged = (Verdict(one.manifest.ref, one.manifest.api_version, Status.UNKNOWN) for one in placement.mapped)
        self._verdicts = [before.get(verdict.ref, verdict) for verdict in unjudged]
        self._chunks = [None] * -(-len(self._verdicts) // SIZE)
        fresh = [one for one in new if id(one) not in known]
        return [one for one in fresh if (was := earlier.get(one.manifest.ref)) is None or not one.same_as(was)]

    def _is_unchanged(self, one: MappedManifest, reader: Reader, schemas: SchemaAnswers) -> bool:
        """Whether an object was in sync, and both of its sides are as they were."""
        look = self._entries.get(one.manifest.ref)
        if look is None or one.resource is None or one.error is not None or not one.manifest.same_as(look.manifest):
            return False
        if self._verdicts[self._positions[one.manifest.ref]].status is not Status.IN_SYNC:
            return False
        return (
            look.version is not None and look.schema is schemas[one.resource] and look.version == reader.version_of(one)
        )


def differs(verdict: Verdict) -> bool:
    """Whether Git has something to say of a verdict: a line, or an earlier revision."""
    return bool(verdict.fields) or verdict.status is Status.MISSING


def _same_types(new: SchemaAnswers, old: SchemaAnswers) -> bool:
    return new.keys() == old.keys() and all(schema is old[resource] for resource, schema in new.items())
