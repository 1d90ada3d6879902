"""Who set which field, by `metadata.managedFields`.

Source: KEP-555, and the "FieldsV1" format of structured-merge-diff: `f:NAME` is a field, `k:{KEYS}` an item of a map
list, `v:VALUE` an item of a set, `i:INDEX` an item of another list, `.` the value itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from driftd.diff.schema import Schema
from driftd.diff.values import instant
from driftd.model.drift import FieldOwner
from driftd.model.path import FieldPath, ListKey, Segment, SetValue
from driftd.model.resource import JsonObject

FieldsV1 = Mapping[str, Any]

_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ManagedFieldsEntry:
    """One entry of managedFields: the fields that one manager set by one kind of request.

    `created` says that it is an update of the very second in which the object was made.
    """

    owner: FieldOwner
    api_version: str
    fields: FieldsV1
    at_creation: bool = False

    @property
    def is_apply(self) -> bool:
        return self.owner.operation == "Apply"

    def owns(self, path: FieldPath, schema: Schema | None = None, *, partial: bool = False) -> bool:
        """Whether the entry holds the field at `path`, by itself or as part of a value that has one owner.

        `schema` is the type of the whole object. With `partly`, holding something in the field is enough.
        """
        node: Any = self.fields
        for depth, segment in enumerate(path):
            below = node.get(field_key(segment))
            if below is None:
                return depth > 0 and not node and _is_in_atomic_value(path, depth, schema)
            node = below
        return partial or not node  # who holds members has not set the whole: the order of a list is nobody's


def _is_in_atomic_value(path: FieldPath, depth: int, schema: Schema | None) -> bool:
    """Whether the value at `path[:depth]` is owned as a whole, so that who holds it holds what is in it.

    An empty set of fields may as well be a map of which only the map itself is held, and none of its members.
    """
    if isinstance(path[depth], int):
        return True
    if not isinstance(path[depth], str) or schema is None:
        return False
    for position, segment in enumerate(path[:depth]):
        if isinstance(segment, int) and position and isinstance(path[position - 1], ListKey):
            continue  # which one of those that have the same key
        below = schema.child(segment) if isinstance(segment, str) else schema.items
        if below is None:
            return False
        if below.atomic:
            return True
        schema = below
    return False


def managed_fields(body: JsonObject) -> tuple[ManagedFieldsEntry, ...]:
    """The entries of an object's managedFields, oldest first; those without a time come first."""
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping):
        return ()
    made = metadata.get("creationTimestamp")
    created = instant(made) if isinstance(made, str) else None
    found = []
    for raw in metadata.get("managedFields") or ():
        fields = raw.get("fieldsV1") if isinstance(raw, Mapping) else None
        if not isinstance(fields, Mapping):
            continue
        time = raw.get("time")
        owner = FieldOwner(
            manager=raw.get("manager") or "unknown",
            operation=raw.get("operation") or "Update",
            subresource=raw.get("subresource") or None,
            time=instant(time) if isinstance(time, str) else None,
        )
        first = owner.operation != "Apply" and owner.subresource is None and owner.time == created is not None
        found.append(ManagedFieldsEntry(owner, raw.get("apiVersion") or "", fields, first))
    found.sort(key=lambda entry: entry.owner.time or _EARLIEST)
    return tuple(found)


def owner_of(
    path: FieldPath,
    entries: Sequence[ManagedFieldsEntry],
    schema: Schema | None = None,
    *,
    deployer: ManagedFieldsEntry | None = None,
    partial: bool = False,
) -> FieldOwner | None:
    """Who set the field at `path` last: of several owners the latest, and rather not the one that deploys."""
    owning = [entry for entry in entries if entry.owns(path, schema, partial=partial)]
    if not owning:
        return None
    return next((e for e in reversed(owning) if e is not deployer), owning[-1]).owner


def field_key(segment: Segment) -> str:
    """One segment of a path as FieldsV1 writes it."""
    match segment:
        case str():
            return f"f:{segment}"
        case ListKey():
            return "k:" + _compact(dict(sorted(segment.keys)))
        case SetValue():
            return "v:" + _compact(segment.value)
        case _:
            return f"i:{segment}"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
