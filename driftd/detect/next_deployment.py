"""What an app's deployer is bringing in is no drift, though it says so only once all of it is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from driftd.desired.state import Desired
from driftd.diff.rules.field_managers import Managers
from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.path import PathSet
from driftd.model.resource import Manifest, ResourceRef

JudgeBy = Callable[[Sequence[Manifest]], Awaitable[Mapping[ResourceRef, Verdict]]]
"""The verdicts on some objects, as they are live, by other manifests. Raises: KubeError: no discovery."""


async def without_next(
    differing: Iterable[Verdict], next_desired: Desired, judge_by: JudgeBy, managers: Managers
) -> dict[ResourceRef, Verdict]:
    """New verdicts on those of some objects that differ from what was deployed, and are as they are to be next.

    Only what the deployer has written counts: a hand may have done the same. Raises: KubeError.
    """
    candidates = {one.ref: one for one in differing if _may_be_next(one, managers)}
    if not candidates:
        return {}
    names = {_name(ref) for ref in candidates}
    then = await judge_by([each for each in next_desired.manifests if _name(each.ref) in names])
    found = {}
    for ref, verdict in candidates.items():
        if verdict.status is Status.MISSING:
            if next_desired.error is None and ref not in then:
                found[ref] = replace(verdict, status=Status.IN_SYNC, by=None)
        elif ref in then and then[ref].status is not Status.UNKNOWN:
            found[ref] = _without(verdict, then[ref], managers)
    return {ref: new for ref, new in found.items() if new is not candidates[ref]}


def made_by_deployer(verdict: Verdict, managers: Managers) -> bool:
    """Whether all that differs of an object was written, or taken out, by a deployer, as far as that is known."""
    if verdict.status is Status.MISSING:
        return verdict.by is None or _is_deployer(verdict.by, managers)
    return bool(verdict.fields) and all(_is_made_by_deployer(one, managers) for one in verdict.fields)


def _may_be_next(verdict: Verdict, managers: Managers) -> bool:
    if verdict.status is Status.MISSING:
        return verdict.by is None or _is_deployer(verdict.by, managers)
    return verdict.status is Status.DRIFTED and any(_is_made_by_deployer(one, managers) for one in verdict.fields)


def _without(verdict: Verdict, then: Verdict, managers: Managers) -> Verdict:
    differing_then = PathSet(one.path for one in then.fields)
    fields = tuple(
        [one for one in verdict.fields if differing_then.overlaps(one.path) or not _is_made_by_deployer(one, managers)]
    )
    if len(fields) == len(verdict.fields):
        return verdict
    if fields:
        return replace(verdict, fields=fields)
    status = Status.UNKNOWN if verdict.error is not None else Status.IN_SYNC
    return replace(verdict, status=status, fields=(), behind=None)


def _is_made_by_deployer(field: FieldDrift, managers: Managers) -> bool:
    """A field that was removed has no owner, mostly: the deployer takes out what is declared no more."""
    if field.by is None:
        return field.change is Change.REMOVED
    return _is_deployer(field.by, managers)


def _is_deployer(owner: FieldOwner, managers: Managers) -> bool:
    return managers.is_deployer(owner) and not managers.is_of_people(owner)


def _name(ref: ResourceRef) -> tuple[str, str, str]:
    return ref.group, ref.kind, ref.name
