"""How often the same thing is put back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.resource import ResourceRef
from driftd.policy.backoff import HealBackoff, HealHistory

T0 = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
LONGEST = timedelta(minutes=5)
QUIET = timedelta(minutes=10)


def after(heals: int) -> HealHistory:
    """The history of somebody who undoes each heal at once."""
    history = HealHistory()
    for _ in range(heals):
        history = history.after_heal(T0)
    return history


def test_the_first_heal_waits_for_nothing() -> None:
    """Drift is put back at once."""
    assert HealHistory().wait(T0) == timedelta(0)


def test_each_heal_in_a_row_doubles_the_wait_up_to_five_minutes() -> None:
    """1, 2, 4 … seconds, and never more than five minutes."""
    waits = [after(heals).wait(T0).total_seconds() for heals in range(1, 13)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_ten_quiet_minutes_start_it_anew() -> None:
    """Who stopped fighting is not made to wait for an old fight."""
    history = after(12)
    assert history.wait(T0 + QUIET) == timedelta(0)
    assert history.after_heal(T0 + QUIET) == HealHistory(1, T0 + QUIET)


@given(
    gaps=st.lists(st.timedeltas(min_value=timedelta(0), max_value=timedelta(minutes=20)), max_size=40),
    look=st.timedeltas(min_value=timedelta(0), max_value=timedelta(minutes=30)),
)
def test_a_wait_is_bounded_and_only_gets_shorter_as_time_passes(gaps: list[timedelta], look: timedelta) -> None:
    """Never negative, never longer than five minutes; waiting as long as told is enough."""
    history, now = HealHistory(), T0
    for gap in gaps:
        now += gap
        history = history.after_heal(now)
    wait = history.wait(now)
    assert timedelta(0) <= wait <= LONGEST
    assert history.wait(now + look) == max(timedelta(0), wait - look)
    assert history.wait(now + wait) == timedelta(0)


@given(gaps=st.lists(st.timedeltas(min_value=timedelta(0), max_value=timedelta(minutes=9, seconds=59)), min_size=1))
def test_a_fight_without_a_break_is_never_taken_up_faster(gaps: list[timedelta]) -> None:
    """As long as the breaks are shorter than ten minutes, the waits only grow."""
    history, now, waits = HealHistory(), T0, []
    for gap in gaps:
        now += gap
        history = history.after_heal(now)
        waits.append(history.wait(now))
    assert waits == sorted(waits)


def drifted(live: object, name: str = "web") -> Verdict:
    """The verdict on a ConfigMap whose one value is another."""
    field = FieldDrift(("data", "k"), Change.CHANGED, "git", live, ("data", "k"))
    return Verdict(ResourceRef("", "ConfigMap", "shop", name), "v1", Status.DRIFTED, None, (field,))


def test_only_the_same_difference_again_is_a_fight() -> None:
    """Another value, or another object, is put back at once."""
    fights = HealBackoff()
    fights.record([drifted("x")], T0)
    assert fights.due([drifted("x"), drifted("y"), drifted("x", "other")], T0) == (drifted("y"), drifted("x", "other"))
    assert fights.wait([drifted("x"), drifted("y")], T0) == timedelta(seconds=1)
    assert fights.wait([drifted("y")], T0) is None


def test_an_object_that_is_changed_in_ever_new_ways_is_slowed_down_in_the_end() -> None:
    """A controller that counts would otherwise be written against without end."""
    fights, healed = HealBackoff(), 0
    for number in range(100):
        if fights.due([drifted(number)], T0):
            fights.record([drifted(number)], T0)
            healed += 1
    assert healed == 31
    assert fights.due([drifted("later")], T0 + QUIET) == (drifted("later"),)
