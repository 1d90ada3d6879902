"""From seen to good or bad."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.model.drift import Status
from driftd.model.health import Health, HealthState, describe
from driftd.model.report import Report
from driftd.model.revision import RevisionState
from driftd.policy.lifecycle import RevisionAssessment, Rollout, assess_revision
from tests.support.samples import T0, ailing, drifted, report, verdict

SETTLE, DEADLINE = timedelta(seconds=30), timedelta(minutes=10)
SEEN, APPLIED, GOOD, BAD = RevisionState.SEEN, RevisionState.APPLIED, RevisionState.GOOD, RevisionState.BAD
IN_SYNC = report(verdict(Status.IN_SYNC))
OFF = report(drifted())
UNREADABLE = report(verdict(Status.UNKNOWN))


def unhealthy(health: list[Health]) -> list[Health]:
    return [one for one in health if one.state is not HealthState.HEALTHY]


def judge(
    state: RevisionState,
    found: Report,
    health: list[Health],
    *,
    applied: datetime | None = T0,
    steady: datetime | None = None,
    at: timedelta = timedelta(0),
) -> RevisionAssessment:
    rollout = Rollout(state, applied, steady, found.in_sync, unhealthy(health))
    return assess_revision(rollout, T0 + at, settle=SETTLE, deadline=DEADLINE)


def test_a_revision_that_is_not_wholly_in_the_cluster_is_only_seen() -> None:
    """However long that takes: nothing can be said of what never ran."""
    assert judge(SEEN, OFF, [ailing()], applied=None, at=timedelta(days=1)) == RevisionAssessment(SEEN)


def test_an_applied_revision_is_good_once_it_was_steady_for_long_enough() -> None:
    """In sync and healthy for the settle time, and the next look is due exactly then."""
    early = judge(APPLIED, IN_SYNC, [], steady=T0, at=timedelta(seconds=12))
    assert early == RevisionAssessment(APPLIED, requeue_after=timedelta(seconds=18))
    assert judge(APPLIED, IN_SYNC, [], steady=T0, at=SETTLE) == RevisionAssessment(GOOD)


def test_an_applied_revision_that_is_not_healthy_by_its_deadline_is_bad_and_says_which_object() -> None:
    """The reason is what people read in the message about the rollback."""
    before = judge(APPLIED, IN_SYNC, [ailing()], at=timedelta(minutes=4))
    assert before == RevisionAssessment(APPLIED, requeue_after=timedelta(minutes=6))
    after = judge(APPLIED, IN_SYNC, [ailing()], at=DEADLINE)
    assert after.state is BAD
    assert after.reason == "not healthy within 10m: Deployment.apps/web/web: 0 of 1 replicas are available"


def test_drift_alone_makes_no_revision_bad() -> None:
    """Somebody's hand is not the commit's fault; and time does not change it, so there is no hurry to look again."""
    assert judge(APPLIED, OFF, [], at=timedelta(hours=1)) == RevisionAssessment(APPLIED)


def test_what_cannot_be_read_makes_no_revision_good_or_bad() -> None:
    """Health is not known then."""
    assert judge(APPLIED, UNREADABLE, [], at=timedelta(hours=1)) == RevisionAssessment(APPLIED)


def test_a_good_revision_stays_good_whatever_breaks_later() -> None:
    """An outage after weeks is an incident, not a reason to roll back."""
    assert judge(GOOD, OFF, [ailing()], at=timedelta(days=20)) == RevisionAssessment(GOOD)


def test_a_bad_revision_stays_bad_until_it_was_steady_after_all() -> None:
    """A slow start is a bad start, but not for ever."""
    assert judge(BAD, IN_SYNC, [ailing()], at=timedelta(hours=1)) == RevisionAssessment(BAD)
    soon = judge(BAD, IN_SYNC, [], steady=T0 + timedelta(hours=1), at=timedelta(hours=1))
    assert soon == RevisionAssessment(BAD, requeue_after=SETTLE)
    assert judge(BAD, IN_SYNC, [], steady=T0, at=timedelta(hours=1)).state is GOOD


@pytest.mark.parametrize(
    ("health", "said"),
    [
        ([ailing()], "Deployment.apps/web/web: 0 of 1 replicas are available"),
        ([ailing(message="")], "Deployment.apps/web/web is degraded"),
        ([ailing(), ailing(), ailing()], "Deployment.apps/web/web: 0 of 1 replicas are available (and 2 more)"),
    ],
)
def test_the_reason_names_one_object_and_counts_the_others(health: list[Health], said: str) -> None:
    """One sentence."""
    assert describe(health) == said


states = st.sampled_from(list(RevisionState))
healths = st.lists(st.sampled_from(list(HealthState)).map(ailing), max_size=3)
reports = st.sampled_from([IN_SYNC, OFF, UNREADABLE, report(error="not YAML")])
times = st.none() | st.timedeltas(timedelta(0), timedelta(minutes=20)).map(lambda ago: T0 - ago)


@given(state=states, found=reports, health=healths, applied=times, steady=times)
def test_a_judgement_follows_the_rules_whatever_is_found(
    state: RevisionState, found: Report, health: list[Health], applied: Any, steady: Any
) -> None:
    """Never good unless in sync; never bad unless ailing; a wait is one that time can end."""
    if unhealthy(health) or not found.in_sync:
        steady = None  # as the runner keeps it
    judged = judge(state, found, health, applied=applied, steady=steady)
    if judged.state is GOOD and state is not GOOD:
        assert found.in_sync
        assert steady is not None
        assert T0 - steady >= SETTLE
    if judged.state is BAD and state is not BAD:
        assert unhealthy(health)
        assert applied is not None
        assert T0 - applied >= DEADLINE
        assert judged.reason
    assert judged.requeue_after is None or timedelta(0) < judged.requeue_after <= max(SETTLE, DEADLINE)
    assert not (state is GOOD and judged.state is not GOOD)
