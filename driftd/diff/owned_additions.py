"""Finds undeclared fields in the entries of managedFields: who owns them set them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.diff.additions import Additions, is_atomic, is_collection, is_twin
from driftd.diff.typed.defaults import is_default
from driftd.diff.typed.fields_v1 import item_identity, item_positions, member_positions, resolve_among
from driftd.diff.typed.lazy_path import LazyPath, resolve_paths
from driftd.diff.typed.schema import Schema
from driftd.model.drift import FieldOwner
from driftd.model.resource import Json

_EMPTY: Mapping[str, Any] = {}
_COLLECTIONS = frozenset({dict, list})


def search_entry(
    additions: Additions,
    fields: Mapping[str, Any],
    desired: Json,
    live: Json,
    schema: Schema | None,
    location: LazyPath | None,
    siblings: Mapping[str, Any],
    owner: FieldOwner,
) -> None:
    """Adds the fields that `owner` owns and that are live and not in `desired`."""
    if live.__class__ is not dict:
        _search_entry_items(additions, fields, desired, live, schema, location, siblings, owner)
        return
    declared = desired if desired.__class__ is dict else _EMPTY
    for key, owned_below in fields.items():
        name = key[2:]
        expected = declared.get(name)
        if expected is not None and not owned_below and expected.__class__ not in _COLLECTIONS:
            continue  # a declared scalar, the most frequent case
        actual = live.get(name)
        if actual is None or expected == actual or key[:2] != "f:":
            continue
        child = schema.child(name) if schema is not None else None
        field_location = (location, name, None if expected is None else name, None)
        _owned_field(additions, key, owned_below, desired, expected, actual, child, schema, field_location, live, owner)


def _search_entry_items(
    additions: Additions,
    fields: Mapping[str, Any],
    desired: Json,
    live: Json,
    schema: Schema | None,
    location: LazyPath | None,
    siblings: Mapping[str, Any],
    owner: FieldOwner,
) -> None:
    live_at, declared_at = item_positions(live, schema), item_positions(desired, schema)
    live_members, declared_members = member_positions(live, schema), member_positions(desired, schema)
    for key, owned_below in fields.items():
        field_location: LazyPath
        if schema is not None and live_at is not None and key[:2] == "k:":
            segment = item_identity(key, schema)
            index = live_at.get(segment)
            if index is None:
                continue
            at = None if declared_at is None else declared_at.get(segment)
            expected = None if at is None else desired[at]
            actual, child = live[index], schema.items
            field_location = (location, segment, None if expected is None else at, schema)
        else:
            element = resolve_among(live, schema, live_members, key)
            declared = resolve_among(desired, schema, declared_members, key)
            if element is None:
                continue
            expected = None if declared is None else declared.value
            actual, child = element.value, element.schema
            at_declared = None if declared is None or expected is None else declared.at
            field_location = (location, element.segment, at_declared, None)
        if actual is not None and expected != actual:
            _owned_field(
                additions, key, owned_below, desired, expected, actual, child, schema, field_location, siblings, owner
            )


def _owned_field(
    additions: Additions,
    key: str,
    owned_below: Mapping[str, Any],
    desired: Json,
    expected: Json,
    actual: Json,
    schema: Schema | None,
    parent: Schema | None,
    field_location: LazyPath,
    siblings: Mapping[str, Any],
    owner: FieldOwner,
) -> None:
    """Checks one field that `owner` owns, by its key in the entry; `siblings` are the live fields of its parent."""
    atomic = not owned_below and is_atomic(actual, schema)
    if not owned_below and not atomic and (actual or is_collection(actual, schema)):
        return  # a map is owned without any of its members
    if expected is not None:
        if atomic:
            path, at = resolve_paths(field_location)
            additions.within_atomic(expected, actual, schema, path, at, owner)
        else:
            search_entry(additions, owned_below, expected, actual, schema, field_location, siblings, owner)
    elif (
        _is_declared_null(additions, desired, key, owner)
        or is_twin(desired, key[2:], actual)
        or _is_default(actual, schema, parent, field_location, siblings)
    ):
        return
    elif owned_below and (is_collection(actual, schema) or "." not in owned_below):
        search_entry(additions, owned_below, None, actual, schema, field_location, siblings, owner)
    else:
        path, at = resolve_paths(field_location)
        additions.add(path, actual, at, owner)


def _is_declared_null(additions: Additions, desired: Json, key: str, owner: FieldOwner) -> bool:
    """Whether the deployer owns a field because Git declares null for it: the server replaced that by a value."""
    entry = additions.ownership.deployer.entry
    return entry is not None and owner is entry.owner and isinstance(desired, dict) and key[2:] in desired


def _is_default(
    value: Json, schema: Schema | None, parent: Schema | None, location: LazyPath, siblings: Mapping[str, Any]
) -> bool:
    name = location[1]
    return isinstance(name, str) and is_default(value, schema, parent, name, siblings)
