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
"""Maximum number of items of both values: for more, an explanation is slow and nobody reads it."""


def explain_value(desired: Json, live: Json) -> tuple[str, ...]:
    """One line for each difference between two maps or two lists, in the order of their paths; empty for other values.

    `- ` marks what only Git has, `+ ` what only the cluster has, `~ ` a changed value.
    """
    if not isinstance(desired, list | dict) or type(desired) is not type(live):
        return ()
    if len(desired) + len(live) > _MAX_ITEMS:
        return ()
    from deepdiff import DeepDiff  # noqa: PLC0415  # slow to import, and most passes have nothing to explain

    lines = sorted(_lines(DeepDiff(desired, live, view="tree", verbose_level=2)))
    texts = tuple(text for _, text in lines[:_MAX_LINES])
    rest = len(lines) - len(texts)
    return (*texts, f"  … and {rest} more") if rest else texts


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
