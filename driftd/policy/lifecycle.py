"""The lifecycle of a revision, from seen to good or bad. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.model.health import Health, describe
from driftd.model.revision import RevisionState


@dataclass(frozen=True, slots=True)
class Rollout:
    """A revision as a pass left it.

    `applied_at` is when all of it was first in the cluster, `stable_since` since when everything has been in sync and
    healthy without a break, `unhealthy` the health of the objects that are not healthy.
    """

    state: RevisionState
    applied_at: datetime | None
    stable_since: datetime | None
    in_sync: bool
    unhealthy: Sequence[Health]


@dataclass(frozen=True, slots=True)
class RevisionAssessment:
    """The state of a revision from now on, why, and when to assess it again (None: time alone changes nothing)."""

    state: RevisionState
    reason: str = ""
    requeue_after: timedelta | None = None


def assess_revision(rollout: Rollout, now: datetime, *, settle: timedelta, deadline: timedelta) -> RevisionAssessment:
    """What becomes of a revision after a pass.

    A good revision stays good: what breaks later is an incident, not its fault. A bad one that becomes stable is good.
    """
    if rollout.state is RevisionState.GOOD:
        return RevisionAssessment(RevisionState.GOOD)
    if rollout.applied_at is None:
        return RevisionAssessment(RevisionState.SEEN)
    is_bad = rollout.state is RevisionState.BAD
    if rollout.in_sync and rollout.stable_since is not None:
        left = settle - (now - rollout.stable_since)
        if left <= timedelta(0):
            return RevisionAssessment(RevisionState.GOOD)
        return RevisionAssessment(RevisionState.BAD if is_bad else RevisionState.APPLIED, requeue_after=left)
    if is_bad:
        return RevisionAssessment(RevisionState.BAD)
    left = deadline - (now - rollout.applied_at)
    if left > timedelta(0):
        return RevisionAssessment(RevisionState.APPLIED, requeue_after=left)
    if rollout.unhealthy:
        reason = f"not healthy within {_formatted(deadline)}: {describe(rollout.unhealthy)}"
        return RevisionAssessment(RevisionState.BAD, reason)
    return RevisionAssessment(RevisionState.APPLIED)


def _formatted(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    minutes, seconds = divmod(seconds, 60)
    return (f"{minutes}m" if minutes else "") + (f"{seconds}s" if seconds or not minutes else "")
