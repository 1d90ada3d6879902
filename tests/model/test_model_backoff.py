"""Delays grow to their cap, and both forms of Retry-After are read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.model.backoff import exponential_delay, parse_retry_after

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def test_each_failure_doubles_the_delay_up_to_its_cap() -> None:
    """The first failure waits for the base."""
    assert [exponential_delay(attempt, 2, 30) for attempt in range(1, 7)] == [2, 4, 8, 16, 30, 30]


@given(st.integers(1, 10**9), st.floats(0.001, 100), st.floats(100, 10**6))
def test_jitter_shortens_a_delay_by_half_at_most(attempt: int, base: float, cap: float) -> None:
    """However many attempts have failed, the delay is finite."""
    full = exponential_delay(attempt, base, cap)
    assert base <= full <= cap
    assert full / 2 <= exponential_delay(attempt, base, cap, jitter=True) <= full


@given(st.text(max_size=60))
def test_no_text_is_an_unbounded_time(header: str) -> None:
    """Whatever a server sends."""
    seconds = parse_retry_after(header, 60.0)
    assert seconds is None or 0 <= seconds <= 60


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17),
        (" 0 ", 0),
        ("Sun, 22 Nov 2026 08:01:30 GMT", 90),
        ("Sun, 22 Nov 2026 07:00:00 GMT", 0),
        ("Sun, 22 Nov 2026 08:01:30 -0000", 90),
        ("315360000", 3600),
        ("9" * 5000, 3600),
        ("Sun, 22 Nov 2099 08:01:30 GMT", 3600),
        ("Sun, 22 Nov 2026 08:01:30 +99999999999999999999", None),
        ("Sun, 22 Nov 99999 08:01:30 GMT", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """A date that has passed means at once, one that is far an hour at most here; anything else means nothing."""
    assert parse_retry_after(header, 3600, NOW) == seconds
