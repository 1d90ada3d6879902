"""The document of a server-side apply: what driftd owns already, and the fields that it puts back.

An apply says all that its manager wants: what it leaves out and nobody else owns is removed from the object. So what
driftd owns is extracted from the live object first, with its live values (client-go: `ExtractDeployment` and its like).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from driftd.diff.locate import locate
from driftd.diff.ownership import field_key, managed_fields
from driftd.diff.typed.fields_v1 import item_identity
from driftd.diff.typed.schema import ListType, Schema
from driftd.diff.walk import list_items
from driftd.model.drift import FieldDrift
from driftd.model.path import FieldPath, ListKey, SetValue
from driftd.model.resource import Json, JsonObject
from driftd.repair.field_set import FieldSet, declared_fields
from driftd.repair.restored_object import is_order, schema_at

_WHOLE = "*"
"""A key of a field set that FieldsV1 does not have: the value with all of its contents."""


def apply_configuration(
    restored: JsonObject, declared: JsonObject, fields: Sequence[FieldDrift], schema: Schema | None, manager: str
) -> dict[str, Any]:
    """The parts of `restored` that `manager` owns by an Apply, and the changed or removed `fields`.

    `restored` is a live object, with its managedFields, in which `fields` are put right; `declared` is the normalised
    manifest. Items of map lists come with their keys, atomic values whole.
    """
    owned = _owned(restored, declared, schema, manager)
    for field in fields:
        if is_order(field, schema):
            for path in _items(field.path, declared, schema):
                _add(owned, path, ".")
        else:
            _add(owned, field.path, _WHOLE)
    body = _project(restored, owned, schema)
    live = restored["metadata"]
    identity = {key: live[key] for key in ("name", "namespace") if key in live}
    return {
        **body,
        "apiVersion": restored["apiVersion"],
        "kind": restored["kind"],
        "metadata": {**body.get("metadata", {}), **identity},
    }


def _owned(live: JsonObject, declared: JsonObject, schema: Schema | None, manager: str) -> FieldSet:
    """What `manager` owns by an Apply.

    Fields of another version of the kind have other names: then all that Git declares counts as owned, with whatever
    values it has, since leaving out what is owned would remove it.
    """
    owned: FieldSet = {}
    for entry in managed_fields(live):
        if entry.is_apply and entry.owner.manager == manager and entry.owner.subresource is None:
            if entry.api_version != live.get("apiVersion"):
                return declared_fields(declared, schema)
            owned = copy.deepcopy(dict(entry.fields))
    return owned


def _items(path: FieldPath, declared: JsonObject, schema: Schema | None) -> list[FieldPath]:
    """The paths of the declared items of a map list."""
    located, of_list = locate(path, declared, schema), schema_at(path, schema)
    if located is None or of_list is None:
        return []
    return [(*path, key) for key in list_items(located.value, of_list)]


def _add(fields: FieldSet, path: FieldPath, leaf: str) -> None:
    node = fields
    for depth, segment in enumerate(path):
        if isinstance(segment, int) and depth and isinstance(path[depth - 1], ListKey):
            continue  # the number of an item among those with the same key
        node = node.setdefault(field_key(segment), {})
    node[leaf] = {}


def _project(value: Json, fields: FieldSet, schema: Schema | None) -> Json:
    """The part of a value that is in a set of fields."""
    if _WHOLE in fields:
        return value
    if isinstance(value, dict) and _has_fields(value, fields, schema):
        return {
            key: _project(item, fields[field_key(key)], schema.child(key) if schema else None)
            for key, item in value.items()
            if field_key(key) in fields
        }
    if isinstance(value, list) and schema is not None and schema.list_type is ListType.MAP:
        return _project_items(value, fields, schema)
    if isinstance(value, list) and schema is not None and schema.list_type is ListType.SET:
        return [item for item in value if field_key(SetValue(item)) in fields]
    return value


def _has_fields(value: dict[str, Any], fields: FieldSet, schema: Schema | None) -> bool:
    """Whether a map's fields are owned one by one. Where that is not known, an owned map is taken whole: to leave out
    a part of what is owned would remove it."""
    if schema is not None and schema.atomic:
        return False
    return bool(fields) or not value or (schema is not None and not schema.preserves_unknown_fields) or _is_map(schema)


def _is_map(schema: Schema | None) -> bool:
    return schema is not None and schema.is_map


def _project_items(items: list[Any], fields: FieldSet, schema: Schema) -> list[Any]:
    by_identity = {item_identity(key, schema): below for key, below in fields.items() if key.startswith("k:")}
    projected = []
    for item, identity in zip(items, schema.identities(items), strict=True):
        if identity not in by_identity:
            continue
        part = _project(item, by_identity[identity], schema.items)
        if isinstance(item, dict) and isinstance(part, dict):
            part = {**{name: item[name] for name in schema.list_keys if name in item}, **part}
        projected.append(part)
    return projected
