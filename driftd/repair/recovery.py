"""What an earlier process began to write and did not conclude, because it ended in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from driftd.model.drift import Status
from driftd.model.operation import Operation
from driftd.model.plan import Action, Applied, Outcome
from driftd.model.report import Report
from driftd.store.records import OpenPlan
from driftd.store.store import Store


async def recover(store: Store, report: Report, now: datetime) -> Action | None:
    """Finishes the records of an app's open plans by what the cluster has now; the last of them as an action.

    A write without an outcome was made if its object is in sync now; otherwise its outcome is unknown.

    Raises: StoreError.
    """
    action = None
    in_sync = {verdict.ref for verdict in report.verdicts if verdict.status in (Status.IN_SYNC, Status.IGNORED)}
    for plan in await store.open_plans(report.app):
        operations = [_concluded(operation, operation.ref in in_sync, now) for operation in plan.operations]
        await store.record_outcomes([new for new, old in zip(operations, plan.operations, strict=True) if new != old])
        action = _action(plan, operations, now)
        if not plan.recorded:
            await store.record_action(action, plan.id)
    return action


def _concluded(operation: Operation, in_sync: bool, now: datetime) -> Operation:  # the one flag of a value
    if operation.outcome is not None:
        return operation
    return replace(operation, outcome=Outcome.CONFIGURED if in_sync else Outcome.INTERRUPTED, finished=now)


def _action(plan: OpenPlan, operations: list[Operation], now: datetime) -> Action:
    first = operations[0]
    applied = tuple([Applied(one.ref, one.outcome or Outcome.INTERRUPTED, one.error) for one in operations])
    return Action(first.app, first.trigger, first.revision, first.by, plan.started, now, applied)
