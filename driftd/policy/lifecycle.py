"""From seen to good or bad: what a pass says about the revision that it looked at. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.model.health import Health, HealthState
from driftd.model.report import Report
from driftd.model.revision import RevisionState


@dataclass(frozen=True, slots=True)
class Judgement:
    """The state that a revision is in now, why, and in how long to look again (None: no time matters)."""

    state: RevisionState
    reason: str = ""
    look_again: timedelta | None = None


def judge_revision(
    state: RevisionState,
    report: Report,
    health: Sequence[Health],
    *,
    applied_at: datetime | None,
    steady_since: datetime | None,
    now: datetime,
    settle: timedelta,
    deadline: timedelta,
) -> Judgement:
    """What becomes of a revision after a pass.

    `applied_at` is when it was first wholly in the cluster, `steady_since` since when everything has been in sync and
    healthy without a break. A revision that was good stays good: what breaks later is an incident, not its fault. A
    bad one that comes round after all is good.
    """
    if state is RevisionState.GOOD:
        return Judgement(state)
    if applied_at is None:
        return Judgement(RevisionState.SEEN)
    if report.in_sync and steady_since is not None:
        left = settle - (now - steady_since)
        if left <= timedelta(0):
            return Judgement(RevisionState.GOOD)
        return Judgement(state if state is RevisionState.BAD else RevisionState.APPLIED, look_again=left)
    if state is RevisionState.BAD:
        return Judgement(state)
    left = deadline - (now - applied_at)
    if left > timedelta(0):
        return Judgement(RevisionState.APPLIED, look_again=left)
    if ailing := unhealthy(health):
        return Judgement(RevisionState.BAD, f"not healthy within {_spoken(deadline)}: {describe(ailing)}")
    return Judgement(RevisionState.APPLIED)


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
