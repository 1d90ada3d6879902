"""Removal of undeclared fields from a live object: server-side apply leaves fields that it does not own.

One JSON patch that tests the identity of every list item on the way, so that it removes exactly the fields that were
read or nothing, whatever else of the object (its status, say) has changed in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from driftd.diff.typed.schema import Schema
from driftd.diff.walk import item_key
from driftd.kube.discovery import ApiResource
from driftd.kube.objects import FIELD_MANAGER, json_patch
from driftd.kube.rest_client import Cluster
from driftd.model.path import FieldPath, ListKey, SetValue
from driftd.model.resource import Json, JsonObject

Pointer = tuple[str | int, ...]


@dataclass(slots=True)
class _LocatedField:
    """The pointer to a field in the live object, and the tests for the identity of the list items on the way."""

    pointer: Pointer = ()
    tests: dict[Pointer, Json] = field(default_factory=dict)


async def remove_fields(
    cluster: Cluster, resource: ApiResource, live: JsonObject, paths: Sequence[FieldPath], schema: Schema | None
) -> JsonObject:
    """The object after the fields at `paths` were removed; fields that do not exist any more are skipped.

    Raises: Invalid: a list on the way has changed since `live` was read; KubeError.
    """
    operations = removal_patch(live, paths, schema)
    if not operations:
        return live
    metadata = live["metadata"]
    patched: JsonObject = await json_patch(
        cluster, resource, metadata.get("namespace"), metadata["name"], operations, field_manager=FIELD_MANAGER
    )
    return patched


def removal_patch(live: JsonObject, paths: Sequence[FieldPath], schema: Schema | None) -> list[dict[str, Any]]:
    """The operations of the JSON patch; empty if none of the fields exists. Source: RFC 6902."""
    located = [field for path in paths if (field := _locate(path, live, schema)) is not None]
    tests = {pointer: value for field in located for pointer, value in field.tests.items()}
    # From the back, so that removing one item of a list does not move the next.
    pointers = sorted({field.pointer for field in located}, key=_order, reverse=True)
    return [{"op": "test", "path": _text(pointer), "value": value} for pointer, value in tests.items()] + [
        {"op": "remove", "path": _text(pointer)} for pointer in pointers
    ]


def _locate(path: FieldPath, live: Json, schema: Schema | None) -> _LocatedField | None:
    located = _LocatedField()
    value = live
    for segment in path:
        part: str | int | None = None
        if isinstance(segment, str):
            part = segment if isinstance(value, dict) and segment in value else None
        elif isinstance(value, list):
            part = next((i for i, item in enumerate(value) if _matches(i, item, segment, schema)), None)
        if part is None:
            return None
        value = value[part]
        located.pointer = (*located.pointer, part)
        if isinstance(segment, ListKey):
            located.tests |= {(*located.pointer, name): value[name] for name, _ in segment.keys if name in value}
        elif not isinstance(segment, str):
            located.tests[located.pointer] = value
        if schema is not None:
            schema = schema.child(part) if isinstance(part, str) else schema.items
    return located


def _matches(index: int, item: Json, segment: int | ListKey | SetValue, schema: Schema | None) -> bool:
    match segment:
        case ListKey() if schema is not None and schema.list_keys:
            return item_key(item, schema) == segment
        case ListKey():
            return isinstance(item, dict) and all(item.get(name) == value for name, value in segment.keys)
        case SetValue():
            return bool(item == segment.value)
        case _:
            return index == segment


def _order(pointer: Pointer) -> tuple[tuple[int, str], ...]:
    return tuple((part, "") if isinstance(part, int) else (0, part) for part in pointer)


def _text(pointer: Pointer) -> str:
    """The pointer as a string. Source: RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in pointer)
