"""Describes the differences inside two values that differ. It decides no verdict.

DeepDiff takes milliseconds for a pair, and can treat reordered lists as equal (see docs/adr): it only ever gets a
single field that the comparison reports as drift.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from driftd.model.path import format_path
from driftd.model.resource import Json

_MAX_LINES = 20
_MAX_VALUE_WIDTH = 160
_MAX_ITEMS = 2_000
"""Maximum number of items of both values, at every depth: for more, an explanation is slow and too long to be read."""

_MAX_DEPTH = 64


def explain_value(desired: Json, live: Json) -> tuple[str, ...]:
    """One line for each difference between two maps or two lists, in the order of their paths; empty for other values.

    `- ` marks what only Git has, `+ ` what only the cluster has, `~ ` a changed value.
    """
    if not isinstance(desired, list | dict) or type(desired) is not type(live):
        return ()
    if not _is_small([desired, live]):
        return ()
    from deepdiff import DeepDiff  # noqa: PLC0415  # slow to import, and most passes have nothing to explain

    lines = sorted(_lines(DeepDiff(desired, live, view="tree", verbose_level=2)))
    texts = tuple(text for _, text in lines[:_MAX_LINES])
    rest = len(lines) - len(texts)
    return (*texts, f"  … and {rest} more") if rest else texts


def _is_small(values: list[Json]) -> bool:
    """Whether values have few items altogether, and are not deep: looked at level by level."""
    items = 0
    for _ in range(_MAX_DEPTH):
        values = [
            item
            for value in values
            if isinstance(value, list | dict)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        items += len(values)
        if not values or items > _MAX_ITEMS:
            return items <= _MAX_ITEMS
    return False


def _lines(differences: Any) -> Iterator[tuple[list[tuple[int, str]], str]]:
    for kind, changes in differences.items():
        for change in changes:
            path = tuple(change.path(output_format="list"))
            written = format_path(path) if path else ""
            if kind.endswith("_added"):
                text = f"+ {written}: {_short(change.t2)}"
            elif kind.endswith("_removed"):
                text = f"- {written}: {_short(change.t1)}"
            else:
                text = f"~ {written}: {_short(change.t1)} → {_short(change.t2)}"
            yield [(part, "") if isinstance(part, int) else (-1, part) for part in path], text


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_VALUE_WIDTH else f"{text[: _MAX_VALUE_WIDTH - 1]}…"
