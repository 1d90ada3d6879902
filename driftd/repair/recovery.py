"""What came of the writes that an app's open plans name: this process knows, or the cluster shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from driftd.diff.ownership import managed_fields
from driftd.diff.typed.schema import Schema
from driftd.live.api_reader import Reader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import MappedManifest
from driftd.model.drift import FIELD_MANAGER, Change, Status, Verdict
from driftd.model.errors import KubeError
from driftd.model.operation import Operation
from driftd.model.plan import Action, Applied, Outcome, Trigger
from driftd.model.report import Report
from driftd.model.resource import JsonObject, ResourceRef
from driftd.store.records import OpenPlan
from driftd.store.store import Store


@dataclass(frozen=True, slots=True)
class Concluded:
    """The operations of plans of which everything is known that will ever be, and the ids of these plans."""

    operations: tuple[Operation, ...] = ()
    plans: frozenset[str] = frozenset()
    unverified: tuple[Operation, ...] = ()
    """The operations of plans that stay open."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Concludes the open plans of one app: those that it has just carried out, and those that another process left.

    A process ends between a write and its record, or the store refuses the record. What happened is then told by what
    is certain: a field that somebody else had changed, and that the manager `driftd` owns now, was written by driftd.
    The same goes for a write that failed: it may have been made, and its answer lost.

    `unrecorded` are the operations whose outcomes this process knows, and may not have been able to record.
    """

    view: ClusterView
    store: Store
    unrecorded: Mapping[str, Operation]

    async def conclude(
        self, report: Report, mapped: Mapping[ResourceRef, MappedManifest], reader: Reader, now: datetime
    ) -> Concluded:
        """Records what is not recorded yet of the open plans, and returns those that are concluded.

        A plan with an object that could not be read stays open: what people are told of it was seen.
        Raises: StoreError.
        """
        plans = await self.store.open_plans(report.app)
        if not plans:
            return Concluded()
        refs = {operation.ref for plan in plans for operation in plan.operations}
        verdicts = {verdict.ref: verdict for verdict in report.verdicts if verdict.ref in refs}
        operations: list[Operation] = []
        unverified: list[Operation] = []
        concluded = set()
        for plan in plans:
            if report.error is not None or any(_is_unread(verdicts.get(one.ref)) for one in plan.operations):
                unverified += plan.operations
                continue
            known = [await self._concluded(one, verdicts.get(one.ref), mapped, reader, now) for one in plan.operations]
            await self._record(plan, known, now)
            operations += known
            concluded.add(plan.id)
        return Concluded(tuple(operations), frozenset(concluded), tuple(unverified))

    async def _record(self, plan: OpenPlan, operations: Sequence[Operation], now: datetime) -> None:
        await self.store.record_outcomes(
            [new for new, old in zip(operations, plan.operations, strict=True) if new != old]
        )
        if operations and not plan.recorded:  # none, where no record of the plan can be read any more
            await self.store.record_action(_action(plan, operations, now), plan.id)

    async def _concluded(
        self,
        operation: Operation,
        verdict: Verdict | None,
        mapped: Mapping[ResourceRef, MappedManifest],
        reader: Reader,
        now: datetime,
    ) -> Operation:
        operation = self.unrecorded.get(operation.id, operation)
        failed = operation.outcome is Outcome.FAILED
        if operation.outcome is not None and not failed:
            return operation
        item = mapped.get(operation.ref)
        is_there = verdict is not None and verdict.status in (Status.IN_SYNC, Status.IGNORED, Status.DRIFTED)
        unknown = operation if failed else replace(operation, outcome=Outcome.INTERRUPTED, finished=now)
        if item is None or item.resource is None or not is_there:
            return unknown
        live = (await reader.read([item]))[operation.ref].body
        try:
            schema = await self.view.schema(item.resource)
        except KubeError:
            schema = None
        taken = operation.taken_from is not None and verdict is not None and verdict.claim is None
        if live is None or not was_written(operation, live, schema, taken=taken):
            return unknown
        return replace(operation, outcome=_outcome(operation), error=None, finished=now)


def was_written(operation: Operation, live: JsonObject, schema: Schema | None, *, taken: bool = False) -> bool:
    """Whether the live object shows that driftd made a write. `taken`: it is no longer the deployer's that it was.

    Who changes a field takes it away from its other managers: that driftd owns it now is younger than the change. A
    field that is taken out leaves no owner, so of a write that only takes out nothing can be known.
    """
    ours = [entry for entry in managed_fields(live) if entry.owner.manager == FIELD_MANAGER]
    if operation.status is Status.MISSING or taken:
        return bool(ours)
    put_back = [one.path for one in operation.fields if one.change is not Change.ADDED]
    return bool(put_back) and all(any(entry.owns(path, schema, partial=True) for entry in ours) for path in put_back)


def _is_unread(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.status is Status.UNKNOWN


def _outcome(operation: Operation) -> Outcome:
    return Outcome.CREATED if operation.status is Status.MISSING else Outcome.CONFIGURED


def _action(plan: OpenPlan, operations: Sequence[Operation], now: datetime) -> Action:
    first = operations[0]
    applied = tuple([Applied(one.ref, one.outcome or Outcome.INTERRUPTED, one.error) for one in operations])
    trigger = next((one.trigger for one in operations if one.trigger is not Trigger.HEAL), Trigger.HEAL)
    return Action(first.app, trigger, first.revision, first.by, plan.started, now, applied)
