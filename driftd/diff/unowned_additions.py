"""Finds undeclared fields that nobody owns: a zero, a conversion and a hand can lose their owner."""

from __future__ import annotations

from typing import Any

from driftd.diff.additions import Additions, is_collection, is_twin
from driftd.diff.typed.defaults import is_default
from driftd.diff.typed.fields_v1 import is_scalar, member_key
from driftd.diff.typed.schema import ListType, Schema
from driftd.diff.walk import item_key, list_items
from driftd.model.drift import FieldOwner
from driftd.model.path import DocumentPath, FieldPath, SetValue
from driftd.model.resource import Json


def search_unowned(
    additions: Additions,
    desired: Json,
    live: Json,
    schema: Schema | None,
    path: FieldPath,
    at: DocumentPath,
    owner: FieldOwner | None,
) -> None:
    """Adds the live fields that are undeclared, no defaults, and in no entry of this version of the kind."""
    if isinstance(desired, dict) and isinstance(live, dict):
        for key, value in live.items():
            expected = desired.get(key)
            if expected is not None and (not isinstance(value, dict | list) or expected == value):
                continue
            child = schema.child(key) if schema else None
            if child is None and schema is not None and not schema.preserves_unknown_fields:
                continue  # of another version of the kind: this one cannot tell a default from a choice
            if expected is not None:
                search_unowned(additions, expected, value, child, (*path, key), (*at, key), owner)
            elif key in desired or _is_null(value) or value in ({}, []):
                continue  # null leaves the value to the server
            elif not (is_twin(desired, key, value) or is_default(value, child, schema, key, live)):
                _unowned_field(additions, value, child, (*path, key), at, owner)
    elif isinstance(desired, list) and isinstance(live, list) and schema is not None:
        _unowned_items(additions, desired, live, schema, path, at, owner)


def _unowned_field(
    additions: Additions,
    value: Json,
    schema: Schema | None,
    path: FieldPath,
    at: DocumentPath,
    owner: FieldOwner | None,
) -> None:
    """The same for one undeclared value, of which somebody may own a part."""
    if value.__class__ is dict and (
        is_collection(value, schema) or _is_object_meta(schema) or _is_owned(additions, path)
    ):
        search_unowned(additions, {}, value, schema, path, at, owner)
    elif value.__class__ is list and schema is not None and schema.list_type is not ListType.ATOMIC:
        _unowned_items(additions, [], value, schema, path, at, owner)
    elif not _is_owned(additions, path) and not _is_sticky(path, owner):
        additions.add(path, value, at, owner)


def _is_sticky(path: FieldPath, owner: FieldOwner | None) -> bool:
    """Whether the API server may have chosen a value for what was declared before, which it keeps: the pull policy of a
    container goes by the tag of its first image."""
    return owner is None and path[-1] == "imagePullPolicy"


def _unowned_items(
    additions: Additions,
    desired: list[Any],
    live: list[Any],
    schema: Schema,
    path: FieldPath,
    at: DocumentPath,
    owner: FieldOwner | None,
) -> None:
    if schema.list_type is ListType.MAP:
        _unowned_map_items(additions, desired, live, schema, path, at, owner)
    elif schema.list_type is ListType.SET:
        declared = {member_key(value) for value in desired if is_scalar(value)}
        for value in live:
            if not is_scalar(value) or member_key(value) in declared:
                continue
            if not _is_owned(additions, (*path, SetValue(value))):
                additions.add((*path, SetValue(value)), value, at, owner)
    elif len(desired) == len(live) and not _is_owned(additions, path):
        additions.within_atomic(desired, live, schema, path, at, owner)


def _unowned_map_items(
    additions: Additions,
    desired: list[Any],
    live: list[Any],
    schema: Schema,
    path: FieldPath,
    at: DocumentPath,
    owner: FieldOwner | None,
) -> None:
    declared_at = list_items(desired, schema)
    for item in live:
        key = item_key(item, schema)
        if key in declared_at:
            position = declared_at[key][0]
            if desired[position] != item:
                search_unowned(additions, desired[position], item, schema.items, (*path, key), (*at, position), owner)
        elif not _is_owned(additions, (*path, key)):
            additions.add((*path, key), item, at, owner)


def _is_owned(additions: Additions, path: FieldPath) -> bool:
    return any(entry.owns(path, additions.ownership.schema, partial=True) for entry in additions.ownership.entries)


def _is_null(value: Json) -> bool:
    """Whether a value is null or a struct of nulls (`metadata: {creationTimestamp: null}` of a template in Go)."""
    return value is None or (isinstance(value, dict) and bool(value) and all(item is None for item in value.values()))


def _is_object_meta(schema: Schema | None) -> bool:
    """Whether a value is the metadata of a template: its labels and annotations are looked at one by one."""
    return schema is not None and schema.go_type == "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
