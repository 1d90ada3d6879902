"""Backoff of heals."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.resource import ResourceRef
from driftd.policy.backoff import HealBackoff, HealHistory

T0 = timedelta(hours=8)
LONGEST = timedelta(minutes=5)
QUIET = timedelta(minutes=10)


def after(heals: int) -> HealHistory:
    """The history of heals that are each undone at once."""
    history = HealHistory()
    for _ in range(heals):
        history = history.after_heal(T0)
    return history


def test_the_first_heal_does_not_wait() -> None:
    """Drift is reverted at once."""
    assert HealHistory().wait(T0) == timedelta(0)


def test_each_heal_in_a_row_doubles_the_wait_up_to_five_minutes() -> None:
    """1, 2, 4 … seconds, and never more than five minutes."""
    waits = [after(heals).wait(T0).total_seconds() for heals in range(1, 13)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_ten_quiet_minutes_reset_the_wait() -> None:
    """After a quiet time, the next heal does not wait."""
    history = after(12)
    assert history.wait(T0 + QUIET) == timedelta(0)
    assert history.after_heal(T0 + QUIET) == HealHistory(1, T0 + QUIET)


@given(
    gaps=st.lists(st.timedeltas(min_value=timedelta(0), max_value=timedelta(minutes=20)), max_size=40),
    look=st.timedeltas(min_value=timedelta(0), max_value=timedelta(minutes=30)),
)
def test_a_wait_is_bounded_and_only_gets_shorter_as_time_passes(gaps: list[timedelta], look: timedelta) -> None:
    """Never negative, never longer than five minutes; after the wait, the heal is due."""
    history, now = HealHistory(), T0
    for gap in gaps:
        now += gap
        history = history.after_heal(now)
    wait = history.wait(now)
    assert timedelta(0) <= wait <= LONGEST
    assert history.wait(now + look) == max(timedelta(0), wait - look)
    assert history.wait(now + wait) == timedelta(0)


@given(gaps=st.lists(st.timedeltas(min_value=timedelta(0), max_value=timedelta(minutes=9, seconds=59)), min_size=1))
def test_without_a_quiet_time_waits_never_get_shorter(gaps: list[timedelta]) -> None:
    """As long as heals are less than ten minutes apart, the waits only grow."""
    history, now, waits = HealHistory(), T0, []
    for gap in gaps:
        now += gap
        history = history.after_heal(now)
        waits.append(history.wait(now))
    assert waits == sorted(waits)


def drifted(live: object, name: str = "web") -> Verdict:
    """The verdict on a ConfigMap whose only value differs."""
    field = FieldDrift(("data", "k"), Change.CHANGED, "git", live, ("data", "k"))
    return Verdict(ResourceRef("", "ConfigMap", "shop", name), "v1", Status.DRIFTED, None, (field,))


def test_only_a_recurring_difference_is_slowed_down() -> None:
    """Another value, or another object, is healed at once."""
    fights = HealBackoff()
    fights.record([drifted("x")], T0)
    assert fights.due([drifted("x"), drifted("y"), drifted("x", "other")], T0) == (drifted("y"), drifted("x", "other"))
    assert fights.wait([drifted("x"), drifted("y")], T0) == timedelta(seconds=1)
    assert fights.wait([drifted("y")], T0) is None


def test_an_object_that_keeps_changing_is_slowed_down_eventually() -> None:
    """Otherwise driftd would write against a controller with a counter forever."""
    fights, healed = HealBackoff(), 0
    for number in range(100):
        if fights.due([drifted(number)], T0):
            fights.record([drifted(number)], T0)
            healed += 1
    assert healed == 31
    assert fights.due([drifted("later")], T0 + QUIET) == (drifted("later"),)
