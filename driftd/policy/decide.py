"""What of a report is to be repaired, and whether that takes a person."""

from __future__ import annotations

from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.path import FieldPath
from driftd.model.plan import SYSTEM_ACTOR, Hold, Mode
from driftd.model.report import Report

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
    return tuple(verdict for verdict in report.notable if _is_missing(verdict) or restorable(verdict))


def _is_missing(verdict: Verdict) -> bool:
    """Whether the object can be created: nothing is written to what is being deleted, since it would go with it."""
    return verdict.status is Status.MISSING and not verdict.is_being_deleted


def restorable(verdict: Verdict) -> tuple[FieldDrift, ...]:
    """The fields of a live object that driftd may put right; the others are only told."""
    if verdict.status is not Status.DRIFTED or verdict.is_being_deleted:
        return ()
    return tuple(field for field in verdict.fields if left_to(field) is None)


def left_to(field: FieldDrift) -> str | None:
    """Why a difference is told and never repaired; None for one that driftd may put right."""
    if field.of_pods:
        return "its pods: writing the workload would not change them"
    if field.no_such_field:
        return "people: the kind has no such field, and the API server drops it"
    if field.path[:2] in _OF_CONTROLLERS:
        return "its controllers: they clean up by it, and without it what they made would be left behind"
    if field.change is Change.ADDED and field.path[0] == "spec" and field.path[-1] in _OPERATED:
        return "people: Git does not say what it should be instead"
    if field.partly_ignored:
        return "people: a rule leaves a part of it to others, and it can only be written as a whole"
    return None
