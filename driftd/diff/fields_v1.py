"""One step along a path of managedFields, in a value that the path may or may not lead into."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from driftd.diff.schema import ItemIdentity, Schema
from driftd.model.path import ListKey, Segment, SetValue
from driftd.model.resource import Json

_NO_ITEM: ItemIdentity = ()
"""The identity of no item: a map list has one key at least."""


class ResolvedElement(NamedTuple):
    """What lies one step below: its value and type, how a FieldPath names it, and where it is in the document."""

    value: Json
    schema: Schema | None
    segment: Segment
    at: str | int


def item_positions(value: Json, schema: Schema | None) -> Mapping[ItemIdentity, int] | None:
    """Where the items of a map list are, by what `identity` makes of a key: for many steps that start at one list."""
    if schema is None or not schema.list_keys or not isinstance(value, list):
        return None
    identities = schema.identities(value)
    return dict(zip(reversed(identities), range(len(value) - 1, -1, -1), strict=True))  # the first of equal ones


def item_identity(key: str, schema: Schema) -> ItemIdentity:
    """Which item of a map list a FieldsV1 key (`k:{…}`) is about; of one that names other keys, an identity of none."""
    return _item_identity(key, schema.list_keys)


def resolve(value: Json, schema: Schema | None, key: str) -> ResolvedElement | None:
    """The value under a FieldsV1 key (`f:NAME`, `k:{…}`, `v:…`, `i:…`), or None if there is none."""
    kind = key[:2]
    if kind == "f:" and isinstance(value, dict):
        name = key[2:]
        below = value.get(name)
        return None if below is None else ResolvedElement(below, schema.child(name) if schema else None, name, name)
    if not isinstance(value, list):
        return None
    if kind == "k:":
        return _resolve_item(value, schema, key)
    items = schema.items if schema else None
    if kind == "v:":
        wanted = _parse(key[2:])
        for index, item in enumerate(value):
            if item == wanted and isinstance(item, bool) == isinstance(wanted, bool):
                return ResolvedElement(item, items, SetValue(item), index)
    elif kind == "i:":
        index = _parse(key[2:])
        if isinstance(index, int) and 0 <= index < len(value):
            return ResolvedElement(value[index], items, index, index)
    return None


def _resolve_item(value: list[Any], schema: Schema | None, key: str) -> ResolvedElement | None:
    among = item_positions(value, schema)
    if among is not None and schema is not None:
        wanted_item = item_identity(key, schema)
        index = among.get(wanted_item)
        return (
            None if index is None else ResolvedElement(value[index], schema.items, schema.list_key(wanted_item), index)
        )
    wanted = _parse(key[2:])
    if not isinstance(wanted, dict):
        return None
    for index, item in enumerate(value):
        if isinstance(item, dict) and all(item.get(name) == part for name, part in wanted.items()):
            return ResolvedElement(item, schema.items if schema else None, ListKey(tuple(wanted.items())), index)
    return None


@lru_cache(maxsize=2048)
def _item_identity(key: str, names: tuple[str, ...]) -> ItemIdentity:
    wanted = _parse(key[2:])
    if not isinstance(wanted, dict) or set(wanted) != set(names):
        return _NO_ITEM
    if any(isinstance(part, dict | list) for part in wanted.values()):
        return _NO_ITEM
    return wanted[names[0]] if len(names) == 1 else tuple(wanted[name] for name in names)


@lru_cache(maxsize=2048)
def _parse(text: str) -> Any:
    """The keys or the value of an item. The same few stand in the entries of all objects of a kind."""
    try:
        return json.loads(text)
    except ValueError:
        return None
