"""Validation of an object against its schema, as in server-side apply.

Source: structured-merge-diff, "typed" (validate).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from driftd.sandbox.fields.atoms import ListType, MapType, Ref
from driftd.sandbox.fields.fieldset import FieldPath, PathElement, element_text, path_text
from driftd.sandbox.fields.fieldset import field as field_element
from driftd.sandbox.fields.typed import TypedError, path_element


def validate(value: Any, ref: Ref, *, allow_duplicates: bool = False) -> None:
    """Raises: TypedError: the value is not of the type, names an undeclared field or repeats a list key."""
    mistakes = list(_mistakes(value, ref, (), allow_duplicates))
    if mistakes:
        raise TypedError(mistakes)


def _mistakes(value: Any, ref: Ref, path: FieldPath, duplicates: bool) -> Iterator[str]:
    if value is None:
        return
    atom = ref.resolve().for_value(value)
    if atom.map is not None:
        if isinstance(value, dict):
            yield from _map_mistakes(value, atom.map, path, duplicates)
        else:
            yield _message(path, f"expected map, got {_go_struct(value)}")
    elif atom.scalar is not None:
        if expected := _scalar_mistake(atom.scalar, value):
            yield _message(path, expected)
    elif atom.list is not None:
        if isinstance(value, list):
            yield from _list_mistakes(value, atom.list, path, duplicates)
        else:
            yield _message(path, f"expected list, got {_go_struct(value)}")


def _map_mistakes(value: dict[str, Any], shape: MapType, path: FieldPath, duplicates: bool) -> Iterator[str]:
    for key, child in value.items():
        below = (*path, field_element(key))
        ref = shape.type_of(key)
        if ref is None:
            yield _message(below, "field not declared in schema")
            return
        yield from _mistakes(child, ref, below, duplicates)


def _list_mistakes(value: list[Any], shape: ListType, path: FieldPath, duplicates: bool) -> Iterator[str]:
    seen: set[PathElement] = set()
    for index, child in enumerate(value):
        element = f"i:{index}"
        if not shape.atomic:
            try:
                element = path_element(shape, child)
            except TypedError as error:
                yield _message(path, f"element {index}: {error}")
                return
            if element in seen and not duplicates:
                yield _message(path, f"duplicate entries for key {element_text(element)}")
            seen.add(element)
        yield from _mistakes(child, shape.element, (*path, element), duplicates)


def _scalar_mistake(scalar: str, value: Any) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if scalar == "numeric":
        return None if is_number else f"expected numeric (int or float), got {_go_type(value)}"
    if scalar == "string":
        return (
            None
            if isinstance(value, str)
            else f"expected string, got &value.valueUnstructured{{Value:{_go_value(value)}}}"
        )
    if scalar == "boolean":
        return None if isinstance(value, bool) else f"expected boolean, got {_go_struct(value)}"
    return f"expected any scalar, got {_go_struct(value)}" if isinstance(value, dict | list) else None


def _message(path: FieldPath, text: str) -> str:
    return f"{path_text(path)}: {text}" if path else text


def _go_struct(value: Any) -> str:
    return f"&{{{_go_text(value)}}}"


def _go_text(value: Any) -> str:
    """A value formatted as by Go's %v."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go_text(child)}" for key, child in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go_text, value)) + "]"
    return value if isinstance(value, str) else "<nil>" if value is None else json.dumps(value)


def _go_type(value: Any) -> str:
    names = {str: "string", bool: "bool", dict: "map[string]interface {}", list: "[]interface {}"}
    return names.get(type(value), "interface {}")


def _go_value(value: Any) -> str:
    return f"{value}" if isinstance(value, int | float) else json.dumps(value)
