"""What differs inside two values that are known to differ, in words. It explains, and decides nothing.

DeepDiff takes milliseconds for a pair and calls reordered lists equal when asked to (see docs/adr): it is only ever
shown a single field that the comparison has found.
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
"""Items of a value: beyond, an explanation is neither quick nor read."""


def explain_value(desired: Json, live: Json) -> tuple[str, ...]:
    """One line for each difference between two maps or two lists, in the order of their paths; empty for other values.

    `- ` stands before what only Git has, `+ ` before what only the cluster has, `~ ` before what has another value.
    """
    if not isinstance(desired, list | dict) or type(desired) is not type(live):
        return ()
    if len(desired) + len(live) > _MAX_ITEMS:
        return ()
    from deepdiff import DeepDiff  # noqa: PLC0415  # slow to import, and most passes find nothing to explain

    lines = sorted(_lines(DeepDiff(desired, live, view="tree", verbose_level=2)))
    texts = tuple(text for _, text in lines[:_MAX_LINES])
    rest = len(lines) - len(texts)
    return (*texts, f"  … and {rest} more") if rest else texts


def _lines(found: Any) -> Iterator[tuple[list[tuple[int, str]], str]]:
    for kind, changes in found.items():
        for change in changes:
            path = tuple(change.path(output_format="list"))
            where = format_path(path) if path else ""
            if kind.endswith("_added"):
                text = f"+ {where}: {_short(change.t2)}"
            elif kind.endswith("_removed"):
                text = f"- {where}: {_short(change.t1)}"
            else:
                text = f"~ {where}: {_short(change.t1)} → {_short(change.t2)}"
            yield [(part, "") if isinstance(part, int) else (-1, part) for part in path], text


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_VALUE_WIDTH else f"{text[: _MAX_VALUE_WIDTH - 1]}…"
