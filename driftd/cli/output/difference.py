"""Line differences of long values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum
from itertools import islice

from driftd.diff.explain_value import explain_value
from driftd.model.drift import Change, FieldDrift
from driftd.model.resource import Json
from driftd.model.text import one_line

MAX_LINES = 24
"""Maximum lines per field."""
_MAX_COMPARED = 5_000
"""difflib takes quadratic time: of longer values only the numbers of lines are given."""


class Side(StrEnum):
    """The side that a line is on."""

    GIT = "-"
    LIVE = "+"
    BOTH = " "
    NOTE = "@"
    WITHIN = "~"


@dataclass(frozen=True, slots=True)
class DiffLine:
    side: Side
    text: str

    def __str__(self) -> str:
        return f"{self.side}{self.text}" if self.side is not Side.NOTE else f"@@ {self.text} @@"


def needs_lines(field: FieldDrift, width: int) -> bool:
    """Whether the field's values do not fit side by side in `width` characters."""
    return any(_is_long(value, width) for value in (field.desired, field.live))


def difference(
    field: FieldDrift, max_lines: int = MAX_LINES, *, sides: tuple[str, str] = ("in Git", "in the cluster")
) -> list[DiffLine]:
    """The lines that differ, with two lines of context, safe to show, and at most `max_lines`.

    `sides` is what the two are called where there are too many lines to compare.
    """
    if within := explain_value(field.desired, field.live):
        return [_within(line) for line in within[:max_lines]]
    desired = [] if field.change is Change.ADDED else _lines(field.desired)
    live = [] if field.change is Change.REMOVED else _lines(field.live)
    if len(desired) + len(live) > _MAX_COMPARED:
        return [DiffLine(Side.NOTE, f"{len(desired)} lines {sides[0]}, {len(live)} lines {sides[1]}")]
    lines = list(_compared(desired, live))
    if len(lines) > max_lines:
        hidden = len(lines) - max_lines + 1
        lines = [*lines[: max_lines - 1], DiffLine(Side.NOTE, f"{hidden} more lines")]
    return lines


def _within(line: str) -> DiffLine:
    """A line of an explanation, whose first character is its side."""
    side = Side(line[0]) if line[:2] in ("- ", "+ ", "~ ") else Side.BOTH
    return DiffLine(side, one_line(line[1:]))


def _compared(desired: list[str], live: list[str]) -> Iterator[DiffLine]:
    one_sided = not desired or not live
    for line in islice(unified_diff(desired, live, n=2, lineterm=""), 2, None):  # skip the two lines of file names
        if line.startswith("@@"):
            first = line.split()[1].lstrip("-").split(",")[0]
            if not one_sided and int(first) > 1:
                yield DiffLine(Side.NOTE, f"line {first}")
        else:
            yield DiffLine(Side(line[0]), line[1:])


def _lines(value: Json) -> list[str]:
    if isinstance(value, str):
        lines = value.split("\n")
        if lines[-1] == "":
            lines.pop()
        elif len(lines) > 1:
            lines.append("\\ no line break at the end")
    else:
        lines = json.dumps(value, indent=2, ensure_ascii=False).split("\n")
    return [one_line(line) for line in lines]


def _is_long(value: Json, width: int) -> bool:
    if isinstance(value, str):
        return "\n" in value
    return isinstance(value, dict | list) and len(json.dumps(value, ensure_ascii=False)) > width
