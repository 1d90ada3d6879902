"""A live object with some differences put right: the aim of a write, before it is one."""

from __future__ import annotations

import copy
import json
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any

from driftd.diff.locate import Locator
from driftd.diff.ownership import ManagedFieldsEntry, managed_fields
from driftd.diff.typed.defaults import is_default
from driftd.diff.typed.fields_v1 import is_scalar, member_key
from driftd.diff.typed.schema import ListType, Schema
from driftd.diff.walk import item_key, list_items
from driftd.model.drift import Change, FieldDrift
from driftd.model.errors import DriftdError
from driftd.model.path import DocumentPath, FieldPath, ListKey, format_path
from driftd.model.resource import Json, JsonObject
from driftd.repair.unions import displaced


def restored_object(
    live: JsonObject, declared: JsonObject, fields: Sequence[FieldDrift], schema: Schema | None
) -> dict[str, Any]:
    """`live` with `fields` as `declared` (a normalised manifest) has them, and everything else as it is.

    Of the fields only path and change are used: their values may be redacted.
    Raises: DriftdError: a field is not where the comparison saw it.
    """
    result: dict[str, Any] = copy.deepcopy(dict(live))
    _put([field for field in fields if field.change is not Change.ADDED], result, declared, schema)
    added = [field for field in fields if field.change is Change.ADDED]
    locator = Locator(result, schema)
    located = [locator.locate(field.path) for field in added]
    # From the back, so that removing one item of a list does not move the next.
    for pointer in sorted({found.at for found in located if found is not None}, key=_order, reverse=True):
        parent = _at(result, pointer[:-1])
        del parent[pointer[-1]]
        if pointer[-1] == "serviceAccountName":
            parent.pop("serviceAccount", None)  # its old name: the API server fills in the one from the other
    locators = Locator(result, schema), Locator(declared, schema)
    entries = managed_fields(live)
    for field in added:
        _drop_emptied(result, field, locators, schema, entries)
    return result


def takes_out(live: JsonObject, fields: Sequence[FieldDrift], schema: Schema | None) -> bool:
    """Whether putting `fields` of a live object right takes something out of it, which an apply may not be able to."""
    locator = Locator(live, schema)
    for field in fields:
        parent = locator.locate(_parent(field.path))
        if field.change is Change.ADDED or (parent is not None and _displaced(field, parent.value, schema)):
            return True
    return False


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


def _put(fields: Sequence[FieldDrift], result: dict[str, Any], declared: JsonObject, schema: Schema | None) -> None:
    """Puts back changed and removed fields. Missing items of lists come last: all of one list at once."""
    wanted_at, live_at = Locator(declared, schema), Locator(result, schema)
    inserted: dict[FieldPath, list[int]] = {}
    for field in fields:
        path, parent_path = field.path, _parent(field.path)
        wanted, parent = wanted_at.locate(path), live_at.locate(parent_path)
        if wanted is None or parent is None:
            raise DriftdError(f"{format_path(path)} cannot be put back: it is not where the comparison saw it")
        existing = live_at.locate(path)
        if existing is not None and is_order(field, schema):
            _reorder(existing.value, wanted.value, schema_at(path, schema))
            live_at.forget(existing.value)
        elif isinstance(parent.value, dict):
            parent.value[path[-1]] = _without_nulls(wanted.value)
            for key in _displaced(field, parent.value, schema):
                if wanted_at.locate((*parent_path, key)) is None:
                    del parent.value[key]
        elif existing is not None:  # a removed item is there if it was put back before
            parent.value[existing.at[-1]] = _without_nulls(wanted.value)
        else:
            inserted.setdefault(parent_path, []).append(wanted.at[-1])  # type: ignore[arg-type]  # of a list
    for path, positions in inserted.items():
        live, items = live_at.locate(path), wanted_at.locate(path)
        if live is not None and items is not None:
            _insert(live.value, items.value, positions, schema_at(path, schema))
            live_at.forget(live.value)


def _displaced(field: FieldDrift, parent: Json, schema: Schema | None) -> frozenset[str]:
    if not isinstance(parent, dict):
        return frozenset()
    return displaced(field, parent, schema_at(_parent(field.path), schema))


def _parent(path: FieldPath) -> FieldPath:
    """The path of the map or list that a field is in; the number among items of one key is no level of its own."""
    has_number = len(path) > 1 and isinstance(path[-2], ListKey) and isinstance(path[-1], int)
    return path[:-2] if has_number else path[:-1]


def _insert(live: list[Any], declared: list[Any], positions: Sequence[int], schema: Schema | None) -> None:
    """Puts declared items, by their positions, where they belong: after the nearest one that precedes them in Git."""
    identities = [_identity(item, schema) for item in declared]
    last_live = {_identity(item, schema): place for place, item in enumerate(live)}
    wanted, before, after = set(positions), -1, dict[int, list[Json]]()
    for position, identity in enumerate(identities):
        before = last_live.get(identity, before)
        if position in wanted:
            after.setdefault(before, []).append(_without_nulls(declared[position]))
    followed = ([item, *after.get(place, ())] for place, item in enumerate(live))
    live[:] = [*after.get(-1, ()), *chain.from_iterable(followed)]


def _identity(item: Json, schema: Schema | None) -> Hashable:
    """What tells the items of a list apart."""
    if schema is not None and schema.list_type is ListType.MAP:
        return item_key(item, schema)
    return member_key(item) if is_scalar(item) else json.dumps(item, sort_keys=True)


def _drop_emptied(
    result: dict[str, Any],
    field: FieldDrift,
    locators: tuple[Locator, Locator],
    schema: Schema | None,
    entries: Sequence[ManagedFieldsEntry],
) -> None:
    """Drops the maps and lists around an added field that came with it: of defaults alone by now, and nobody else's.

    `locators` are those of the result, and of the manifest.
    """
    live_at, declared_at = locators
    for depth in range(len(field.path) - 1, 0, -1):
        around = field.path[:depth]
        left = live_at.locate(around)
        if left is None or declared_at.locate(around) is not None or not _is_left_over(left.value, around, schema):
            return
        owners = {entry.owner.manager for entry in entries if entry.owns(around, schema, partial=True)}
        if field.by is None or not owners <= {field.by.manager}:
            return
        parent = _at(result, left.at[:-1])
        del parent[left.at[-1]]
        if isinstance(parent, list):
            live_at.forget(parent)


def _is_left_over(value: Json, path: FieldPath, schema: Schema | None) -> bool:
    """Whether a value is empty, or a struct in which the API server has set everything (`httpGet: {scheme: HTTP}`)."""
    if value in ({}, []):
        return True
    kind = schema_at(path, schema)
    if not isinstance(value, dict) or kind is None or kind.go_type is None:
        return False
    return all(is_default(item, kind.child(key), kind, key, value) for key, item in value.items())


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


def _order(pointer: DocumentPath) -> tuple[tuple[int, str], ...]:
    return tuple((part, "") if isinstance(part, int) else (0, part) for part in pointer)
