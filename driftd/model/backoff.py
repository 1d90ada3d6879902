"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MAX_DOUBLINGS = 64
"""Exponent beyond which every delay has reached its cap."""


def exponential_delay(attempt: int, base: float, cap: float, *, jitter: bool = False) -> float:
    """Seconds after failure number `attempt` (from 1): `base`, doubled with each failure, `cap` at most.

    `jitter` takes up to half of it away at random, so that many clients do not retry at the same moment.
    """
    delay = min(cap, base * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS))
    return delay * random.uniform(0.5, 1.0) if jitter else delay  # noqa: S311  spreads load, keeps no secret


def bounded(seconds: float, cap: float) -> float:
    """A number of seconds that somebody else chose, between 0 and `cap`; what is no number counts as 0."""
    return min(max(seconds, 0.0), cap) if seconds == seconds else 0.0  # noqa: PLR0124  NaN differs from itself


def parse_retry_after(header: str | None, cap: float, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header, a number or a date, between 0 and `cap`; None for anything else.

    `now` is the time that a date is compared with, by default the current one.
    Source: RFC 9110, 10.2.3.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return bounded(float(text), cap)  # infinite from 309 digits on, and no error
    try:
        until = parsedate_to_datetime(text)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return bounded((until - (now or datetime.now(UTC))).total_seconds(), cap)
    except (ValueError, OverflowError, TypeError, IndexError):  # what a date of odd parts makes of the parser
        return None
