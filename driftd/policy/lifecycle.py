"""The life cycle of a revision, from seen to good or bad, driven by the results of passes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.model.health import Health, HealthState
from driftd.model.report import Report
from driftd.model.revision import RevisionState


@dataclass(frozen=True, slots=True)
class RevisionAssessment:
    """The new state of a revision, the reason, and when to reassess it (None: no timer needed)."""

    state: RevisionState
    reason: str = ""
    requeue_after: timedelta | None = None


def assess_revision(
    state: RevisionState,
    report: Report,
    health: Sequence[Health],
    *,
    applied_at: datetime | None,
    stable_since: datetime | None,
    now: datetime,
    settle: timedelta,
    deadline: timedelta,
) -> RevisionAssessment:
    """The state of a revision after a pass.

    `applied_at` is when all of it was first in the cluster, `stable_since` the time since when everything has been in
    sync and healthy without interruption. A good revision stays good: what breaks later is an incident, and not caused
    by it. A bad one that stabilises later becomes good.
    """
    if state is RevisionState.GOOD:
        return RevisionAssessment(state)
    if applied_at is None:
        return RevisionAssessment(RevisionState.SEEN)
    if report.in_sync and stable_since is not None:
        left = settle - (now - stable_since)
        if left <= timedelta(0):
            return RevisionAssessment(RevisionState.GOOD)
        return RevisionAssessment(state if state is RevisionState.BAD else RevisionState.APPLIED, requeue_after=left)
    if state is RevisionState.BAD:
        return RevisionAssessment(state)
    left = deadline - (now - applied_at)
    if left > timedelta(0):
        return RevisionAssessment(RevisionState.APPLIED, requeue_after=left)
    if ailing := unhealthy(health):
        return RevisionAssessment(RevisionState.BAD, f"not healthy within {_spoken(deadline)}: {describe(ailing)}")
    return RevisionAssessment(RevisionState.APPLIED)


def unhealthy(health: Sequence[Health]) -> list[Health]:
    return [one for one in health if one.state is not HealthState.HEALTHY]


def describe(ailing: Sequence[Health]) -> str:
    """`Deployment.apps/web/web: 0 of 2 replicas are available (and 3 more)`."""
    first = ailing[0]
    text = f"{first.ref}: {first.message}" if first.message else f"{first.ref} is {first.state}"
    return text if len(ailing) == 1 else f"{text} (and {len(ailing) - 1} more)"


def _spoken(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    minutes, seconds = divmod(seconds, 60)
    return (f"{minutes}m" if minutes else "") + (f"{seconds}s" if seconds or not minutes else "")
