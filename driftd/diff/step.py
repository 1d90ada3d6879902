"""One step along a path of managedFields, in a value that the path may or may not lead into."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from driftd.diff.schema import Schema
from driftd.diff.walk import item_key
from driftd.model.path import ListKey, Segment, SetValue
from driftd.model.resource import Json


@dataclass(frozen=True, slots=True)
class Step:
    """What lies one step below: its value and type, how a FieldPath names it, and where it is in the document."""

    value: Json
    schema: Schema | None
    segment: Segment
    at: str | int


def step(value: Json, schema: Schema | None, key: str) -> Step | None:
    """The value under a FieldsV1 key (`f:NAME`, `k:{…}`, `v:…`, `i:…`), or None if there is none."""
    kind, _, rest = key.partition(":")
    if kind == "f" and isinstance(value, dict):
        below = value.get(rest)
        return None if below is None else Step(below, schema.child(rest) if schema else None, rest, rest)
    if not isinstance(value, list) or kind not in ("k", "v", "i"):
        return None
    items = schema.items if schema else None
    wanted = _parsed(rest)
    for index, item in enumerate(value):
        if kind == "k":
            segment = _item_segment(item, wanted, schema)
            if segment is not None:
                return Step(item, items, segment, index)
        elif kind == "v" and item == wanted and isinstance(item, bool) == isinstance(wanted, bool):
            return Step(item, items, SetValue(item), index)
        elif kind == "i" and index == wanted:
            return Step(item, items, index, index)
    return None


@lru_cache(maxsize=8192)
def _parsed(text: str) -> Any:
    """The keys or the value of an item. The same few stand in the entries of all objects of a kind."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _item_segment(item: Json, wanted: Json, schema: Schema | None) -> ListKey | None:
    if not isinstance(item, dict) or not isinstance(wanted, dict):
        return None
    if schema is None or not schema.list_keys:
        matches = all(item.get(name) == value for name, value in wanted.items())
        return ListKey(tuple(wanted.items())) if matches else None
    for name, value in wanted.items():
        there = item.get(name)
        if there != value and (there or schema.key_default(name) != value):
            return None
    key = item_key(item, schema)
    return key if len(key.keys) == len(wanted) else None
