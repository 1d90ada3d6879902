"""Compares every declared field with the live object.

Source of the rules: structured-merge-diff ("typed.Compare"), and how the API server decodes objects into Go structs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from driftd.diff.normalise import SERVER_METADATA
from driftd.diff.typed.defaults import is_default, is_server_made, replaces_zero_value
from driftd.diff.typed.fields_v1 import is_scalar, member_key
from driftd.diff.typed.lazy_path import LazyPath, resolve_paths
from driftd.diff.typed.schema import ItemIdentity, ListType, ScalarType, Schema
from driftd.diff.typed.values import (
    decode_base64,
    duration,
    instant,
    milli_quantity,
    quantity,
    rewritten,
    same_float,
    whole_second,
)
from driftd.diff.typed.zero import kept_when_zero
from driftd.model.drift import Change, FieldDrift
from driftd.model.errors import SchemaMismatch
from driftd.model.path import ListKey, SetValue, format_path
from driftd.model.resource import Json, JsonObject
from driftd.model.stand_in import variables

_NUMBERS = frozenset({int, float, bool})
_NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class WalkResult:
    """The drifts of the declared fields, and whether a search for undeclared fields has to follow.

    `undeclared` is set by any drift, and by a live value that is neither declared nor the API server's default: if it
    is not set, whoever owns what, nothing was added.
    """

    drifts: list[FieldDrift] = field(default_factory=list)
    undeclared: bool = False

    def add(
        self, location: LazyPath | None, change: Change, desired: Json, live: Json, *, no_such_field: bool = False
    ) -> None:
        path, at = resolve_paths(location)
        self.drifts.append(FieldDrift(path, change, desired, live, at, no_such_field=no_such_field))
        self.undeclared = True


def declared_drift(desired: dict[str, Any], live: dict[str, Any], schema: Schema | None) -> list[FieldDrift]:
    """The declared fields that differ or are missing, in document order.

    Raises: SchemaMismatch: a declared value cannot be of the schema's type (such as a map for a list).
    """
    return walk_declared(desired, live, schema).drifts


def walk_declared(desired: dict[str, Any], live: dict[str, Any], schema: Schema | None) -> WalkResult:
    """The same, and whether anything live is undeclared. Raises: SchemaMismatch."""
    result = WalkResult()
    _map(desired, live, schema, None, result)
    return result


def check_server_fields(manifest: JsonObject, schema: Schema | None) -> None:
    """Checks the types of what Git declares in fields that only the server sets, and that are not compared.

    The API server refuses a manifest for these, too: an exported object has them in their right form.
    Raises: SchemaMismatch.
    """
    if schema is None:
        return
    _check_types(manifest.get("status"), schema.child("status"), (None, "status", "status", None))
    metadata, of_metadata = manifest.get("metadata"), schema.child("metadata")
    if isinstance(metadata, Mapping) and of_metadata is not None:
        for key in SERVER_METADATA & metadata.keys():
            location: LazyPath = ((None, "metadata", "metadata", None), key, key, None)
            _check_types(metadata[key], of_metadata.child(key), location)


def _check_types(value: Json, schema: Schema | None, location: LazyPath) -> None:
    """Checks a value and all that is in it."""
    if schema is None:
        return
    _check_type(value, schema, location)
    if isinstance(value, dict):
        for key, below in value.items():
            _check_types(below, schema.child(key), (location, key, key, None))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_types(item, schema.items, (location, index, index, None))


def is_equivalent(desired: Json, live: Json, schema: Schema | None) -> bool:
    """Whether the live value is what the API server stores for the declared one."""
    result = WalkResult()
    _value(desired, live, schema, None, result)
    return not result.drifts


def may_be_dropped(value: Json, schema: Schema | None, parent: Schema | None = None, key: str = "") -> bool:
    """Whether a declared value may be absent from the stored object: null, and Go's zero values with `omitempty`."""
    if value is None:
        return True
    go_type = parent.go_type if parent is not None else None
    if isinstance(value, dict):
        if schema is not None and not schema.is_map:
            return False  # an empty struct behind a pointer is stored as {}
        return all(item is None for item in value.values()) and (bool(value) or go_type is not None)
    if isinstance(value, list):
        return not value and go_type is not None
    return not value and go_type is not None and not kept_when_zero(go_type, key)


def list_items(items: Sequence[Json], schema: Schema) -> dict[ListKey, list[int]]:
    """The indexes of a map list's items by their keys. More than one index means a duplicate key."""
    return {schema.list_key(identity): indexes for identity, indexes in _positions(schema.identities(items)).items()}


def item_key(item: Json, schema: Schema) -> ListKey:
    """The identity of one item of a map list; an omitted key has its default (`protocol: TCP`)."""
    return schema.list_key(schema.identities((item,))[0])


def _value(desired: Json, live: Json, schema: Schema | None, location: LazyPath | None, result: WalkResult) -> None:
    cls = desired.__class__
    if desired is None:
        result.undeclared |= live is not None
        return
    if schema is not None and cls not in schema.accepted_types:
        _check_type(desired, schema, location)
    if cls is dict and live.__class__ is dict:
        _map(desired, live, schema, location, result)
    elif cls is list and live.__class__ is list:
        _list(desired, live, schema, location, result)
    elif not _equal_scalars(desired, live, schema):
        result.add(location, Change.CHANGED, desired, live)


def _map(
    desired: dict[str, Any],
    live: dict[str, Any],
    schema: Schema | None,
    location: LazyPath | None,
    result: WalkResult,
) -> None:
    if not result.undeclared and not live.keys() <= desired.keys():
        result.undeclared = _has_undeclared(desired, live, schema)
    for key, value in desired.items():
        actual = live.get(key)
        cls = value.__class__
        if cls is str:
            if value == actual:
                continue
        elif cls in _NUMBERS:
            if cls is actual.__class__ and value == actual:
                continue
        elif value is None:
            result.undeclared |= actual is not None
            continue
        child = schema.child(key) if schema is not None else None
        field_location: LazyPath = (location, key, key, None)
        if cls is dict and actual.__class__ is dict and child is not None and dict in child.accepted_types:
            _map(value, actual, child, field_location, result)
        else:
            _field(key, value, live, child, schema, field_location, result)


def _field(
    key: str,
    desired: Json,
    siblings: Mapping[str, Any],
    schema: Schema | None,
    parent: Schema | None,
    location: LazyPath,
    result: WalkResult,
) -> None:
    """Compares one declared field; `siblings` are the fields of its live parent."""
    live = siblings.get(key)
    _check_type(desired, schema, location)  # also of what is empty: `replicas: []`
    if live is None and schema is None and parent is not None and not parent.preserves_unknown_fields:
        result.add(location, Change.REMOVED, desired, None, no_such_field=True)  # the server prunes it
    elif live is None:
        empty_bytes = desired == "" and key in siblings and schema is not None and schema.scalar is ScalarType.BYTES
        if not empty_bytes and not may_be_dropped(desired, schema, parent, key):  # Go may encode empty bytes as null
            result.add(location, Change.REMOVED, desired, None)
    elif desired or desired.__class__ is dict or not replaces_zero_value(desired, live, parent, key, siblings):
        _value(desired, live, schema, location, result)


def _has_undeclared(desired: Mapping[str, Any], live: Mapping[str, Any], schema: Schema | None) -> bool:
    """Whether a map has a live member that is neither declared nor the API server's default."""
    for key, value in live.items():
        if value is None or desired.get(key) is not None:
            continue
        child = schema.child(key) if schema is not None else None
        if is_default(value, child, schema, key, live) or is_server_made(schema, key):
            continue
        if value.__class__ is not dict:
            if value != [] or child is None or child.list_type is ListType.ATOMIC:
                return True
        elif value:
            if (child is not None and child.default is not None) or _has_undeclared(_NOTHING, value, child):
                return True
        elif child is not None and (child.atomic or not child.is_map):
            return True  # an empty struct may be a choice: `emptyDir: {}`
    return False


def _list(
    desired: list[Any],
    live: list[Any],
    schema: Schema | None,
    location: LazyPath | None,
    result: WalkResult,
) -> None:
    if schema is not None and schema.list_type is ListType.MAP:
        _map_list(desired, live, schema, location, result)
        return
    if schema is not None and schema.list_type is ListType.SET:
        _set(desired, live, location, result)
    elif len(desired) != len(live):
        result.add(location, Change.CHANGED, desired, live)
    else:
        items = schema.items if schema else None
        for index, (declared, actual) in enumerate(zip(desired, live, strict=True)):
            _value(declared, actual, items, (location, index, index, None), result)


def _map_list(
    desired: list[Any],
    live: list[Any],
    schema: Schema,
    location: LazyPath | None,
    result: WalkResult,
) -> None:
    items = schema.items
    identities, live_identities = schema.identities(desired), schema.identities(live)
    if identities == live_identities and len(set(identities)) == len(identities):  # the common case: no item to match
        for index, key in enumerate(identities):
            _value(desired[index], live[index], items, (location, key, index, schema), result)
        return
    declared_at, live_at = _positions(identities), _positions(live_identities)
    duplicates = len(declared_at) < len(identities) or len(live_at) < len(live_identities)
    result.undeclared |= duplicates or not live_at.keys() <= declared_at.keys()
    for key, positions in declared_at.items():
        live_positions = live_at.get(key, [])
        for ordinal, index in enumerate(positions):
            item: LazyPath = (location, key, index, schema)
            if len(positions) > 1:
                item = (item, ordinal, None, None)  # only the order distinguishes items with the same key
            if ordinal < len(live_positions):
                _value(desired[index], live[live_positions[ordinal]], items, item, result)
            else:
                result.add(item, Change.REMOVED, desired[index], None)
        for ordinal in range(len(positions), len(live_positions)):  # more live items with that key than declared ones
            extra: LazyPath = ((location, key, None, schema), ordinal, None, None)
            result.add(extra, Change.ADDED, None, live[live_positions[ordinal]])
    declared_order = [key for key in declared_at if key in live_at]
    live_order = [key for key in live_at if key in declared_at]
    if declared_order != live_order:
        result.add(location, Change.CHANGED, _labels(declared_order, schema), _labels(live_order, schema))


def _positions(identities: Sequence[ItemIdentity]) -> dict[ItemIdentity, list[int]]:
    positions: dict[ItemIdentity, list[int]] = {}
    for index, key in enumerate(identities):
        positions.setdefault(key, []).append(index)
    return positions


def _set(desired: list[Any], live: list[Any], location: LazyPath | None, result: WalkResult) -> None:
    members = {member_key(value) for value in live if is_scalar(value)}
    for index, value in enumerate(desired):
        if not is_scalar(value):
            if value not in live:
                result.add((location, index, index, None), Change.REMOVED, value, None)
        elif member_key(value) not in members:
            result.add((location, SetValue(value), index, None), Change.REMOVED, value, None)
    declared = {member_key(value) for value in desired if is_scalar(value)}
    result.undeclared |= len(live) > len(desired) or any(
        member_key(value) not in declared if is_scalar(value) else value not in desired for value in live
    )


def _labels(identities: Iterable[ItemIdentity], schema: Schema) -> list[str]:
    return [str(schema.list_key(identity)) for identity in identities]


def _equal(desired: Json, live: Json) -> bool:
    return bool(desired == live) and isinstance(desired, bool) == isinstance(live, bool)


def _equal_scalars(desired: Json, live: Json, schema: Schema | None) -> bool:
    if _equal(desired, live):
        return True
    if schema is None:
        return _equal_when_stored(desired, live, schema)
    match schema.scalar:
        case ScalarType.QUANTITY:
            return _equal_parsed(milli_quantity if schema.whole_millis else quantity, _text(desired), _text(live))
        case ScalarType.DURATION:
            return _equal_parsed(duration, _text(desired), _text(live))
        case ScalarType.TIME:
            return _equal_parsed(whole_second if schema.whole_seconds else instant, _text(desired), _text(live))
        case ScalarType.BYTES:
            return _equal_parsed(decode_base64, _text(desired), _text(live))
        case _:
            return _equal_when_stored(desired, live, schema)


def _equal_when_stored(desired: Json, live: Json, schema: Schema | None) -> bool:
    """Whether two values of a type with one spelling are one after the API server and the object's controller."""
    if isinstance(desired, str) and isinstance(live, str):
        return (schema is None or schema.custom) and rewritten(desired, live)
    if isinstance(desired, bool) or isinstance(live, bool):
        return False
    if isinstance(desired, int | float) and isinstance(live, int | float):
        return same_float(
            desired, live, is_float64=schema is not None and schema.type == "number" and not schema.custom
        )
    return False


def _equal_parsed(parse: Any, desired: str | None, live: str | None) -> bool:
    if desired is None or live is None:
        return False
    left, right = parse(desired), parse(live)
    return left is not None and bool(left == right)


def _text(value: Json) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


def _check_type(value: Json, schema: Schema | None, location: LazyPath | None) -> None:
    if schema is None or value.__class__ in schema.accepted_types or value is None:
        return
    if schema.type == "integer" and isinstance(value, float) and value.is_integer():
        return
    path = format_path(resolve_paths(location)[0])
    if names := variables(value):
        raise SchemaMismatch(
            f"{path}: ${{{names[0]}}} is put in by its deployer (as Flux does), so that Git does not say it"
        )
    raise SchemaMismatch(
        f"{path}: the cluster's schema wants {_article(str(schema.type))}, Git declares {_described(value)}; "
        "the API server would refuse this manifest"
    )


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _described(value: Json) -> str:
    match value:
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case _:
            return "an object"
