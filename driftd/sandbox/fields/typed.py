"""Typed objects: keys of list items, and field sets.

Source: structured-merge-diff, "typed" (helpers, tofieldset); "fieldpath" (EnsureNamedFieldsAreMembers).
"""

from __future__ import annotations

from typing import Any

from driftd.sandbox.fields.atoms import Atom, ListType, MapType, Ref
from driftd.sandbox.fields.fieldset import EMPTY, FieldSet, PathElement
from driftd.sandbox.fields.fieldset import field as field_element
from driftd.sandbox.fields.fieldset import item as item_element
from driftd.sandbox.fields.fieldset import value as value_element


class TypedError(Exception):
    """An object does not match its schema. The text is the API server's."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__(mistakes[0] if len(mistakes) == 1 else "\n  ".join(["errors:", *mistakes]))


class _Absent:
    """The value of an absent field, as distinct from null."""


ABSENT = _Absent()


def as_kind(value: Any, kind: type) -> Any:
    """The value if it is of the type `kind`, else None."""
    return value if isinstance(value, kind) else None


def path_element(shape: ListType, child: Any) -> PathElement:
    """The path element of an item of a set or map list.

    Raises: TypedError: the item is null, of a wrong type, or has none of the keys.
    """
    return _keyed_item(shape, child) if shape.keys else _set_item(child)


def _set_item(child: Any) -> PathElement:
    if isinstance(child, dict):
        raise TypedError(["associative list without keys has an element that's a map type"])
    if isinstance(child, list):
        raise TypedError(["not supported: associative list with lists as elements"])
    if child is None:
        raise TypedError(["associative list without keys has an element that's an explicit null"])
    return value_element(child)


def _keyed_item(shape: ListType, child: Any) -> PathElement:
    if child is None:
        raise TypedError(["associative list with keys may not have a null element"])
    if not isinstance(child, dict):
        raise TypedError(["associative list with keys may not have non-map elements"])
    inner = shape.element.resolve().map
    defaults = inner.defaults if inner is not None else {}
    values = {name: child.get(name, defaults.get(name)) for name in shape.keys}
    keys = {name: key for name, key in values.items() if key is not None or name in child}
    if not keys:
        names = " ".join(f'"{name}"' for name in shape.keys)
        text = f"associative list with keys has an element that omits all key fields [{names}] "
        raise TypedError([f"{text}(and doesn't have default values for any key fields)"])
    return item_element(keys)


def field_set(value: Any, ref: Ref) -> FieldSet:
    """The fields of an object."""
    return _fields(value, ref)[0]


def _fields(value: Any, ref: Ref) -> tuple[FieldSet, bool]:
    """The fields below a value, and whether the value itself is a leaf."""
    atom = ref.resolve().for_value(value)
    if atom.map is not None:
        if atom.map.atomic:
            return EMPTY, True
        return (_map_fields(value, atom.map), False) if isinstance(value, dict) else (EMPTY, False)
    if atom.scalar is not None:
        return EMPTY, True
    if atom.list is not None:
        if atom.list.atomic:
            return EMPTY, True
        return (_list_fields(value, atom.list), False) if isinstance(value, list) else (EMPTY, False)
    return EMPTY, False


def _map_fields(value: dict[str, Any], shape: MapType) -> FieldSet:
    result = FieldSet()
    for key, child in value.items():
        ref = shape.type_of(key)
        if ref is None:
            continue
        element = field_element(key)
        below, leaf = _fields(child, ref)
        if leaf or child is None or child == {} or key not in shape.fields:
            result.members.add(element)
        if below:
            result.children[element] = below
    return result


def _list_fields(value: list[Any], shape: ListType) -> FieldSet:
    result = FieldSet()
    elements = [path_element(shape, child) for child in value]
    for element, child in zip(elements, value, strict=True):
        result.members.add(element)
        if elements.count(element) == 1:
            below, _ = _fields(child, shape.element)
            if below:
                result.children[element] = below
    return result


def with_named_fields(fields: FieldSet, ref: Ref | None) -> FieldSet:
    """The set with the declared fields that are ancestors of its paths added as members."""
    atom = ref.resolve() if ref is not None else _EMPTY_ATOM
    members = set(fields.members)
    children: dict[PathElement, FieldSet] = {}
    for element, child in fields.children.items():
        below: Ref | None = None
        if element[0] == "f" and atom.map is not None:
            name = element[2:]
            below = atom.map.type_of(name)
            if name in atom.map.fields:
                members.add(element)
        elif element[0] == "k" and atom.list is not None:
            below = atom.list.element
        children[element] = with_named_fields(child, below)
    return FieldSet(members, children)


_EMPTY_ATOM = Atom()
