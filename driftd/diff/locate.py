"""Locates a field by its path in another form of the same object."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from driftd.diff.typed.fields_v1 import is_scalar, member_key
from driftd.diff.typed.schema import Schema
from driftd.diff.walk import list_items
from driftd.model.path import DocumentPath, FieldPath, ListKey, SetValue
from driftd.model.resource import Json


@dataclass(frozen=True, slots=True)
class LocatedValue:
    """A value and its position."""

    value: Json
    at: DocumentPath


class Locator:
    """Locates many fields in one object: each list is gone through once. One that changes meanwhile is to `forget`."""

    def __init__(self, body: Json, schema: Schema | None) -> None:
        self._body = body
        self._schema = schema
        self._items: dict[int, dict[ListKey, list[int]]] = {}
        self._members: dict[int, dict[Hashable, int]] = {}

    def locate(self, path: FieldPath) -> LocatedValue | None:
        """The value at `path`, or None if there is none."""
        at: list[str | int] = []
        value, schema = self._body, self._schema
        ordinal = False
        positions: list[int] = []
        items: list[Any] = []
        for segment in path:
            if ordinal and isinstance(segment, int):
                # A duplicate list key is followed by the item's number among those with the same key.
                if segment >= len(positions):
                    return None
                value = items[positions[segment]]
                at[-1] = positions[segment]
                ordinal = False
                continue
            ordinal = False
            match segment:
                case str():
                    if not isinstance(value, dict) or value.get(segment) is None:
                        return None
                    at.append(segment)
                    value = value[segment]
                    schema = schema.child(segment) if schema else None
                case ListKey():
                    if not isinstance(value, list) or schema is None or not schema.list_keys:
                        return None
                    positions = self._positions(value, schema).get(segment, [])
                    if not positions:
                        return None
                    items, ordinal = value, True
                    at.append(positions[0])
                    value = value[positions[0]]
                    schema = schema.items
                case _:
                    index = self._index(value, segment)
                    if index is None:
                        return None
                    at.append(index)
                    value = value[index]
                    schema = schema.items if schema else None
        return LocatedValue(value, tuple(at))

    def forget(self, value: list[Any]) -> None:
        """Goes through a list again: it has been changed, or is not part of the object any more."""
        self._items.pop(id(value), None)
        self._members.pop(id(value), None)

    def _positions(self, value: list[Any], schema: Schema) -> dict[ListKey, list[int]]:
        known = self._items.get(id(value))
        if known is None:
            known = self._items[id(value)] = list_items(value, schema)
        return known

    def _index(self, value: Json, segment: int | SetValue) -> int | None:
        if not isinstance(value, list):
            return None
        if not isinstance(segment, SetValue):
            return segment if segment < len(value) else None
        known = self._members.get(id(value))
        if known is None:
            last = len(value) - 1
            scalars = [(member_key(item), last - n) for n, item in enumerate(reversed(value)) if is_scalar(item)]
            known = self._members[id(value)] = dict(scalars)
        return known.get(member_key(segment.value))


def locate(path: FieldPath, body: Json, schema: Schema | None) -> LocatedValue | None:
    """The value at `path` in `body`, or None if there is none."""
    return Locator(body, schema).locate(path)
