"""Durations as Kubernetes and Go write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import durationpy
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from driftd.config.mistake import mistake

_PART = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"(?:{_PART})+")
"""Go's grammar without a sign: `durationpy` also accepts days to years, and digits of other scripts."""
_MAX_DURATION = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """Parses `30s`, `5m`, `1h30m`, `1.5h`, `250ms` and `0` as Go's time.ParseDuration does, but no negative ones.

    Raises: ValueError: not a duration, or longer than ten years; the text is for users.
    """
    if text == "0":
        return timedelta()
    if not _DURATION.fullmatch(text):
        hint = f"; did you mean {text}s?" if re.fullmatch(r"[0-9]+", text) else ""
        raise ValueError(f'must be a duration such as 30s, 5m or 1h30m (got "{text}"){hint}')
    try:
        duration = durationpy.from_str(text)
    except durationpy.DurationError:  # only a timedelta's overflow is left
        duration = timedelta.max
    if duration > _MAX_DURATION:
        raise ValueError(f'must be ten years at most (got "{text}")')
    return duration


def format_duration(duration: timedelta) -> str:
    """The shortest form that parses as the same duration: `1h30m`, `45s`, `0`.

    `durationpy.to_str` rounds seconds to six digits.
    """
    microseconds = round(duration / timedelta(microseconds=1))
    if microseconds == 0:
        return "0"
    parts = []
    for unit, size in (("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)):
        count, microseconds = divmod(microseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _validate(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise mistake("must be a duration such as 30s, 5m or 1h30m")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise mistake(str(error)) from error


Duration = Annotated[
    timedelta,
    BeforeValidator(_validate),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": rf"^(?:0|(?:{_PART})+)$", "examples": ["30s", "5m", "1h30m"]}),
]
"""A timedelta, written as `1h30m` in the configuration."""


def _at_least_a_second(duration: timedelta) -> timedelta:
    if duration < timedelta(seconds=1):
        raise mistake("must be one second at least")
    return duration


Interval = Annotated[Duration, AfterValidator(_at_least_a_second)]
"""A period or a timeout: at least a second, so that no loop becomes a busy one."""
