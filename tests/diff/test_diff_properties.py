"""For any object and any type: equal objects are in sync, and every single mutation is found at its path."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from driftd.diff.typed.schema import ListType, Schema
from driftd.diff.walk import declared_drift, item_key
from driftd.model.drift import Status
from driftd.model.path import FieldPath, SetValue, format_path
from tests.diff.objects import JsonObject, custom_schema, deployed, thing, verdict

NAMES = st.sampled_from(["a", "b", "c", "d.e/f", "g h"])
SCALARS: dict[str, Any] = {
    "string": st.text(max_size=5), "integer": st.integers(-9, 9), "boolean": st.booleans(),
    "number": st.floats(allow_nan=False, allow_infinity=False, width=16),
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)


def _structs(inner: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    fields = st.dictionaries(NAMES, inner, min_size=1, max_size=4)
    return fields.map(lambda properties: {"type": "object", "properties": properties})


def _map_lists(inner: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    def of(properties: JsonObject) -> JsonObject:
        items = {"type": "object", "properties": {**properties, "k": {"type": "string"}}, "required": ["k"]}
        return {"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}

    return st.dictionaries(NAMES, inner, max_size=3).map(of)


SCHEMAS: st.SearchStrategy[JsonObject] = st.recursive(
    st.sampled_from([{"type": name} for name in SCALARS]),
    lambda inner: st.one_of(
        _structs(inner),
        _map_lists(inner),
        inner.map(lambda items: {"type": "array", "items": items}),
        inner.map(lambda items: {"type": "object", "additionalProperties": items}),
        st.just({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
    ),
    max_leaves=12,
)


def _values(raw: JsonObject) -> st.SearchStrategy[Any]:
    """Values of a schema."""
    kind = raw["type"]
    if kind in SCALARS:
        result: st.SearchStrategy[Any] = SCALARS[kind]
        return result
    if kind == "array":
        if raw.get("x-kubernetes-list-type") == "set":
            return st.lists(st.text(max_size=3), max_size=4, unique=True)
        if raw.get("x-kubernetes-list-type") == "map":
            properties = {k: _values(v) for k, v in raw["items"]["properties"].items() if k != "k"}
            item = st.fixed_dictionaries({"k": st.sampled_from("wxyz")}, optional=properties)
            return st.lists(item, max_size=4, unique_by=lambda one: one["k"])
        return st.lists(_values(raw["items"]), max_size=3)
    if "additionalProperties" in raw:
        return st.dictionaries(NAMES, _values(raw["additionalProperties"]), max_size=3)
    return st.fixed_dictionaries({}, optional={k: _values(v) for k, v in raw["properties"].items()})


@st.composite
def typed(draw: st.DrawFn) -> tuple[Schema, Any]:
    """A schema and a value of it."""
    raw = draw(SCHEMAS)
    return custom_schema({"type": "object", "properties": {"v": raw}}), draw(_values(raw))


@given(typed())
@settings(max_examples=150, deadline=None)
def test_an_object_equals_itself(case: tuple[Schema, Any]) -> None:
    """For random schemas and objects, `compare(x, x)` is empty: also when somebody applied it."""
    schema, value = case
    assert declared_drift(thing({"v": value}), copy.deepcopy(thing({"v": value})), schema) == []
    body = thing({"v": value})
    assert verdict(body, deployed(body, schema), schema).status is Status.IN_SYNC
    assert verdict(body, deployed(body, schema, "helm", "Update"), schema).status is Status.IN_SYNC


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_any_json_equals_itself_without_a_schema(value: Any) -> None:
    """And is never too strange to be walked."""
    assert declared_drift({"spec": value}, {"spec": copy.deepcopy(value)}, None) == []


@given(JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_any_two_objects_can_be_compared(one: Any, other: Any) -> None:
    """Whatever is declared and live, the result is a verdict."""
    for schema in (None, custom_schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})):
        result = verdict(thing(one), thing(other), schema)
        assert result.status in (Status.IN_SYNC, Status.DRIFTED, Status.UNKNOWN)


@given(JSON)
@settings(max_examples=80, deadline=None)
def test_any_metadata_that_is_live_can_be_read(value: Any) -> None:
    """Annotations, owners and managedFields of whatever shape."""
    live = thing({})
    live["metadata"] |= {
        "managedFields": [value, {"fieldsV1": value}],
        "annotations": value,
        "creationTimestamp": value,
    }
    assert verdict(thing({}), live, None).status in (Status.IN_SYNC, Status.DRIFTED, Status.UNKNOWN)


def _places(value: Any, schema: Schema | None, path: FieldPath = ()) -> list[tuple[Any, Any, FieldPath]]:
    """`(container, key, path)` of every declared field."""
    result: list[tuple[Any, Any, FieldPath]] = []
    if isinstance(value, dict):
        for key, item in value.items():
            child = schema.child(key) if schema else None
            result += [(value, key, (*path, key)), *_places(item, child, (*path, key))]
    elif isinstance(value, list) and schema is not None:
        for index, item in enumerate(value):
            if schema.list_type is ListType.MAP:
                here: FieldPath = (*path, item_key(item, schema))
            elif schema.list_type is ListType.SET:
                here = (*path, SetValue(item))
            else:
                here = (*path, index)
            result += [(value, index, here), *_places(item, schema.items, here)]
    return result


def _near(path: str, other: str) -> bool:
    shorter, longer = sorted((path, other), key=len)
    return longer.startswith(shorter)


@given(typed(), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_every_single_mutation_is_found_at_its_path(case: tuple[Schema, Any], data: st.DataObject) -> None:
    """A declared value that changed, or went: exactly that is reported, and nothing else."""
    schema, value = case
    desired = thing({"v": value})
    live = copy.deepcopy(desired)
    spec = schema.child("spec")
    places = _places(live["spec"], spec)
    container, key, path = data.draw(st.sampled_from(places))
    before = container[key]
    if data.draw(st.booleans()):
        del container[key]
    else:
        other = _mutated(before)
        assume(other is not None)
        container[key] = other
    result = declared_drift(desired, live, schema)
    assert result, format_path(path)
    assert all(_near(format_path(("spec", *path)), format_path(drift.path)) for drift in result) or isinstance(
        container, list
    )


def _mutated(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case _:
            return None
