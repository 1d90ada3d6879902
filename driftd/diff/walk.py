"""The walk over what Git declares: every declared field is looked for in the live object.

Source of the rules: structured-merge-diff ("typed.Compare"), and how the API server reads objects through Go structs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from driftd.diff.defaults import is_default, replaces_zero_value
from driftd.diff.fields_v1 import item_identity
from driftd.diff.lazy_path import LazyPath, resolve_paths
from driftd.diff.schema import ItemIdentity, ListType, ScalarType, Schema
from driftd.diff.values import decode_base64, duration, instant, milli_quantity, quantity, whole_second
from driftd.diff.zero import kept_when_zero
from driftd.model.drift import Change, FieldDrift
from driftd.model.errors import SchemaMismatch
from driftd.model.path import ListKey, SetValue, format_path
from driftd.model.resource import Json

_NUMBERS = frozenset({int, float, bool})

OwnedFields = Mapping[str, Any] | None
"""The fields of a value that somebody holds, as FieldsV1 names them: none of them where it is owned as a whole.

None where nothing of it is owned.
"""


@dataclass(slots=True)
class WalkResult:
    """What a walk has found. It is `doubtful` where a drift was found or a map list has a key twice.

    A walk that was told which fields somebody holds is doubtful as well where one of those may be live and not
    declared: then somebody has to look for it. Where nothing is doubtful, whatever is owned is declared.
    """

    drifts: list[FieldDrift] = field(default_factory=list)
    inconclusive: bool = False

    def add(self, location: LazyPath | None, change: Change, desired: Json, live: Json) -> None:
        path, at = resolve_paths(location)
        self.drifts.append(FieldDrift(path, change, desired, live, at))
        self.inconclusive = True


def declared_drift(desired: dict[str, Any], live: dict[str, Any], schema: Schema | None) -> list[FieldDrift]:
    """The declared fields that differ or are gone, in document order.

    Raises: SchemaMismatch: a declared value cannot be of the schema's type (say, a map for a list).
    """
    return walk_declared(desired, live, schema).drifts


def walk_declared(
    desired: dict[str, Any], live: dict[str, Any], schema: Schema | None, owned: OwnedFields = None
) -> WalkResult:
    """The same, and whether what is `owned` (FieldsV1) is all declared. Raises: SchemaMismatch."""
    result = WalkResult()
    _map(desired, live, schema, None, result, owned)
    return result


def is_equivalent(desired: Json, live: Json, schema: Schema | None) -> bool:
    """Whether a live value is what the API server makes of the declared one."""
    result = WalkResult()
    _value(desired, live, schema, None, result, None)
    return not result.drifts


def may_be_dropped(value: Json, schema: Schema | None, parent: Schema | None = None, key: str = "") -> bool:
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
    return {schema.list_key(identity): found for identity, found in _positions(schema.identities(items)).items()}


def item_key(item: Json, schema: Schema) -> ListKey:
    """The identity of one item of a map list; a key that is left out has its default (`protocol: TCP`)."""
    return schema.list_key(schema.identities((item,))[0])


def _value(
    desired: Json, live: Json, schema: Schema | None, location: LazyPath | None, result: WalkResult, owned: OwnedFields
) -> None:
    kind = desired.__class__
    if desired is None:
        result.inconclusive |= owned is not None
        return
    if schema is not None and kind not in schema.accepted_types:
        _check_type(desired, schema, location)
    if kind is dict and live.__class__ is dict:
        _map(desired, live, schema, location, result, owned)
    elif kind is list and live.__class__ is list:
        _list(desired, live, schema, location, result, owned)
    elif not _equal_scalars(desired, live, schema):
        result.add(location, Change.CHANGED, desired, live)


def _map(
    desired: dict[str, Any],
    live: dict[str, Any],
    schema: Schema | None,
    location: LazyPath | None,
    result: WalkResult,
    owned: OwnedFields,
) -> None:
    if owned is not None and not result.inconclusive:
        result.inconclusive = _may_have_undeclared(desired, live, schema, owned)
    for key, value in desired.items():
        actual = live.get(key)
        kind = value.__class__
        if kind is str:
            if value == actual:
                continue
        elif kind in _NUMBERS:
            if kind is actual.__class__ and value == actual:
                continue
        elif value is None:
            result.inconclusive |= owned is not None
            continue
        child = schema.child(key) if schema is not None else None
        here: LazyPath = (location, key, key, None)
        below = owned
        if owned:
            below = owned.get(f"f:{key}") if value != actual else None  # equal values hold nothing more
        if kind is dict and actual.__class__ is dict and child is not None and dict in child.accepted_types:
            _map(value, actual, child, here, result, below)
        else:
            _field(key, value, live, child, schema, here, result, below)


def _field(
    key: str,
    desired: Json,
    siblings: Mapping[str, Any],
    schema: Schema | None,
    parent: Schema | None,
    here: LazyPath,
    result: WalkResult,
    owned: OwnedFields,
) -> None:
    """One declared field; `siblings` is the live map that it should be in."""
    live = siblings.get(key)
    if schema is None and parent is not None and not parent.preserves_unknown_fields:
        result.inconclusive |= owned is not None
        return  # the server drops what its schema does not name
    if live is None:
        _check_type(desired, schema, here)
        no_bytes = desired == "" and key in siblings and schema is not None and schema.scalar is ScalarType.BYTES
        if not no_bytes and not may_be_dropped(desired, schema, parent, key):  # Go may write no bytes as null
            result.add(here, Change.REMOVED, desired, None)
    elif not desired and desired.__class__ is not dict and replaces_zero_value(desired, live, parent, key, siblings):
        result.inconclusive |= owned is not None
    else:
        _value(desired, live, schema, here, result, owned)


def _may_have_undeclared(
    desired: dict[str, Any], live: dict[str, Any], schema: Schema | None, owned: Mapping[str, Any]
) -> bool:
    """Whether a live field may be undeclared and owned. Who holds a map as a whole holds all but its defaults."""
    for key, value in live.items():
        if key in desired:
            continue
        if owned:
            if f"f:{key}" in owned:
                return True
        elif not is_default(value, schema.child(key) if schema else None, schema, key, live):
            return True
    return False


def _list(
    desired: list[Any],
    live: list[Any],
    schema: Schema | None,
    location: LazyPath | None,
    result: WalkResult,
    owned: OwnedFields,
) -> None:
    if schema is not None and schema.list_type is ListType.MAP:
        _map_list(desired, live, schema, location, result, owned)
        return
    result.inconclusive |= bool(owned) and desired != live
    if schema is not None and schema.list_type is ListType.SET:
        _set(desired, live, location, result)
    elif len(desired) != len(live):
        result.add(location, Change.CHANGED, desired, live)
    else:
        items, inside = schema.items if schema else None, None if owned else owned
        for index, (wanted, actual) in enumerate(zip(desired, live, strict=True)):
            _value(wanted, actual, items, (location, index, index, None), result, inside)


def _map_list(
    desired: list[Any],
    live: list[Any],
    schema: Schema,
    location: LazyPath | None,
    result: WalkResult,
    owned: OwnedFields,
) -> None:
    items = schema.items
    identities, others = schema.identities(desired), schema.identities(live)
    if identities == others and len(set(identities)) == len(identities):  # nearly always: there is nothing to look for
        inside = _owned_items(schema, owned, result) if owned else None
        for index, key in enumerate(identities):
            value, actual = desired[index], live[index]
            below = owned
            if inside is not None:
                below = inside.get(key) if value != actual else None
            _value(value, actual, items, (location, key, index, schema), result, below)
        return
    wanted_at, there_at = _positions(identities), _positions(others)
    result.inconclusive |= owned is not None or len(wanted_at) < len(identities) or len(there_at) < len(others)
    for key, positions in wanted_at.items():
        there = there_at.get(key, [])
        for nth, index in enumerate(positions):
            here: LazyPath = (location, key, index, schema)
            if len(positions) > 1:
                here = (here, nth, None, None)  # a key that stands twice can only be told apart by its order
            if nth < len(there):
                _value(desired[index], live[there[nth]], items, here, result, None)
            else:
                result.add(here, Change.REMOVED, desired[index], None)
        for nth in range(len(positions), len(there)):  # a key that is live more often than declared
            extra: LazyPath = ((location, key, None, schema), nth, None, None)
            result.add(extra, Change.ADDED, None, live[there[nth]])
    common = [key for key in wanted_at if key in there_at]
    order = [key for key in there_at if key in wanted_at]
    if common != order:
        result.add(location, Change.CHANGED, _labels(common, schema), _labels(order, schema))


def _owned_items(
    schema: Schema, owned: Mapping[str, Any], result: WalkResult
) -> Mapping[ItemIdentity, Mapping[str, Any]]:
    """What is owned inside each item of a map list."""
    inside = {item_identity(key, schema): below for key, below in owned.items() if key[:2] == "k:"}
    result.inconclusive |= len(inside) + ("." in owned) < len(owned)  # owned as if it were another type of list
    return inside


def _positions(identities: Sequence[ItemIdentity]) -> dict[ItemIdentity, list[int]]:
    positions: dict[ItemIdentity, list[int]] = {}
    for index, key in enumerate(identities):
        positions.setdefault(key, []).append(index)
    return positions


def _set(desired: list[Any], live: list[Any], location: LazyPath | None, result: WalkResult) -> None:
    for index, value in enumerate(desired):
        if isinstance(value, dict | list):
            if value not in live:
                result.add((location, index, index, None), Change.REMOVED, value, None)
        elif not any(_equal(value, other) for other in live):
            result.add((location, SetValue(value), index, None), Change.REMOVED, value, None)


def _labels(identities: Iterable[ItemIdentity], schema: Schema) -> list[str]:
    return [str(schema.list_key(identity)) for identity in identities]


def _equal(desired: Json, live: Json) -> bool:
    return bool(desired == live) and isinstance(desired, bool) == isinstance(live, bool)


def _equal_scalars(desired: Json, live: Json, schema: Schema | None) -> bool:
    if _equal(desired, live):
        return True
    if schema is None:
        return False
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
    raise SchemaMismatch(
        f"{format_path(resolve_paths(location)[0])}: the cluster's schema wants {_article(str(schema.type))}, Git declares "
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
