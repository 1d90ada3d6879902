"""Locates a field by its path in another form of the same object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from driftd.diff.typed.schema import Schema
from driftd.diff.walk import list_items
from driftd.model.path import DocumentPath, FieldPath, ListKey, SetValue
from driftd.model.resource import Json


@dataclass(frozen=True, slots=True)
class LocatedValue:
    """A value and its position."""

    value: Json
    at: DocumentPath


def locate(path: FieldPath, body: Json, schema: Schema | None) -> LocatedValue | None:
    """The value at `path` in `body`, or None if there is none."""
    at: list[str | int] = []
    value = body
    segments = iter(path)
    ordinal = False
    positions: list[int] = []
    items: list[Any] = []
    for segment in segments:
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
                positions = list_items(value, schema).get(segment, [])
                if not positions:
                    return None
                items, ordinal = value, True
                at.append(positions[0])
                value = value[positions[0]]
                schema = schema.items
            case _:
                index = _index(value, segment)
                if index is None:
                    return None
                at.append(index)
                value = value[index]
                schema = schema.items if schema else None
    return LocatedValue(value, tuple(at))


def _index(value: Json, segment: int | SetValue) -> int | None:
    if not isinstance(value, list):
        return None
    if isinstance(segment, SetValue):
        return next((i for i, item in enumerate(value) if item == segment.value), None)
    return segment if segment < len(value) else None
