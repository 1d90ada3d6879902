"""Durations as Kubernetes and Go write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from driftd.config.mistake import mistake

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"(?:{_PART})+")
_ONE_PART = re.compile(r"([0-9.]+)([a-zµμ]+)")
_LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """`30s`, `5m`, `1h30m`, `1.5h`, `250ms` and `0`, as Go's time.ParseDuration reads them, but never negative.

    Raises: ValueError: with what is wrong, for a user.
    """
    if text == "0":
        return timedelta()
    if not _DURATION.fullmatch(text):
        hint = f"; did you mean {text}s?" if re.fullmatch(r"[0-9]+", text) else ""
        raise ValueError(f'must be a duration such as 30s, 5m or 1h30m (got "{text}"){hint}')
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _ONE_PART.findall(text))
    if seconds > _LONGEST.total_seconds():
        raise ValueError(f'must be ten years at most (got "{text}")')
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """The shortest form that reads back as the same duration: `1h30m`, `45s`, `0`."""
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
"""A timedelta that a configuration writes as `1h30m`."""


def _at_least_a_second(duration: timedelta) -> timedelta:
    if duration < timedelta(seconds=1):
        raise mistake("must be one second at least")
    return duration


Interval = Annotated[Duration, AfterValidator(_at_least_a_second)]
"""A duration that something is repeated or given up after: never so short that it becomes a busy loop."""
