"""The write of one object: what was judged, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from driftd.diff.locate import Locator
from driftd.diff.normalise import normalise_manifest
from driftd.diff.rules.field_managers import Managers
from driftd.diff.typed.schema import Schema
from driftd.kube.objects import apply, get, json_patch
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.claim import Claim
from driftd.model.drift import FIELD_MANAGER, Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.errors import Conflict, DriftdError, NotFound
from driftd.model.plan import Outcome
from driftd.model.resource import Json, JsonObject
from driftd.repair.apply_configuration import apply_configuration
from driftd.repair.give_back import deployer_of, giving_patch
from driftd.repair.object_patch import restoring_patch
from driftd.repair.restored_object import restored_object, takes_out
from driftd.repair.takeover import takeover_patch

log = structlog.get_logger(__name__)

_ATTEMPTS = 5
"""Times that an object is read and judged again because it was changed before it could be written."""

Judge = Callable[[MappedManifest, JsonObject | None], Awaitable[Verdict]]
"""The verdict on one object as it was read."""


@dataclass(slots=True)
class _Progress:
    """How far a write has come over several attempts: `patched` is the API server's answer to the patch, which may have
    `taken` the object over; `done` is the object as it was last read, if all of it was put right by then."""

    patched: JsonObject | None = None
    taken: bool = False
    done: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class ObjectWriter:
    """Writes single objects. Each write is bound to the version of the object that it was judged by.

    `check_lease` raises LeaseLost where this process may not write any more. With `gives_back`, somebody else deploys
    the app, and owns what driftd has put right.
    """

    view: ClusterView
    judge: Judge
    check_lease: Callable[[], None]
    managers: Managers
    gives_back: bool = False

    async def write(
        self,
        item: MappedManifest,
        fields: Sequence[FieldDrift],
        *,
        taken_from: Claim | None = None,
        deployer: FieldOwner | None = None,
    ) -> tuple[Outcome, JsonObject | None]:
        """Creates a missing object (no `fields`), or puts right those `fields` of a live one that differ as planned.

        A missing object is to be its `deployer`'s, where that is known.
        It is taken over `taken_from` the deployer that keeps it. One that another deployer keeps is not written: it has
        come since the object was judged, or has come back.

        Returns: what was done, and the object as it is now; None if it has been deleted since it was judged.
        Raises: DriftdError: it could not be written, is being deleted, or changes faster than it can be judged.
        """
        if not fields:
            return await self._create_missing(item, deployer)
        progress = _Progress()
        for _ in range(_ATTEMPTS):
            live = await self._live(item)
            if live is None:  # deleted since: it is for the next pass to judge
                return Outcome.UNCHANGED, None
            try:
                return await self._put_right(item, live, fields, taken_from, progress)
            except (Conflict, NotFound):
                continue
        if progress.done is not None:  # all of it is put right: only driftd could not become its owner
            return Outcome.CONFIGURED, progress.done
        raise _changes_too_fast(item)

    async def _create_missing(
        self, item: MappedManifest, deployer: FieldOwner | None
    ) -> tuple[Outcome, JsonObject | None]:
        for _ in range(_ATTEMPTS):
            live = await self._live(item)
            if live is not None:  # created since: it is for the next pass to judge
                return Outcome.UNCHANGED, live
            with suppress(Conflict):
                return Outcome.CREATED, await self._give_back(item, await self._create(item), deployer)
        raise _changes_too_fast(item)

    async def _put_right(
        self,
        item: MappedManifest,
        live: JsonObject,
        fields: Sequence[FieldDrift],
        taken_from: Claim | None,
        progress: _Progress,
    ) -> tuple[Outcome, JsonObject]:
        """Raises: Conflict, NotFound: another version of the object is there now, or none. DriftdError."""
        verdict = await self._judged(item, live)
        if verdict.claim is not None and (progress.patched is not None or verdict.claim != taken_from):
            return Outcome.UNCHANGED if progress.patched is None else Outcome.CONFIGURED, live
        differing, ours = await self._still_to_write(item, live, verdict, fields, progress.patched)
        progress.done = live if progress.patched is not None and not differing else None
        after = live
        takes_over = verdict.claim is not None and bool(differing)
        if takes_over or await asyncio.to_thread(takes_out, live, differing, await self._schema(item)):
            after = progress.patched = await self._patch(item, live, differing, takes_over=takes_over)
            progress.taken |= takes_over
        if ours:
            after = await self._own(item, after, ours, progress)
        if self.gives_back and _version(after) != _version(live):
            after = await self._give_back(item, after, await self._deployer_of(item, live, fields))
        is_unchanged = progress.patched is None and _version(after) == _version(live)
        return Outcome.UNCHANGED if is_unchanged else Outcome.CONFIGURED, after

    async def _own(
        self, item: MappedManifest, live: JsonObject, fields: Sequence[FieldDrift], progress: _Progress
    ) -> JsonObject:
        """Applies `fields`. That an object was taken over is no failure because it could not be applied then."""
        try:
            return await self._apply(item, live, fields)
        except (Conflict, NotFound):
            raise
        except DriftdError as error:
            if not progress.taken:
                raise
            log.info("taken over by a patch, and not applied", object=str(item.manifest.ref), error=str(error))
            return live

    async def _live(self, item: MappedManifest) -> JsonObject | None:
        assert item.resource is not None  # noqa: S101  # its kind is served
        ref = item.manifest.ref
        return await get(self.view.cluster, item.resource, ref.namespace, ref.name)

    async def _create(self, item: MappedManifest) -> JsonObject:
        """Applies the whole manifest: what a rule leaves to others starts as Git has it.

        Without force: it takes nothing from an object that somebody creates at the same time.
        """
        assert item.resource is not None  # noqa: S101  # its kind is served
        self.check_lease()
        return await apply(self.view.cluster, item.resource, item.manifest.body, force=False)

    async def _judged(self, item: MappedManifest, live: JsonObject) -> Verdict:
        """The verdict on an object as it was just read.

        Raises: DriftdError: it is being deleted, or cannot be judged any more.
        """
        if (since := live["metadata"].get("deletionTimestamp")) is not None:
            raise DriftdError(f"{item.manifest.ref} is being deleted since {since}: nothing is written into it")
        verdict = await self.judge(item, live)
        if verdict.status is Status.UNKNOWN:
            raise DriftdError(verdict.error or f"{item.manifest.ref} could not be judged again")
        return verdict

    async def _still_to_write(
        self,
        item: MappedManifest,
        live: JsonObject,
        verdict: Verdict,
        fields: Sequence[FieldDrift],
        patched: JsonObject | None,
    ) -> tuple[list[FieldDrift], list[FieldDrift]]:
        """Of the planned fields those that differ as planned, and those of them that driftd is to own.

        Fields that are as they were `patched` (the API server's answer) are still to be owned.
        """
        found = {field.path: field for field in verdict.fields}
        differing = [field for field in fields if _is_as_planned(field, found.get(field.path))]
        ours = list(differing)
        if patched is not None:
            schema = await self._schema(item)
            then, now = Locator(patched, schema), Locator(live, schema)
            done = [field for field in fields if field.path not in found]
            ours += [field for field in done if _value(then, field) == _value(now, field)]
        return differing, [field for field in ours if field.change is not Change.ADDED]

    async def _patch(
        self, item: MappedManifest, live: JsonObject, fields: Sequence[FieldDrift], *, takes_over: bool
    ) -> JsonObject:
        """Puts right all of `fields` at once, some of which take something out: an apply cannot, where others own it.

        In one write, since one change may not be valid without another (the two sources of a volume). One that
        `takes_over` does that, too: a deployer loses its marks only together with what differs.
        """
        assert item.resource is not None  # noqa: S101  # its kind is served
        schema = await self._schema(item)
        # In a thread, here and below: thousands of fields of one object take seconds, in which probes want an answer.
        sides = (live, _declared(item), fields, schema)
        if takes_over:
            operations = await asyncio.to_thread(takeover_patch, *sides, self.managers)
        else:
            operations = await asyncio.to_thread(restoring_patch, *sides)
        if not operations:
            return live
        ref = item.manifest.ref
        self.check_lease()
        return await json_patch(self.view.cluster, item.resource, ref.namespace, ref.name, operations)

    async def _apply(self, item: MappedManifest, live: JsonObject, fields: Sequence[FieldDrift]) -> JsonObject:
        """Applies the changed and removed `fields`: then driftd is known as who wants them, should Git drop them."""
        assert item.resource is not None  # noqa: S101  # its kind is served
        schema, declared = await self._schema(item), _declared(item)
        wanted = await asyncio.to_thread(_wanted, live, declared, fields, schema)
        self.check_lease()
        return await apply(self.view.cluster, item.resource, wanted, live=live)

    async def _deployer_of(
        self, item: MappedManifest, live: JsonObject, fields: Sequence[FieldDrift]
    ) -> FieldOwner | None:
        """Who deploys an object, as it was before `fields` were put right; nobody whose change that undoes."""
        schema = await self._schema(item)
        owner = await asyncio.to_thread(deployer_of, live, _declared(item), schema, self.managers)
        hands = {field.by.manager for field in fields if field.by is not None}
        return owner if owner is not None and owner.manager not in hands else None

    async def _give_back(self, item: MappedManifest, written: JsonObject, deployer: FieldOwner | None) -> JsonObject:
        """Makes what driftd owns of an object that it has just written its deployer's. Returns: the object then.

        Where that fails, what was written stays driftd's until its next write: that is no failure of this one.
        """
        resource, ref = item.resource, item.manifest.ref
        assert resource is not None  # noqa: S101  # its kind is served
        live: JsonObject | None = written
        for _ in range(_ATTEMPTS if deployer is not None else 0):
            if live is None or deployer is None or not (operations := giving_patch(live, deployer)):
                break
            self.check_lease()
            try:
                return await json_patch(self.view.cluster, resource, ref.namespace, ref.name, operations)
            except Conflict:
                live = await get(self.view.cluster, resource, ref.namespace, ref.name)
            except DriftdError as error:
                log.info("what was put back stays driftd's", object=str(ref), error=str(error))
                break
        return live if live is not None else written

    async def _schema(self, item: MappedManifest) -> Schema | None:
        assert item.resource is not None  # noqa: S101  # its kind is served
        return await self.view.schema(item.resource)


def _changes_too_fast(item: MappedManifest) -> Conflict:
    return Conflict(f"{item.manifest.ref} changes faster than it can be judged and written: the next pass tries again")


def _wanted(
    live: JsonObject, declared: JsonObject, fields: Sequence[FieldDrift], schema: Schema | None
) -> dict[str, Any]:
    restored = restored_object(live, declared, fields, schema)
    return apply_configuration(restored, declared, fields, schema, FIELD_MANAGER)


def _declared(item: MappedManifest) -> JsonObject:
    has_status = item.resource is not None and item.resource.has_status
    return normalise_manifest(item.manifest.body, status_is_server_owned=has_status).body


def _is_as_planned(planned: FieldDrift, found: FieldDrift | None) -> bool:
    if found is None:
        return False
    return (planned.change, planned.desired, planned.live) == (found.change, found.desired, found.live)


def _value(locator: Locator, field: FieldDrift) -> Json:
    located = locator.locate(field.path)
    return located.value if located is not None else None


def _version(body: JsonObject) -> str | None:
    version: str | None = body["metadata"].get("resourceVersion")
    return version
