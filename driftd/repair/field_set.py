"""Sets of owned fields in the form of FieldsV1 (see `diff/ownership.py`), and what can be made of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from driftd.diff.ownership import field_key
from driftd.diff.typed.fields_v1 import item_identity, item_positions, member_positions, resolve_among
from driftd.diff.typed.schema import ListType, Schema
from driftd.diff.walk import list_items
from driftd.model.path import FieldPath, PathSet, SetValue
from driftd.model.resource import Json

FieldSet = dict[str, Any]


def declared_fields(value: Json, schema: Schema | None) -> FieldSet:
    """The set of all fields of a value that Git declares."""
    if isinstance(value, dict) and value and not (schema is not None and schema.atomic):
        return {
            field_key(key): declared_fields(item, schema.child(key) if schema else None)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list) and schema is not None and schema.list_type is ListType.MAP:
        keyed = list_items(value, schema)
        return {field_key(key): {".": {}, **declared_fields(value[at[0]], schema.items)} for key, at in keyed.items()}
    if isinstance(value, list) and schema is not None and schema.list_type is ListType.SET:
        return {field_key(SetValue(item)): {} for item in value}
    return {}


def union(first: Mapping[str, Any], second: Mapping[str, Any]) -> FieldSet:
    """The fields of both."""
    both = dict(first)
    for key, below in second.items():
        both[key] = union(both[key], below) if key in both else below
    return both


def split_by_declared(fields: Mapping[str, Any], declared: Json, schema: Schema | None) -> tuple[FieldSet, FieldSet]:
    """The fields that a value declares, and the others. What is owned as a whole is declared if any of it is."""
    inside: FieldSet = {}
    outside: FieldSet = {}
    items, members = item_positions(declared, schema), member_positions(declared, schema)
    for key, below in fields.items():
        child: Json = None
        child_schema: Schema | None = None
        if key == ".":
            inside[key] = below
            continue
        if items is not None and schema is not None and key[:2] == "k:":
            index = items.get(item_identity(key, schema))
            if index is not None:
                child, child_schema = declared[index], schema.items
        elif (element := resolve_among(declared, schema, members, key)) is not None:
            child, child_schema = element.value, element.schema
        if child is None:
            outside[key] = below
        elif not below:
            inside[key] = below
        else:
            own, rest = split_by_declared(below, child, child_schema)
            inside |= {key: own} if own else {}
            outside |= {key: rest} if rest else {}
    return inside, outside


def split_by_path(fields: Mapping[str, Any], paths: Collection[FieldPath]) -> tuple[FieldSet, FieldSet]:
    """The fields at some paths, which lead through maps, and the others. What is owned as a whole goes with a part."""
    return _split_by_path(fields, frozenset(paths), PathSet(paths), ())


def _split_by_path(
    fields: Mapping[str, Any], paths: AbstractSet[FieldPath], around: PathSet, path: FieldPath
) -> tuple[FieldSet, FieldSet]:
    inside: FieldSet = {}
    outside: FieldSet = {}
    for key, below in fields.items():
        here = (*path, key[2:])
        if key[:2] != "f:" or not around.overlaps(here):
            outside[key] = below
        elif not below or here in paths:
            inside[key] = below
        else:
            own, rest = _split_by_path(below, paths, around, here)
            inside |= {key: own} if own else {}
            outside |= {key: rest} if rest else {}
    return inside, outside
