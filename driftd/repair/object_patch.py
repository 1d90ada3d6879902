"""The difference of two versions of an object as a JSON patch: all of it in one write, or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from driftd.diff.typed.schema import Schema
from driftd.model.drift import FieldDrift
from driftd.model.resource import Json, JsonObject
from driftd.repair.restored_object import restored_object

_VERSION = "/metadata/resourceVersion"


def restoring_patch(
    live: JsonObject, declared: JsonObject, fields: Sequence[FieldDrift], schema: Schema | None
) -> list[dict[str, Any]]:
    """The operations that put `fields` of a live object right. Raises: DriftdError, as `restored_object`."""
    return object_patch(live, restored_object(live, declared, fields, schema))


def object_patch(before: JsonObject, after: JsonObject) -> list[dict[str, Any]]:
    """The operations that make `before` into `after`; empty if they are equal. Source: RFC 6902.

    They hold for that version of the object only: the API server refuses the patch of another one as a conflict.
    """
    return _bound(before, list(_operations(before, after, "")))


def ownership_patch(
    before: JsonObject, after: JsonObject, managed_fields: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The same, where the patch also says who owns what, by the entries of `metadata.managedFields`.

    Those of the two objects do not count. What the patch changes itself is the requester's all the same.
    """
    before_only, after_only = (_without_owners(one) for one in (before, after))
    owners = {"op": "add", "path": "/metadata/managedFields", "value": list(managed_fields)}
    return _bound(before, [*_operations(before_only, after_only, ""), owners])


def _without_owners(body: JsonObject) -> JsonObject:
    return {**body, "metadata": {key: value for key, value in body["metadata"].items() if key != "managedFields"}}


def _bound(before: JsonObject, operations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    version = before["metadata"].get("resourceVersion")
    if not operations or version is None:
        return operations
    return [{"op": "replace", "path": _VERSION, "value": version}, *operations]


def _operations(before: Json, after: Json, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [key for key in before if key not in after]:
            yield {"op": "remove", "path": f"{path}/{_escaped(key)}"}
        for key, value in after.items():
            if key not in before:
                yield {"op": "add", "path": f"{path}/{_escaped(key)}", "value": value}
            else:
                yield from _operations(before[key], value, f"{path}/{_escaped(key)}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _operations(old, new, f"{path}/{index}")
    elif before != after or isinstance(before, bool) is not isinstance(after, bool):
        yield {"op": "replace", "path": path, "value": after}


def _escaped(key: str) -> str:
    """A key in a JSON pointer. Source: RFC 6901."""
    return key.replace("~", "~0").replace("/", "~1")
