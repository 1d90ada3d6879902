"""Taking fields out of a live object that Git does not declare: server-side apply leaves what it does not own.

One JSON patch that first tests the resource version, so that it takes out what was looked at or nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from driftd.diff.schema import Schema
from driftd.diff.walk import item_key
from driftd.kube.connection import Cluster
from driftd.kube.discovery import ApiResource
from driftd.kube.json_patch import json_patch
from driftd.model.path import FieldPath, ListKey, SetValue
from driftd.model.resource import Json, JsonObject
from driftd.reconcile.app import FIELD_MANAGER


async def remove_fields(
    cluster: Cluster, resource: ApiResource, live: JsonObject, paths: Sequence[FieldPath], schema: Schema | None
) -> JsonObject:
    """The object after the fields at `paths` were removed; those that are not there any more are passed over.

    Raises: Invalid, if the object has changed since `live` was read; KubeError.
    """
    pointers = [p for path in paths if (p := _pointer(path, live, schema)) is not None]
    if not pointers:
        return live
    metadata = live["metadata"]
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    ]
    # From the back, so that taking out one item of a list does not move the next.
    operations += [{"op": "remove", "path": _text(p)} for p in sorted(pointers, key=_order, reverse=True)]
    answer: JsonObject = await json_patch(
        cluster, resource, metadata.get("namespace"), metadata["name"], operations, field_manager=FIELD_MANAGER
    )
    return answer


Pointer = tuple[str | int, ...]


def _pointer(path: FieldPath, live: Json, schema: Schema | None) -> Pointer | None:
    """The position of a field in a live object, or None if it is not there."""
    pointer: list[str | int] = []
    value = live
    for segment in path:
        found: str | int | None = None
        if isinstance(segment, str):
            found = segment if isinstance(value, dict) and segment in value else None
        elif isinstance(value, list):
            found = next((i for i, item in enumerate(value) if _is(i, item, segment, schema)), None)
        if found is None:
            return None
        pointer.append(found)
        value = value[found]
        if schema is not None:
            schema = schema.child(found) if isinstance(found, str) else schema.items
    return tuple(pointer)


def _is(index: int, item: Json, segment: int | ListKey | SetValue, schema: Schema | None) -> bool:
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
    """Source: RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in pointer)
