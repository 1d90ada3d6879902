"""What of a report is to be repaired, and whether that takes a person."""

from __future__ import annotations

from driftd.model.drift import Status, Verdict
from driftd.model.plan import SYSTEM_ACTOR, Hold, Mode
from driftd.model.report import Report


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
    return tuple(verdict for verdict in report.notable if _can_be_applied(verdict))


def _can_be_applied(verdict: Verdict) -> bool:
    """Whether applying the manifest puts something right.

    Nothing is written to what is being deleted: it would go with it. No apply changes pods, or sets a field that the
    kind does not have.
    """
    if verdict.is_being_deleted:
        return False
    if verdict.status is Status.MISSING:
        return True
    beyond_it = bool(verdict.fields) and all(field.of_pods or field.no_such_field for field in verdict.fields)
    return verdict.status is Status.DRIFTED and not beyond_it
