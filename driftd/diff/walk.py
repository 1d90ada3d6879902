"""The walk over what Git declares: every declared field is looked for in the live object.

Source of the rules: structured-merge-diff ("typed.Compare"), and how the API server reads objects through Go structs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from driftd.diff.defaults import stands_for_zero
from driftd.diff.schema import ListType, ScalarType, Schema
from driftd.diff.values import decoded, duration, instant, quantity, second
from driftd.diff.zero import kept_when_zero
from driftd.model.drift import Change, FieldDrift
from driftd.model.errors import SchemaMismatch
from driftd.model.path import DocumentPath, FieldPath, ListKey, Scalar, SetValue, format_path
from driftd.model.resource import Json

_SCALARS = frozenset({str, int, float, bool})
_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}


def declared_drift(desired: dict[str, Any], live: dict[str, Any], schema: Schema | None) -> list[FieldDrift]:
    """The declared fields that differ or are gone, in document order.

    Raises: SchemaMismatch: a declared value cannot be of the schema's type (say, a map for a list).
    """
    found: list[FieldDrift] = []
    _map(desired, live, schema, (), (), found)
    return found


def same(desired: Json, live: Json, schema: Schema | None) -> bool:
    """Whether a live value is what the API server makes of the declared one."""
    found: list[FieldDrift] = []
    _value(desired, live, schema, (), (), found)
    return not found


def vanishes(value: Json, schema: Schema | None, parent: Schema | None = None, key: str = "") -> bool:
    """Whether a declared value may leave no trace in the stored object: null, and Go's zero values with `omitempty`."""
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
    """The positions of a map list's items by their keys. More than one position means that the key stands twice."""
    positions: dict[ListKey, list[int]] = {}
    for index, item in enumerate(items):
        positions.setdefault(item_key(item, schema), []).append(index)
    return positions


def item_key(item: Json, schema: Schema) -> ListKey:
    """The identity of one item of a map list; a key that is left out has its default (`protocol: TCP`)."""
    if not isinstance(item, dict):
        return ListKey(tuple((name, None) for name in schema.list_keys))
    keys: list[tuple[str, Scalar]] = []
    for name in schema.list_keys:
        value = item.get(name)
        if value is None or value == "":
            default = schema.key_default(name)
            value = value if default is None else default
        keys.append((name, value if isinstance(value, str | int | float | bool) else None))
    return ListKey(tuple(keys))


def _value(
    desired: Json, live: Json, schema: Schema | None, path: FieldPath, at: DocumentPath, found: list[FieldDrift]
) -> None:
    if desired is None:
        return
    _check_type(desired, schema, path)
    if isinstance(desired, dict) and isinstance(live, dict):
        _map(desired, live, schema, path, at, found)
    elif isinstance(desired, list) and isinstance(live, list):
        _list(desired, live, schema, path, at, found)
    elif not _same_scalar(desired, live, schema):
        found.append(FieldDrift(path, Change.CHANGED, desired, live, at))


def _map(
    desired: dict[str, Any],
    live: dict[str, Any],
    schema: Schema | None,
    path: FieldPath,
    at: DocumentPath,
    found: list[FieldDrift],
) -> None:
    for key, value in desired.items():
        if value is None:
            continue
        child = schema.child(key) if schema else None
        if child is None and schema is not None and not schema.open:
            continue  # the server drops what its schema does not name
        actual = live.get(key)
        if actual is not None:
            if value.__class__ is actual.__class__ and value.__class__ in _SCALARS and value == actual:
                continue
            if value.__class__ in _SCALARS and not value and stands_for_zero(value, actual, schema, key, live):
                continue
            _value(value, actual, child, (*path, key), (*at, key), found)
            continue
        _check_type(value, child, (*path, key))
        if not vanishes(value, child, schema, key):
            found.append(FieldDrift((*path, key), Change.REMOVED, value, None, (*at, key)))


def _list(
    desired: list[Any],
    live: list[Any],
    schema: Schema | None,
    path: FieldPath,
    at: DocumentPath,
    found: list[FieldDrift],
) -> None:
    if schema is not None and schema.list_type is ListType.MAP:
        _map_list(desired, live, schema, path, at, found)
    elif schema is not None and schema.list_type is ListType.SET:
        _set(desired, live, path, at, found)
    elif len(desired) != len(live):
        found.append(FieldDrift(path, Change.CHANGED, desired, live, at))
    else:
        items = schema.items if schema else None
        for index, (wanted, actual) in enumerate(zip(desired, live, strict=True)):
            _value(wanted, actual, items, (*path, index), (*at, index), found)


def _map_list(
    desired: list[Any],
    live: list[Any],
    schema: Schema,
    path: FieldPath,
    at: DocumentPath,
    found: list[FieldDrift],
) -> None:
    items = schema.items
    wanted, actual = list_items(desired, schema), list_items(live, schema)
    for key, positions in wanted.items():
        there = actual.get(key, [])
        for nth, index in enumerate(positions):
            # A key that stands twice can only be told apart by its order.
            here: FieldPath = (*path, key) if len(positions) == 1 else (*path, key, nth)
            if nth < len(there):
                _value(desired[index], live[there[nth]], items, here, (*at, index), found)
            else:
                found.append(FieldDrift(here, Change.REMOVED, desired[index], None, (*at, index)))
        found.extend(  # a key that is live more often than declared
            FieldDrift((*path, key, nth), Change.ADDED, None, live[there[nth]], at)
            for nth in range(len(positions), len(there))
        )
    common = [key for key in wanted if key in actual]
    order = [key for key in actual if key in wanted]
    if common != order:
        found.append(FieldDrift(path, Change.CHANGED, _labels(common), _labels(order), at))


def _set(desired: list[Any], live: list[Any], path: FieldPath, at: DocumentPath, found: list[FieldDrift]) -> None:
    for index, value in enumerate(desired):
        if isinstance(value, dict | list):
            if value not in live:
                found.append(FieldDrift((*path, index), Change.REMOVED, value, None, (*at, index)))
        elif not any(_same_plain(value, other) for other in live):
            found.append(FieldDrift((*path, SetValue(value)), Change.REMOVED, value, None, (*at, index)))


def _labels(keys: Iterable[ListKey]) -> list[str]:
    return [str(key) for key in keys]


def _same_plain(desired: Json, live: Json) -> bool:
    return bool(desired == live) and isinstance(desired, bool) == isinstance(live, bool)


def _same_scalar(desired: Json, live: Json, schema: Schema | None) -> bool:
    if _same_plain(desired, live):
        return True
    if schema is None:
        return False
    match schema.scalar:
        case ScalarType.QUANTITY:
            return _same_by(quantity, _text(desired), _text(live))
        case ScalarType.DURATION:
            return _same_by(duration, _text(desired), _text(live))
        case ScalarType.TIME:
            return _same_by(second if schema.whole_seconds else instant, _text(desired), _text(live))
        case ScalarType.BYTES:
            return _same_by(decoded, _text(desired), _text(live))
        case _:
            return False


def _same_by(parse: Any, desired: str | None, live: str | None) -> bool:
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


def _check_type(value: Json, schema: Schema | None, path: FieldPath) -> None:
    if schema is None or schema.type is None or value is None:
        return
    if schema.scalar in (ScalarType.INT_OR_STRING, ScalarType.QUANTITY):
        fits = isinstance(value, str | int | float) and not isinstance(value, bool)
    elif isinstance(value, bool):
        fits = schema.type == "boolean"
    elif schema.type == "integer" and isinstance(value, float):
        fits = value.is_integer()
    else:
        fits = isinstance(value, _JSON_TYPES.get(schema.type, object))
    if not fits:
        raise SchemaMismatch(
            f"{format_path(path)}: the cluster's schema wants {_article(schema.type)}, Git declares "
            f"{_described(value)}; the API server would refuse this manifest"
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
