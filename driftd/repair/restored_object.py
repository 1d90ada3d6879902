"""A live object with some differences put right: the aim of a write, before it is one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from driftd.diff.locate import LocatedValue, Locator, locate
from driftd.diff.ownership import ManagedFieldsEntry, managed_fields
from driftd.diff.typed.schema import ListType, Schema
from driftd.diff.walk import item_key, list_items
from driftd.model.drift import Change, FieldDrift
from driftd.model.errors import DriftdError
from driftd.model.path import DocumentPath, FieldPath, ListKey, format_path
from driftd.model.resource import Json, JsonObject


def restored_object(
    live: JsonObject, declared: JsonObject, fields: Sequence[FieldDrift], schema: Schema | None
) -> dict[str, Any]:
    """`live` with `fields` as `declared` (a normalised manifest) has them, and everything else as it is.

    Of the fields only path and change are used: their values may be redacted.
    Raises: DriftdError: a field is not where the comparison saw it.
    """
    result: dict[str, Any] = copy.deepcopy(dict(live))
    for field in fields:
        if field.change is not Change.ADDED:
            _put(result, field, declared, schema)
    added = [field for field in fields if field.change is Change.ADDED]
    locator = Locator(result, schema)
    located = [locator.locate(field.path) for field in added]
    # From the back, so that removing one item of a list does not move the next.
    for pointer in sorted({found.at for found in located if found is not None}, key=_order, reverse=True):
        del _at(result, pointer[:-1])[pointer[-1]]
    entries = managed_fields(live)
    for field in added:
        _drop_emptied(result, field, declared, schema, entries)
    return result


def is_order(field: FieldDrift, schema: Schema | None) -> bool:
    """Whether a difference is only in the order of a map list, whose items are compared one by one."""
    of_list = schema_at(field.path, schema)
    is_map_list = of_list is not None and of_list.list_type is ListType.MAP
    return is_map_list and field.change is Change.CHANGED and isinstance(field.live, list)


def schema_at(path: FieldPath, schema: Schema | None) -> Schema | None:
    """The type of the value at `path`; None if it is not known."""
    for depth, segment in enumerate(path):
        if schema is None:
            return None
        if isinstance(segment, str):
            schema = schema.child(segment)
        elif not (isinstance(segment, int) and depth and isinstance(path[depth - 1], ListKey)):
            # the number of an item among those with the same key is no level of its own
            schema = schema.items
    return schema


def _put(result: dict[str, Any], field: FieldDrift, declared: JsonObject, schema: Schema | None) -> None:
    path = field.path
    parent_path = path[:-2] if len(path) > 1 and isinstance(path[-2], ListKey) and _is_number(path[-1]) else path[:-1]
    wanted, parent = locate(path, declared, schema), locate(parent_path, result, schema)
    if wanted is None or parent is None:
        raise DriftdError(f"{format_path(path)} cannot be put back: it is not where the comparison saw it")
    value = _without_nulls(wanted.value)
    existing = locate(path, result, schema)
    if is_order(field, schema) and existing is not None:
        _reorder(existing.value, wanted.value, schema_at(path, schema))
    elif isinstance(parent.value, dict):
        parent.value[path[-1]] = value
    elif existing is not None and field.change is Change.CHANGED:
        parent.value[existing.at[-1]] = value
    else:
        before = locate(parent_path, declared, schema)
        parent.value.insert(_position(wanted, before, parent, schema_at(parent_path, schema)), value)


def _drop_emptied(
    result: dict[str, Any],
    field: FieldDrift,
    declared: JsonObject,
    schema: Schema | None,
    entries: Sequence[ManagedFieldsEntry],
) -> None:
    """Drops the maps and lists around an added field that came with it: empty now, and nobody else's."""
    for depth in range(len(field.path) - 1, 0, -1):
        around = field.path[:depth]
        left = locate(around, result, schema)
        if left is None or left.value not in ({}, []) or locate(around, declared, schema) is not None:
            return
        owners = {entry.owner.manager for entry in entries if entry.owns(around, schema, partial=True)}
        if field.by is None or not owners <= {field.by.manager}:
            return
        del _at(result, left.at[:-1])[left.at[-1]]


def _position(wanted: LocatedValue, declared: LocatedValue | None, live: LocatedValue, schema: Schema | None) -> int:
    """Where a declared item belongs in a live list: after the nearest of those that precede it in Git."""
    at = wanted.at[-1]
    if schema is None or declared is None or not isinstance(at, int):
        return len(live.value)
    if schema.list_type is ListType.MAP:
        positions = list_items(live.value, schema)
        preceding = [positions.get(item_key(item, schema)) for item in declared.value[: at + 1]]
        return next((found[-1] + 1 for found in reversed(preceding) if found), 0)
    places = [live.value.index(item) + 1 for item in declared.value[:at] if item in live.value]
    return places[-1] if places else 0


def _reorder(live: list[Any], declared: list[Any], schema: Schema | None) -> None:
    """Puts the declared items into their order, in the places that they have together; others stay where they are."""
    assert schema is not None  # noqa: S101  # only a map list has an order of its own
    rank = {key: positions[0] for key, positions in list_items(declared, schema).items()}
    places = [place for place, item in enumerate(live) if item_key(item, schema) in rank]
    items = sorted((live[place] for place in places), key=lambda item: rank[item_key(item, schema)])
    for place, item in zip(places, items, strict=True):
        live[place] = item


def _without_nulls(value: Json) -> Json:
    """A copy without the fields that Git declares as null: that means unset."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _at(value: Any, pointer: DocumentPath) -> Any:
    for part in pointer:
        value = value[part]
    return value


def _is_number(segment: object) -> bool:
    return isinstance(segment, int)


def _order(pointer: DocumentPath) -> tuple[tuple[int, str], ...]:
    return tuple((part, "") if isinstance(part, int) else (0, part) for part in pointer)
