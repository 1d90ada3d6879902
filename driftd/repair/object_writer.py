"""The write of one object: what was judged, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from driftd.diff.locate import Locator
from driftd.diff.normalise import normalise_manifest
from driftd.diff.typed.schema import Schema
from driftd.kube.objects import apply, get, json_patch
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.drift import FIELD_MANAGER, Change, FieldDrift, Status, Verdict
from driftd.model.errors import Conflict, DriftdError, NotFound
from driftd.model.plan import Outcome
from driftd.model.resource import Json, JsonObject
from driftd.repair.apply_configuration import apply_configuration
from driftd.repair.object_patch import restoring_patch
from driftd.repair.restored_object import restored_object, takes_out

_ATTEMPTS = 5
"""Times that an object is read and judged again because it was changed before it could be written."""

Judge = Callable[[MappedManifest, JsonObject | None], Awaitable[Verdict]]
"""The verdict on one object as it was read."""


@dataclass(frozen=True, slots=True)
class ObjectWriter:
    """Writes single objects. Each write is bound to the version of the object that it was judged by.

    `check_lease` raises LeaseLost where this process may not write any more.
    """

    view: ClusterView
    judge: Judge
    check_lease: Callable[[], None]

    async def write(self, item: MappedManifest, fields: Sequence[FieldDrift]) -> tuple[Outcome, JsonObject | None]:
        """Creates a missing object (no `fields`), or puts right those `fields` of a live one that differ as planned.

        Returns: what was done, and the object as it is now; None if it has been deleted since it was judged.
        Raises: DriftdError: it could not be written, is being deleted, or changes faster than it can be judged.
        """
        resource, ref = item.resource, item.manifest.ref
        assert resource is not None  # noqa: S101  # its kind is served
        patched: JsonObject | None = None
        done: JsonObject | None = None
        for _ in range(_ATTEMPTS):
            live: JsonObject | None = await get(self.view.cluster, resource, ref.namespace, ref.name)
            try:
                if live is None and not fields:
                    return Outcome.CREATED, await self._create(item)
                if live is None or not fields:  # deleted or created since: it is for the next pass to judge
                    return Outcome.UNCHANGED, live
                differing, ours = await self._still_to_write(item, live, fields, patched)
                done = live if patched is not None and not differing else None
                after = live
                if await asyncio.to_thread(takes_out, live, differing, await self._schema(item)):
                    after = patched = await self._patch(item, live, differing)
                if ours:
                    after = await self._apply(item, after, ours)
            except Conflict:
                continue
            except NotFound:
                if live is None:
                    raise  # its namespace
                continue
            is_unchanged = patched is None and _version(after) == _version(live)
            return Outcome.UNCHANGED if is_unchanged else Outcome.CONFIGURED, after
        if done is not None:  # all of it is put right: only driftd could not become its owner
            return Outcome.CONFIGURED, done
        raise Conflict(f"{ref} changes faster than it can be judged and written: the next pass tries again")

    async def _create(self, item: MappedManifest) -> JsonObject:
        """Applies the whole manifest: what a rule leaves to others starts as Git has it.

        Without force: it takes nothing from an object that somebody creates at the same time.
        """
        assert item.resource is not None  # noqa: S101  # its kind is served
        self.check_lease()
        return await apply(self.view.cluster, item.resource, item.manifest.body, force=False)

    async def _still_to_write(
        self, item: MappedManifest, live: JsonObject, fields: Sequence[FieldDrift], patched: JsonObject | None
    ) -> tuple[list[FieldDrift], list[FieldDrift]]:
        """Of the planned fields those that differ as planned, and those of them that driftd is to own.

        Fields that are as they were `patched` (the API server's answer) are still to be owned.
        Raises: DriftdError: the object is being deleted, or cannot be judged any more.
        """
        if (since := live["metadata"].get("deletionTimestamp")) is not None:
            raise DriftdError(f"{item.manifest.ref} is being deleted since {since}: nothing is written into it")
        verdict = await self.judge(item, live)
        if verdict.status is Status.UNKNOWN:
            raise DriftdError(verdict.error or f"{item.manifest.ref} could not be judged again")
        found = {field.path: field for field in verdict.fields}
        differing = [field for field in fields if _is_as_planned(field, found.get(field.path))]
        ours = list(differing)
        if patched is not None:
            schema = await self._schema(item)
            then, now = Locator(patched, schema), Locator(live, schema)
            done = [field for field in fields if field.path not in found]
            ours += [field for field in done if _value(then, field) == _value(now, field)]
        return differing, [field for field in ours if field.change is not Change.ADDED]

    async def _patch(self, item: MappedManifest, live: JsonObject, fields: Sequence[FieldDrift]) -> JsonObject:
        """Puts right all of `fields` at once, some of which take something out: an apply cannot, where others own it.

        In one write, since one change may not be valid without another (the two sources of a volume).
        """
        assert item.resource is not None  # noqa: S101  # its kind is served
        schema = await self._schema(item)
        # In a thread, here and below: thousands of fields of one object take seconds, in which probes want an answer.
        operations = await asyncio.to_thread(restoring_patch, live, _declared(item), fields, schema)
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

    async def _schema(self, item: MappedManifest) -> Schema | None:
        assert item.resource is not None  # noqa: S101  # its kind is served
        return await self.view.schema(item.resource)


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
