"""Which writes of a rollout bring the commit, and which put back what somebody's hand has changed.

A pass that brings a revision in finds both at once. What the commit brings is no drift, and nobody is notified of it; a
heal is a heal, whenever it is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from driftd.model.drift import FIELD_MANAGER, FieldDrift, Status, Verdict
from driftd.model.errors import KubeError, StoreError
from driftd.model.operation import Operation, Plan
from driftd.model.path import PathSet
from driftd.model.plan import SYSTEM_ACTOR, Trigger
from driftd.model.resource import Manifest, ResourceRef
from driftd.reconcile.scan import Scan, Scanner
from driftd.repair.target import Target
from driftd.store.store import Store


@dataclass(frozen=True, slots=True)
class Before:
    """What was deployed before: the verdicts on the live objects by its manifests. None: it is not known."""

    verdicts: Mapping[ResourceRef, Verdict]


async def told_apart(plan: Plan, target: Target, scan: Scan, scanner: Scanner, store: Store) -> Plan:
    """The plan, in which each operation has its own trigger, and fields that the commit brings are marked as `behind`.

    A field is the commit's if Git's history says so, if driftd itself wrote the live value, or if live is as the
    revision declared it that was applied before. A missing object is the commit's unless that one declares it. Costs
    one comparison of each object for which the history does not say, once per revision.
    """
    before = await _before(plan, target, scan, scanner, store)
    writes = tuple([replace(one, operation=_told_apart(one.operation, before)) for one in plan.writes])
    only_hands = all(one.operation.trigger is Trigger.HEAL for one in writes)
    trigger = Trigger.HEAL if only_hands and plan.by == SYSTEM_ACTOR else plan.trigger
    return replace(plan, trigger=trigger, writes=writes)


async def _before(plan: Plan, target: Target, scan: Scan, scanner: Scanner, store: Store) -> Before | None:
    digest = target.hold.bad_digest if target.hold is not None else next(iter(target.applied_digests), None)
    unexplained = [one.operation.ref for one in plan.writes if not _is_behind(one.operation)]
    if digest is None or not unexplained:
        return None
    try:
        manifests = await store.manifests(digest)
        return Before(await scanner.verdicts_by(_of(unexplained, manifests), scan))
    except (StoreError, KubeError):  # they are not kept any more, or discovery failed: then it is a hand's
        return None


def _of(refs: Sequence[ResourceRef], manifests: Sequence[Manifest]) -> list[Manifest]:
    """The manifests that may be those of some objects: a stored one names a namespace only where Git does."""
    names = {(ref.group, ref.kind, ref.name) for ref in refs}
    return [one for one in manifests if (one.ref.group, one.ref.kind, one.ref.name) in names]


def _told_apart(operation: Operation, before: Before | None) -> Operation:
    if operation.status is Status.MISSING:
        then = before.verdicts.get(operation.ref) if before is not None else None
        is_deleted = then is not None and then.status is Status.MISSING  # a Job may have run as it was declared then
        return replace(operation, trigger=Trigger.HEAL) if is_deleted else operation
    then = before.verdicts.get(operation.ref) if before is not None else None
    is_known = then is not None and then.status is not Status.UNKNOWN
    differed = PathSet(one.path for one in then.fields) if then is not None and is_known else None
    fields = tuple([replace(one, behind=True) if _is_commit(one, differed) else one for one in operation.fields])
    trigger = operation.trigger if all(one.behind for one in fields) else Trigger.HEAL
    return replace(operation, fields=fields, trigger=trigger)


def _is_commit(field: FieldDrift, differed: PathSet | None) -> bool:
    """`differed` are the fields that differed before the commit; None if that is not known."""
    if field.behind or (field.by is not None and field.by.manager == FIELD_MANAGER):
        return True
    return differed is not None and not differed.overlaps(field.path)


def _is_behind(operation: Operation) -> bool:
    return bool(operation.fields) and all(field.behind for field in operation.fields)
