"""Short, readable forms of values, times and durations. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from driftd.model import text as safe
from driftd.model.resource import Json

SHORT = 80
"""Maximum characters of a value within a line."""

_MAX_DIFF_LINES = 8
_MAX_DIFF_WIDTH = 120
_MAX_COMPARED_LINES = 200
"""Maximum lines per side that are compared, after equal lines at both ends are removed."""


def one_line(text: str, limit: int = SHORT) -> str:
    """The text, safe to show, in at most `limit` characters of one line."""
    return clip(safe.one_line(text[: 4 * limit].strip("\n")), limit)


def clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def value(json_value: Json) -> str:
    """A value as in YAML's flow style: strings unquoted unless empty or with outer spaces, all others as JSON."""
    if isinstance(json_value, str):
        unquoted = json_value and json_value == json_value.strip()
        return json_value if unquoted else json.dumps(json_value, ensure_ascii=False)
    return json.dumps(json_value, ensure_ascii=False, default=str)


def pair(desired: Json, live: Json) -> tuple[str, str]:
    """Both values on one line each; if they are long, the part around the first difference."""
    left, right = value(desired), value(live)
    if len(left) <= SHORT and len(right) <= SHORT:
        return one_line(left), one_line(right)
    equal = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    start = max(0, equal - SHORT // 4)
    lead = "…" if start else ""
    return one_line(lead + left[start:]), one_line(lead + right[start:])


def line_diff(desired: Json, live: Json) -> tuple[str, ...] | None:
    """A few `-`/`+` lines for two values if one of them has several lines, else None."""
    left, right = _lines(desired), _lines(live)
    if left is None or right is None or (len(left) < 2 and len(right) < 2):
        return None
    while left and right and left[0] == right[0]:
        left, right = left[1:], right[1:]
    while left and right and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    matcher = difflib.unified_diff(left[:_MAX_COMPARED_LINES], right[:_MAX_COMPARED_LINES], n=0, lineterm="")
    changed = [line for line in matcher if not line.startswith(("---", "+++", "@@"))]
    shown = [clip(safe.visible(line[: 4 * _MAX_DIFF_WIDTH]), _MAX_DIFF_WIDTH) for line in changed[:_MAX_DIFF_LINES]]
    hidden = (
        len(changed) - len(shown) + max(0, len(left) - _MAX_COMPARED_LINES) + max(0, len(right) - _MAX_COMPARED_LINES)
    )
    if hidden:
        shown.append(f"… {hidden} more lines")
    return tuple(shown)


def clock_time(time: datetime) -> str:
    """`2026-11-22 08:52:11 UTC`."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(span: timedelta) -> str:
    """`42 s`, `5 min 3 s`, `2 h 5 min`, `3 d 4 h`."""
    seconds = max(0, round(span.total_seconds()))
    units: Sequence[tuple[str, int]] = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    for (name, size), (smaller, part) in pairwise(units):
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"


def _lines(json_value: Json) -> list[str] | None:
    if isinstance(json_value, str):
        return json_value.splitlines()
    if isinstance(json_value, dict | list) and json_value:
        return json.dumps(json_value, indent=2, ensure_ascii=False, default=str, sort_keys=True).splitlines()
    return None
