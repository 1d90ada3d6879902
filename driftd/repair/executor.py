"""Carrying out a plan: server-side apply in order. Each write is recorded before it is made, and its outcome after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime

from driftd.kube.objects import FIELD_MANAGER, apply, get
from driftd.live.cluster import ClusterView
from driftd.live.mapping import GroupKind, MappedManifest, kinds_defined_by, map_manifests
from driftd.model.app import App
from driftd.model.errors import DriftdError, UnknownKind
from driftd.model.operation import Operation, Plan, PlannedWrite
from driftd.model.plan import Action, Applied, Outcome
from driftd.model.resource import JsonObject, Manifest, ResourceRef
from driftd.policy.waves import waves
from driftd.repair.field_removal import remove_fields
from driftd.store.store import Store

_SERVED_TIMEOUT = 15.0
"""Seconds that an API server may take to serve a CRD that was just applied."""

OnWrite = Callable[[ResourceRef, JsonObject], None]
"""Is called with every object as the API server answered a write of it."""


@dataclass(frozen=True, slots=True)
class Executor:
    """Carries out the plans of one app. `check_lease` raises LeaseLost where this process may not write any more."""

    app: App
    view: ClusterView
    store: Store
    now: Callable[[], datetime]
    check_lease: Callable[[], None]
    unrecorded: dict[str, Operation] = field(default_factory=dict)
    """The operations, by id, whose outcomes are known and may not be in the store."""

    async def execute(self, plan: Plan, on_write: OnWrite) -> Action:
        """Applies each manifest of a plan, and removes the undeclared fields that it names.

        The plan is in the store before the first write. An object that fails does not stop the others; those of a
        later wave that stand on it (a CRD, a Namespace) fail by themselves.
        Raises: StoreError: the plan, or what came of it, could not be recorded.
        """
        started = self.now()
        await self.store.record_plan([write.operation for write in plan.writes])
        outcomes = _OutcomeRecorder(self.store)
        by_ref = {write.manifest.ref: write for write in plan.writes}
        defined_kinds = frozenset(kinds_defined_by([write.manifest for write in plan.writes]))

        async def write(manifest: Manifest) -> Applied:
            planned = by_ref[manifest.ref]
            applied = await self._write(planned, defined_kinds, on_write)
            done = self.unrecorded[planned.operation.id] = _with_outcome(planned.operation, applied, self.now())
            outcomes.add(done)
            return applied

        applied: list[Applied] = []
        try:
            for wave in waves([planned.manifest for planned in plan.writes]):
                applied += await asyncio.gather(*(write(manifest) for manifest in wave))
        finally:
            await outcomes.flush()
        action = Action(plan.app, plan.trigger, plan.revision, plan.by, started, self.now(), tuple(applied))
        await self.store.record_action(action, plan.id)
        self.unrecorded.clear()
        return action

    async def _write(self, planned: PlannedWrite, defined_kinds: AbstractSet[GroupKind], on_write: OnWrite) -> Applied:
        manifest = planned.manifest
        try:
            mapped = await self._served(manifest, defined_kinds)
            ref = mapped.manifest.ref
            assert mapped.resource is not None  # noqa: S101  # _served raises otherwise
            before = await get(self.view.cluster, mapped.resource, ref.namespace, ref.name)
            self.check_lease()
            after: JsonObject = await apply(
                self.view.cluster, mapped.resource, mapped.manifest.body, field_manager=FIELD_MANAGER, force=True
            )
            if planned.remove:
                schema = await self.view.schema(mapped.resource)
                self.check_lease()
                after = await remove_fields(self.view.cluster, mapped.resource, after, planned.remove, schema)
        except DriftdError as error:
            return Applied(manifest.ref, Outcome.FAILED, str(error))
        on_write(ref, after)
        return Applied(ref, _outcome(before, after))

    async def _served(self, manifest: Manifest, defined_kinds: AbstractSet[GroupKind]) -> MappedManifest:
        """The manifest with its REST mapping, once the API server serves the CRD that defines its kind."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SERVED_TIMEOUT
        while True:
            (mapped,) = await map_manifests([manifest], self.app, self.view)
            if mapped.resource is not None and mapped.error is None:
                return mapped
            if loop.time() > deadline or (manifest.ref.group, manifest.ref.kind) not in defined_kinds:
                raise UnknownKind(
                    mapped.error or f"the cluster does not serve {manifest.api_version} {manifest.ref.kind}"
                )
            await asyncio.sleep(0.25)
            await self.view.invalidate()


class _OutcomeRecorder:
    """Records outcomes as they come; those that come while one transaction is under way go into the next one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: list[Operation] = []
        self._writing: asyncio.Task[None] | None = None

    def add(self, operation: Operation) -> None:
        self._pending.append(operation)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def flush(self) -> None:
        """Waits until all is recorded. Raises: StoreError."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            await self._store.record_outcomes(batch)


def _with_outcome(operation: Operation, applied: Applied, now: datetime) -> Operation:
    return replace(operation, outcome=applied.outcome, error=applied.error, finished=now)


def _outcome(before: JsonObject | None, after: JsonObject) -> Outcome:
    if before is None:
        return Outcome.CREATED
    if before["metadata"].get("resourceVersion") == after["metadata"].get("resourceVersion"):
        return Outcome.UNCHANGED
    return Outcome.CONFIGURED
