"""Carrying out a plan, object by object in order. Each write is recorded before it is made, and its outcome after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from driftd.diff.rules.field_managers import Managers
from driftd.kube.errors import is_refused_content
from driftd.kube.object_store import log_defect
from driftd.kube.objects import get
from driftd.live.cluster import ClusterView
from driftd.live.mapping import GroupKind, MappedManifest, kinds_defined_by, map_manifests
from driftd.model.app import App
from driftd.model.errors import DriftdError, UnknownKind, describe_defect
from driftd.model.operation import Operation, Plan, PlannedWrite
from driftd.model.plan import WRITTEN, Action, Applied, Outcome
from driftd.model.resource import JsonObject, Manifest, ResourceRef
from driftd.policy.borders import Borders
from driftd.policy.waves import waves
from driftd.repair.object_writer import Judge, ObjectWriter
from driftd.store.store import Store

log = structlog.get_logger(__name__)

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
    borders: Borders
    now: Callable[[], datetime]
    judge: Judge
    managers: Managers
    check_lease: Callable[[], None]
    unrecorded: dict[str, Operation] = field(default_factory=dict)
    """The operations, by id, whose outcomes are known and may not be in the store."""

    async def execute(self, plan: Plan, on_write: OnWrite) -> Action:
        """Creates the missing objects of a plan, and puts its fields of the others right.

        The plan is in the store before the first write. An object that fails does not stop the others; those of a
        later wave that stand on it (a CRD, a Namespace) fail by themselves.
        Raises: StoreError: the plan, or what came of it, could not be recorded.
        """
        started = self.now()
        await self.store.record_plan([write.operation for write in plan.writes])
        outcomes = _OutcomeRecorder(self.store)
        by_ref = {write.manifest.ref: write for write in plan.writes}
        ending = await self._ending_namespaces({ref.namespace for ref in by_ref if ref.namespace is not None})
        defined_kinds = frozenset(kinds_defined_by([write.manifest for write in plan.writes]))

        async def write(manifest: Manifest) -> Applied:
            planned = by_ref[manifest.ref]
            refused = ending.get(manifest.ref.namespace or "")
            if refused is not None:
                applied = Applied(manifest.ref, Outcome.FAILED, refused)
            else:
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
        manifest, taken_from = planned.manifest, planned.operation.taken_from
        try:
            mapped = await self._served(manifest, defined_kinds)
            if (outside := self.borders.outside(mapped.manifest.ref)) is not None:
                return Applied(manifest.ref, Outcome.FAILED, outside)
            writer = ObjectWriter(self.view, self.judge, self.check_lease, self.managers, not self.app.deploys)
            outcome, after = await writer.write(
                mapped, planned.operation.fields, taken_from=taken_from, deployer=planned.deployer
            )
        except DriftdError as error:
            return Applied(manifest.ref, Outcome.FAILED, str(error), refused=is_refused_content(error))
        except Exception as error:  # noqa: BLE001  a defect of ours in the write of one object must not cost the others
            log_defect("write crashed", error, object=str(manifest.ref))
            return Applied(manifest.ref, Outcome.FAILED, describe_defect(error))
        if after is not None:
            on_write(mapped.manifest.ref, after)
        if taken_from is None or outcome not in WRITTEN:
            return Applied(mapped.manifest.ref, outcome)
        log.info("object taken over", app=self.app.name, object=str(manifest.ref), deployer=str(taken_from))
        return Applied(mapped.manifest.ref, outcome, taken_from=taken_from)

    async def _ending_namespaces(self, names: AbstractSet[str]) -> Mapping[str, str]:
        """Why nothing is written into them, for those namespaces that are being deleted with all that is in them.

        One that may not be read is taken for one that is there: the API server itself refuses what would be created.
        """

        async def ending(name: str) -> str | None:
            try:
                namespaces = await self.view.resource("v1", "Namespace")
                namespace = await get(self.view.cluster, namespaces, None, name)
            except DriftdError:
                return None
            since = namespace["metadata"].get("deletionTimestamp") if namespace is not None else None
            return f"namespace {name} is being deleted since {since}: nothing is written into it" if since else None

        ordered = sorted(names)
        reasons = await asyncio.gather(*(ending(name) for name in ordered))
        return {name: reason for name, reason in zip(ordered, reasons, strict=True) if reason is not None}

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
