"""What of a report is to be repaired, and whether that takes a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.path import FieldPath
from driftd.model.plan import SYSTEM_ACTOR, Hold, Mode
from driftd.model.report import Report
from driftd.model.resource import Json

_OF_CONTROLLERS: tuple[FieldPath, ...] = (("metadata", "finalizers"), ("metadata", "ownerReferences"))

_OPERATED = frozenset({
    "completions", "count", "instances", "maxReplicas", "minReplicas", "parallelism", "pause", "paused", "replicas",
    "size", "storage", "suspend", "suspended", "unschedulable",
})  # fmt: skip
"""Switches and sizes that people and controllers set while a thing runs. Where Git leaves one out it says nothing about
it: taken out, it would jump to a value that nobody chose."""


def acts_unasked(mode: Mode, hold: Hold | None) -> bool:
    """Whether driftd repairs an app by itself: in mode `heal`, and to carry out a rollback of its own."""
    if mode is Mode.HEAL:
        return True
    return mode is Mode.APPROVE and hold is not None and hold.by == SYSTEM_ACTOR


def repairable(report: Report) -> tuple[Verdict, ...]:
    """The verdicts on the objects that an apply would put right.

    A manifest that does not parse stops repair for the whole app: half of what Git declares is not what Git declares.
    An object that could not be assessed is left alone; the others are not.
    """
    if report.error is not None:
        return ()
    return tuple(verdict for verdict in report.notable if is_repairable(verdict))


def is_repairable(verdict: Verdict) -> bool:
    """Whether the object can be created, or fields of it can be put right: nothing is written to what is being deleted,
    since it would go with it."""
    if verdict.status is Status.MISSING:
        return not verdict.is_being_deleted and verdict.left_to is None
    return bool(restorable(verdict))


def restorable(verdict: Verdict) -> tuple[FieldDrift, ...]:
    """The fields of a live object that driftd may put right; the others are only told."""
    if verdict.status is not Status.DRIFTED or verdict.is_being_deleted or verdict.left_to is not None:
        return ()
    return tuple(one for one in verdict.fields if left_to(one) is None)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one object for reasons that its verdict does not show: all of it, or some of its fields."""

    whole: str | None = None
    fields: Mapping[FieldPath, str] = field(default_factory=dict)


def with_left(verdict: Verdict, left: Left, *, deploys: bool) -> Verdict:
    """The verdict on an object that differs, with whom driftd leaves it or some of its fields to, where it repairs the
    app. `deploys` is the app's: whether driftd brings in what Git declares."""
    if verdict.status not in (Status.DRIFTED, Status.MISSING):
        return verdict
    lags = verdict.status is Status.MISSING and verdict.behind is not None and not deploys
    whole = _deletion(verdict) or (LAG if lags else left.whole)
    fields = verdict.fields
    if whole is None:
        fields = tuple([_with_left(one, left.fields.get(one.path), deploys=deploys) for one in fields])
    return replace(verdict, fields=fields, left_to=whole)


def left_outside(why: str) -> str:
    """Whom an object is left to that lies outside of the app's borders."""
    return f"people: {why}"


def _with_left(drift: FieldDrift, found: str | None, *, deploys: bool) -> FieldDrift:
    lag = LAG if drift.behind and not deploys else None
    return replace(drift, left_to=left_to(drift) or lag or found)


def _deletion(verdict: Verdict) -> str | None:
    if verdict.namespace_deleted is not None:
        return "the deletion of its namespace: what is written there goes with it"
    return "its deletion: what is written to it goes with it" if verdict.is_being_deleted else None


def _operates(path: FieldPath, value: Json) -> bool:
    """Whether a field is a switch or a size, or a map that has one: not as part of an item of a list, which is new."""
    if path[-1] in _OPERATED:
        return True
    in_maps = isinstance(value, dict) and all(isinstance(segment, str) for segment in path)
    return in_maps and any(_operates((*path, key), below) for key, below in value.items())


LAG = "the app's deployer: Git has moved on"
"""The reason where driftd does not deploy the app."""


def left_to(drift: FieldDrift) -> str | None:
    """Why a difference is told and never repaired; None for one that driftd may put right."""
    if drift.left_to is not None:
        return drift.left_to
    if drift.of_pods:
        return "its pods: writing the workload would not change them"
    if drift.no_such_field:
        return "people: the kind has no such field, and the API server drops it"
    if drift.path[:2] in _OF_CONTROLLERS:
        return "its controllers: they clean up by it, and without it what they made would be left behind"
    if drift.change is Change.ADDED and drift.path[0] == "spec" and _operates(drift.path, drift.live):
        return "people: Git does not say what it should be instead"
    if drift.autoscaled:
        return "its autoscaler, or whatever else scales it: it sets the number of replicas"
    if drift.undetermined and not (drift.behind and drift.change is Change.REMOVED):  # a commit's is made up once
        return "people: each rendering makes another one of it, or of a part that is written with it"
    if drift.stand_in:
        return "people: what Git has stands in for what its deployer writes"
    if drift.partly_ignored:
        return "people: a rule leaves a part of it to others, and it can only be written as a whole"
    return None
