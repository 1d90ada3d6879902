"""Structural schemas of CRDs: pruning, defaulting and validation.

CEL rules (`x-kubernetes-validations`) are not evaluated.
Source: k8s.io/apiextensions-apiserver/pkg/apiserver/{schema,validation}.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from driftd.sandbox.fields.comparing import same
from driftd.sandbox.status import Cause, format_value

Schema = Mapping[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_EMBEDDED = {"apiVersion", "kind", "metadata"}


def prune(value: Any, schema: Schema, path: str = "", *, root: bool = True) -> tuple[Any, list[str]]:
    """Returns: the value without undeclared fields, and the paths of those fields."""
    unknown: list[str] = []
    return _prune(value, schema, path, unknown, root=root), unknown


def _prune(value: Any, schema: Schema, path: str, unknown: list[str], *, root: bool = False) -> Any:
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [_prune(child, items, f"{path}[{i}]", unknown) for i, child in enumerate(value)]
    if not isinstance(value, dict):
        return value
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    preserve = schema.get("x-kubernetes-preserve-unknown-fields") is True
    embedded = root or schema.get("x-kubernetes-embedded-resource") is True
    result = {}
    for key, child in value.items():
        below = f"{path}.{key}" if path else key
        if key in properties and not (embedded and key in _EMBEDDED):
            result[key] = _prune(child, properties[key], below, unknown)
        elif embedded and key in _EMBEDDED:
            result[key] = child
        elif isinstance(additional, dict):
            result[key] = _prune(child, additional, below, unknown)
        elif additional is True or preserve:
            result[key] = child
        else:
            unknown.append(below)
    return result


def default(value: Any, schema: Schema) -> Any:
    """The value with the schema's defaults; null is dropped where the schema has a default and is not nullable."""
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [default(child, items) for child in value]
    if not isinstance(value, dict):
        return value
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    result = dict(value)
    for key, member in properties.items():
        if result.get(key, member) is None and not member.get("nullable"):
            del result[key]  # null means unset
        if "default" in member and key not in result:
            result[key] = copy.deepcopy(member["default"])
        if key in result:
            result[key] = default(result[key], member)
    if isinstance(additional, dict):
        for key in result.keys() - properties.keys():
            result[key] = default(result[key], additional)
    return result


def mistakes(value: Any, schema: Schema, path: str = "", *, root: bool = False) -> Iterator[Cause]:
    """Violations of the schema."""
    if value is None:
        if not schema.get("nullable") and schema.get("type") and not root:
            yield Cause(
                "FieldValueTypeInvalid",
                f'Invalid value: "null": {path} in body must be of type {schema["type"]}: "null"',
                path,
            )
        return
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield _wrong_type(path, "integer,string", value)
        return
    if kind and not _is(value, kind):
        yield _wrong_type(path, kind, value)
        return
    yield from _scalar_mistakes(value, schema, path)
    if isinstance(value, dict):
        yield from _object_mistakes(value, schema, path, root=root)
    elif isinstance(value, list):
        items = schema.get("items") or {}
        for index, child in enumerate(value):
            yield from mistakes(child, items, f"{path}[{index}]")
        yield from _duplicates(value, schema, path)
    yield from _combined(value, schema, path)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _wrong_type(path: str, kind: str, value: Any) -> Cause:
    type_name = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}[
        type(value)
    ]
    return Cause(
        "FieldValueTypeInvalid",
        f'Invalid value: "{type_name}": {path} in body must be of type {kind}: "{type_name}"',
        path,
    )


def _object_mistakes(value: dict[str, Any], schema: Schema, path: str, *, root: bool) -> Iterator[Cause]:
    for key in schema.get("required") or ():
        if key not in value:
            yield Cause.required(f"{path}.{key}" if path else key)
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    for key, child in value.items():
        if root and key in _EMBEDDED:
            continue
        below = f"{path}.{key}" if path else key
        if key in properties:
            yield from mistakes(child, properties[key], below)
        elif isinstance(additional, dict):
            yield from mistakes(child, additional, below)


def _scalar_mistakes(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    if "enum" in schema and not any(same(value, allowed) for allowed in schema["enum"]):
        names = ", ".join(format_value(allowed) for allowed in schema["enum"])
        yield Cause(
            "FieldValueNotSupported", f"Unsupported value: {format_value(value)}: supported values: {names}", path
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and (value < low or (schema.get("exclusiveMinimum") and value == low)):
            comparison = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
            yield Cause.invalid(path, value, f"{path} in body should be {comparison} {low}")
        if high is not None and (value > high or (schema.get("exclusiveMaximum") and value == high)):
            comparison = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
            yield Cause.invalid(path, value, f"{path} in body should be {comparison} {high}")
        if (step := schema.get("multipleOf")) and value % step:
            yield Cause.invalid(path, value, f"{path} in body should be a multiple of {step}")
        return
    sizes = list(_size_mistakes(value, schema, path))
    yield from sizes
    pattern = schema.get("pattern")
    if not sizes and isinstance(value, str) and pattern and not re.search(pattern, value):
        yield Cause.invalid(path, value, f"{path} in body should match '{pattern}'")


def _size_mistakes(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    kinds: dict[type, str] = {str: "Length", list: "Items", dict: "Properties"}
    suffix = kinds.get(type(value))
    if suffix is None:
        return
    unit = {"Length": "chars long", "Items": "items", "Properties": "properties"}[suffix]
    low, high = schema.get(f"min{suffix}"), schema.get(f"max{suffix}")
    if low is not None and len(value) < low:
        verb = "be at least" if suffix == "Length" else "have at least"
        yield Cause.invalid(path, value, f"{path} in body should {verb} {low} {unit}")
    if high is not None and len(value) > high:
        if suffix == "Length":
            yield Cause("FieldValueTooLong", f"Too long: may not be more than {high} bytes", path)
        else:
            yield Cause("FieldValueTooMany", f"Too many: {len(value)}: must have at most {high} items", path)


def _duplicates(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("set", "map"):
        return
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    seen: list[Any] = []
    for index, child in enumerate(value):
        name = {key: child.get(key) for key in keys} if kind == "map" and isinstance(child, dict) else child
        if name in seen:
            yield Cause("FieldValueDuplicate", f"Duplicate value: {format_value(name)}", f"{path}[{index}]")
        seen.append(name)


def _combined(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    for part in schema.get("allOf") or ():
        yield from mistakes(value, part, path)
    if (options := schema.get("anyOf")) and not any(_fits(value, option) for option in options):
        yield Cause.invalid(path, value, f"{path} in body must validate at least one schema (anyOf)")
    if (options := schema.get("oneOf")) and sum(_fits(value, option) for option in options) != 1:
        yield Cause.invalid(path, value, f"{path} in body must validate one and only one schema (oneOf)")
    if "not" in schema and _fits(value, schema["not"]):
        yield Cause.invalid(path, value, f"{path} in body must not validate the schema (not)")


def _fits(value: Any, schema: Schema) -> bool:
    return next(mistakes(value, schema), None) is None


def has_rules(schema: Any) -> bool:
    """Whether a schema has CEL rules at any level."""
    if isinstance(schema, dict):
        return "x-kubernetes-validations" in schema or any(has_rules(child) for child in schema.values())
    return isinstance(schema, list) and any(has_rules(child) for child in schema)
