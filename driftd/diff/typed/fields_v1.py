"""Resolves the keys of a FieldsV1 (managedFields) in a value, one level at a time."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from driftd.diff.typed.schema import ItemIdentity, ListType, Schema
from driftd.model.path import ListKey, Segment, SetValue
from driftd.model.resource import Json

_NO_ITEM: ItemIdentity = ()
"""An identity that no item has: a map list has at least one key."""


class ResolvedElement(NamedTuple):
    """A field or item: its value, its type, its segment of the FieldPath, and its key or index in the document."""

    value: Json
    schema: Schema | None
    segment: Segment
    at: str | int


def item_positions(value: Json, schema: Schema | None) -> Mapping[ItemIdentity, int] | None:
    """The indexes of a map list's items by `item_identity`: to resolve many keys in one list."""
    if schema is None or not schema.list_keys or not isinstance(value, list):
        return None
    identities = schema.identities(value)
    return dict(zip(reversed(identities), range(len(value) - 1, -1, -1), strict=True))  # the first of duplicates


def member_key(value: Json) -> Hashable:
    """By which a scalar of a set is found: to Python, true is 1."""
    return (value.__class__ is bool, value)


def member_positions(value: Json, schema: Schema | None) -> Mapping[Hashable, int] | None:
    """The indexes of a set's scalars by `member_key`: to resolve many keys in one set."""
    if schema is None or schema.list_type is not ListType.SET or not isinstance(value, list):
        return None
    last = len(value) - 1
    scalars = ((member_key(item), last - index) for index, item in enumerate(reversed(value)) if is_scalar(item))
    return dict(scalars)  # the first of duplicates


def is_scalar(value: Json) -> bool:
    return not isinstance(value, dict | list)


def resolve_among(
    value: Json, schema: Schema | None, members: Mapping[Hashable, int] | None, key: str
) -> ResolvedElement | None:
    """As `resolve`, with the `member_positions` of a set."""
    if members is None or schema is None or key[:2] != "v:":
        return resolve(value, schema, key)
    member = _parse(key[2:])
    index = members.get(member_key(member)) if is_scalar(member) else None
    return None if index is None else ResolvedElement(value[index], schema.items, SetValue(value[index]), index)


def item_identity(key: str, schema: Schema) -> ItemIdentity:
    """The identity that a FieldsV1 key (`k:{…}`) names in a map list; `_NO_ITEM` if its keys are not the list's."""
    return _item_identity(key, schema.list_keys)


def resolve(value: Json, schema: Schema | None, key: str) -> ResolvedElement | None:
    """The field or item of a FieldsV1 key (`f:NAME`, `k:{…}`, `v:…`, `i:…`), or None if the value has none."""
    kind = key[:2]
    if kind == "f:" and isinstance(value, dict):
        name = key[2:]
        child = value.get(name)
        return None if child is None else ResolvedElement(child, schema.child(name) if schema else None, name, name)
    if not isinstance(value, list):
        return None
    if kind == "k:":
        return _resolve_item(value, schema, key)
    items = schema.items if schema else None
    if kind == "v:":
        member = _parse(key[2:])
        for index, item in enumerate(value):
            if item == member and isinstance(item, bool) == isinstance(member, bool):
                return ResolvedElement(item, items, SetValue(item), index)
    elif kind == "i:":
        index = _parse(key[2:])
        if isinstance(index, int) and 0 <= index < len(value):
            return ResolvedElement(value[index], items, index, index)
    return None


def _resolve_item(value: list[Any], schema: Schema | None, key: str) -> ResolvedElement | None:
    positions = item_positions(value, schema)
    if positions is not None and schema is not None:
        identity = item_identity(key, schema)
        index = positions.get(identity)
        return None if index is None else ResolvedElement(value[index], schema.items, schema.list_key(identity), index)
    keys = _parse(key[2:])
    if not isinstance(keys, dict):
        return None
    for index, item in enumerate(value):
        if isinstance(item, dict) and all(item.get(name) == part for name, part in keys.items()):
            return ResolvedElement(item, schema.items if schema else None, ListKey(tuple(keys.items())), index)
    return None


@lru_cache(maxsize=2048)
def _item_identity(key: str, names: tuple[str, ...]) -> ItemIdentity:
    keys = _parse(key[2:])
    if not isinstance(keys, dict) or set(keys) != set(names):
        return _NO_ITEM
    if any(isinstance(part, dict | list) for part in keys.values()):
        return _NO_ITEM
    return keys[names[0]] if len(names) == 1 else tuple(keys[name] for name in names)


@lru_cache(maxsize=2048)
def _parse(text: str) -> Any:
    """The keys or the value of an item. Cached: all objects of a kind have the same few."""
    try:
        return json.loads(text)
    except ValueError:
        return None
