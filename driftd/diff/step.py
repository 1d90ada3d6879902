"""One step along a path of managedFields, in a value that the path may or may not lead into."""

from __future__ import annotations

import json
from collections.abc import Mapping
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


Positions = Mapping[ListKey, int]
"""Where the items of a map list are."""


def positions(value: Json, schema: Schema | None) -> Positions | None:
    """The items of a map list by their keys, to be handed to `step` when many steps start at one list."""
    if schema is None or not schema.list_keys or not isinstance(value, list):
        return None
    found: dict[ListKey, int] = {}
    for index, item in enumerate(value):
        found.setdefault(item_key(item, schema), index)
    return found


def step(value: Json, schema: Schema | None, key: str, among: Positions | None = None) -> Step | None:
    """The value under a FieldsV1 key (`f:NAME`, `k:{…}`, `v:…`, `i:…`), or None if there is none."""
    kind = key[:2]
    if kind == "f:" and isinstance(value, dict):
        name = key[2:]
        below = value.get(name)
        return None if below is None else Step(below, schema.child(name) if schema else None, name, name)
    if not isinstance(value, list):
        return None
    if kind == "k:":
        return _to_item(value, schema, key[2:], positions(value, schema) if among is None else among)
    items = schema.items if schema else None
    if kind == "v:":
        wanted = _parsed(key[2:])
        for index, item in enumerate(value):
            if item == wanted and isinstance(item, bool) == isinstance(wanted, bool):
                return Step(item, items, SetValue(item), index)
    elif kind == "i:":
        index = _parsed(key[2:])
        if isinstance(index, int) and 0 <= index < len(value):
            return Step(value[index], items, index, index)
    return None


def _to_item(value: list[Any], schema: Schema | None, text: str, among: Positions | None) -> Step | None:
    if among is not None and schema is not None:
        key = _list_key(text, schema.list_keys)
        index = among.get(key) if key is not None else None
        return None if key is None or index is None else Step(value[index], schema.items, key, index)
    wanted = _parsed(text)
    if not isinstance(wanted, dict):
        return None
    for index, item in enumerate(value):
        if isinstance(item, dict) and all(item.get(name) == part for name, part in wanted.items()):
            return Step(item, schema.items if schema else None, ListKey(tuple(wanted.items())), index)
    return None


@lru_cache(maxsize=8192)
def _list_key(text: str, names: tuple[str, ...]) -> ListKey | None:
    wanted = _parsed(text)
    if not isinstance(wanted, dict) or set(wanted) != set(names):
        return None
    if any(isinstance(part, dict | list) for part in wanted.values()):
        return None
    return ListKey(tuple((name, wanted[name]) for name in names))


@lru_cache(maxsize=8192)
def _parsed(text: str) -> Any:
    """The keys or the value of an item. The same few stand in the entries of all objects of a kind."""
    try:
        return json.loads(text)
    except ValueError:
        return None
