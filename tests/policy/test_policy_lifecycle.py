"""From applied to good or bad."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from driftd.model.health import Health, HealthState, describe
from driftd.model.resource import ResourceRef
from driftd.model.revision import RevisionState
from driftd.policy.lifecycle import LOOK_EVERY, RevisionAssessment, Rollout, Sighting
from tests.support.samples import ailing, ref

SETTLE, DEADLINE = timedelta(seconds=30), timedelta(minutes=10)
APPLIED, GOOD, BAD = RevisionState.APPLIED, RevisionState.GOOD, RevisionState.BAD
WEB = ailing().ref
JOB = ref("migrate", "Job", "batch")
HEALTHY = Sighting()
AILING = Sighting((ailing(),))
HOUR = timedelta(hours=1)


def rollout(*, changed: set[ResourceRef] | None = None, unhealthy_before: set[ResourceRef] | None = None) -> Rollout:
    return Rollout(SETTLE, DEADLINE, {WEB, JOB} if changed is None else changed, unhealthy_before or set())


class Followed:
    """A rollout that is looked at every ten seconds."""

    def __init__(self, one: Rollout | None = None) -> None:
        self.rollout = one or rollout()
        self.state = APPLIED
        self.assessment = RevisionAssessment(APPLIED)

    def look(self, sighting: Sighting, elapsed: timedelta = timedelta(0)) -> RevisionAssessment:
        self.rollout.observe(sighting, elapsed)
        self.assessment = self.rollout.assess(self.state)
        self.state = self.assessment.state
        return self.assessment

    def watch(self, sighting: Sighting, span: timedelta) -> RevisionAssessment:
        """Sees the same from now on for a while."""
        self.look(sighting)
        for _ in range(int(span / LOOK_EVERY)):
            self.look(sighting, LOOK_EVERY)
        return self.assessment


def test_a_revision_is_good_once_all_of_it_was_healthy_for_the_settle_time() -> None:
    """The next look is due when time may decide, and every ten seconds until then."""
    followed = Followed()
    assert followed.look(HEALTHY) == RevisionAssessment(APPLIED, requeue_after=LOOK_EVERY)
    assert followed.watch(HEALTHY, timedelta(seconds=20)).state is APPLIED
    assert followed.look(HEALTHY, timedelta(seconds=4)) == RevisionAssessment(
        APPLIED, requeue_after=timedelta(seconds=6)
    )
    assert followed.look(HEALTHY, timedelta(seconds=6)) == RevisionAssessment(GOOD)


def test_a_revision_that_is_not_healthy_by_its_deadline_is_bad_and_says_which_object() -> None:
    """The reason is what people read in the message about the rollback."""
    followed = Followed()
    assert followed.watch(AILING, DEADLINE - LOOK_EVERY) == RevisionAssessment(APPLIED, requeue_after=LOOK_EVERY)
    after = followed.look(AILING, LOOK_EVERY)
    assert after.state is BAD
    assert after.reason == "not healthy within 10m: Deployment.apps/web/web: 0 of 1 replicas are available"


def test_a_workload_that_starts_and_crashes_again_and_again_is_bad() -> None:
    """It is ready for a moment each time, and never for the settle time."""
    followed = Followed()
    for _ in range(25):
        followed.watch(AILING, timedelta(seconds=30))
        followed.watch(HEALTHY, timedelta(seconds=10))
    assert followed.state is BAD


def test_a_good_revision_stays_good_whatever_breaks_later() -> None:
    """An outage after weeks is an incident, not a reason to roll back."""
    assert Followed().watch(HEALTHY, SETTLE).state is GOOD
    followed = Followed()
    followed.state = GOOD
    assert followed.watch(AILING, HOUR) == RevisionAssessment(GOOD)


def test_a_bad_revision_stays_bad_until_it_was_healthy_after_all() -> None:
    """A slow start is a bad start, but not for ever."""
    followed = Followed()
    assert followed.watch(AILING, HOUR) == RevisionAssessment(BAD)
    assert followed.look(HEALTHY).state is BAD
    assert followed.watch(HEALTHY, SETTLE).state is GOOD


def test_time_in_which_nobody_looked_changes_nothing() -> None:
    """A daemon that was away, a machine that slept: a long time between two looks counts as a short one."""
    followed = Followed()
    followed.look(AILING)
    assert followed.look(AILING, HOUR).state is APPLIED
    followed = Followed()
    followed.look(HEALTHY)
    assert followed.look(HEALTHY, timedelta(days=1)).state is APPLIED
    assert followed.look(HEALTHY, -timedelta(days=1)).state is APPLIED


def test_a_job_that_is_running_fails_no_revision_and_one_that_has_failed_does() -> None:
    """Its deadline is its own. Until it is complete, the revision is not good either."""
    running = Health(JOB, HealthState.PROGRESSING, "the job is still running", own_pace=True)
    followed = Followed()
    assert followed.watch(Sighting((running,)), 5 * HOUR) == RevisionAssessment(APPLIED)
    failed = Health(JOB, HealthState.DEGRADED, "the job has failed")
    assert followed.watch(Sighting((failed,)), DEADLINE).state is BAD
    followed = Followed()
    followed.watch(Sighting((running,)), 5 * HOUR)
    assert followed.watch(HEALTHY, SETTLE).state is GOOD


def test_a_restart_while_a_job_is_running_is_no_verdict_on_the_revision() -> None:
    """The workload was rolled out: what it does later is another matter, however long the job takes."""
    running = Health(JOB, HealthState.PROGRESSING, "the job is still running", own_pace=True)
    followed = Followed()
    followed.watch(Sighting((running,)), HOUR)
    assert followed.watch(Sighting((running, ailing())), HOUR).state is APPLIED
    assert followed.watch(HEALTHY, SETTLE).state is GOOD


def test_a_later_write_gives_a_workload_its_deadline_anew() -> None:
    """`kubectl rollout restart` after nine minutes; driftd's own heal as well."""
    first, second = (Sighting((replace(ailing(), rollout=name),)) for name in ("one", "two"))
    nine_minutes = timedelta(minutes=9)
    followed = Followed()
    followed.watch(first, nine_minutes)
    assert followed.watch(second, nine_minutes).state is APPLIED
    followed.look(replace(second, rewritten=frozenset({WEB})), LOOK_EVERY)
    assert followed.watch(second, nine_minutes).state is APPLIED
    assert followed.watch(second, DEADLINE).state is BAD


def test_what_somebody_has_edited_makes_no_revision_bad_or_good() -> None:
    """A broken image set by hand is not the commit's fault, and a mended one not its merit."""
    edited = frozenset({WEB})
    followed = Followed()
    assert followed.watch(Sighting((ailing(),), edited), HOUR) == RevisionAssessment(APPLIED)
    assert followed.watch(Sighting((), edited), HOUR) == RevisionAssessment(APPLIED)
    assert followed.watch(HEALTHY, SETTLE).state is GOOD


def test_drift_of_what_the_revision_did_not_change_does_not_keep_it_from_being_good() -> None:
    """A hand edit elsewhere is an incident of its own."""
    followed = Followed(rollout(changed={JOB}))
    assert followed.watch(Sighting((ailing(),), frozenset({WEB})), SETTLE).state is GOOD


def test_what_was_unhealthy_before_the_revision_came_makes_it_neither_bad_nor_good() -> None:
    """A lost node is not its fault; once the workload has recovered, it counts like any other."""
    followed = Followed(rollout(changed={JOB}, unhealthy_before={WEB}))
    assert followed.watch(AILING, HOUR) == RevisionAssessment(APPLIED)
    followed.look(HEALTHY, LOOK_EVERY)
    assert followed.watch(AILING, DEADLINE).state is BAD


def test_an_object_that_is_added_by_hand_to_what_is_awaited_needs_its_own_settle_time() -> None:
    """Healthy together: the last one decides."""
    followed = Followed()
    followed.watch(HEALTHY, timedelta(seconds=20))
    followed.look(AILING)
    assert followed.watch(HEALTHY, timedelta(seconds=20)).state is APPLIED
    assert followed.look(HEALTHY, LOOK_EVERY).state is GOOD


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


REFS = [ref(name, "Deployment", "apps") for name in "abc"]
spans = st.timedeltas(timedelta(0), timedelta(minutes=1))
states = st.sampled_from([HealthState.PROGRESSING, HealthState.DEGRADED])
sick = st.builds(Health, st.sampled_from(REFS), states, st.just("ill"), st.booleans(), st.sampled_from("xy"))
sets = st.frozensets(st.sampled_from(REFS))
sightings = st.builds(Sighting, st.lists(sick, unique_by=lambda health: health.ref, max_size=3).map(tuple), sets, sets)


class Life(RuleBasedStateMachine):
    """A revision of three workloads, whatever happens to them and to whoever looks at them."""

    def __init__(self) -> None:
        super().__init__()
        self.state = APPLIED
        self.rollout = Rollout(SETTLE, DEADLINE, frozenset(REFS))
        self.was_good = False
        self.observed = timedelta(0)
        self.assessment = RevisionAssessment(APPLIED)

    @rule(sighting=sightings, elapsed=spans)
    def look(self, sighting: Sighting, elapsed: timedelta) -> None:
        self.rollout.observe(sighting, elapsed)
        self.observed += elapsed
        self._assess(sighting)

    @rule(sighting=sightings, times=st.sampled_from([2, 4, 31]))
    def keep_looking(self, sighting: Sighting, times: int) -> None:
        for _ in range(times):
            self.look(sighting, 2 * LOOK_EVERY)

    @rule(sighting=sightings)
    def look_again_after_nobody_looked(self, sighting: Sighting) -> None:
        before = self.state
        self.rollout.observe(sighting, timedelta(0))
        self._assess(sighting)
        assert self.state in (before, GOOD)

    def _assess(self, sighting: Sighting) -> None:
        before = self.state
        self.assessment = self.rollout.assess(before)
        self.state = self.assessment.state
        if self.state is BAD and before is not BAD:
            blamed = {health.ref for health in self.rollout.blamed}
            assert blamed
            assert blamed <= {health.ref for health in sighting.unhealthy if not health.own_pace} - sighting.edited
            assert self.observed >= DEADLINE
            assert self.assessment.reason
        if self.state is GOOD and before is not GOOD:
            assert not [health for health in sighting.unhealthy if health.ref not in sighting.edited]
            assert self.observed >= SETTLE
        self.was_good |= self.state is GOOD

    @invariant()
    def once_good_it_is_never_bad(self) -> None:
        assert not self.was_good or self.state is GOOD

    @invariant()
    def a_wait_is_one_that_time_can_end(self) -> None:
        wait = self.assessment.requeue_after
        assert wait is None or timedelta(0) < wait <= LOOK_EVERY


TestLife: Any = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)


@given(sighting=sightings, state=st.sampled_from([APPLIED, BAD]))
def test_a_first_look_alone_never_decides(sighting: Sighting, state: RevisionState) -> None:
    """Whatever is seen: no time has passed yet."""
    one = Rollout(SETTLE, DEADLINE, frozenset(REFS))
    one.observe(sighting, HOUR)
    assert one.assess(state).state is state
