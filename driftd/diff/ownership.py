"""Field ownership, by `metadata.managedFields`.

Source: KEP-555, and the "FieldsV1" format of structured-merge-diff: `f:NAME` is a field, `k:{KEYS}` an item of a map
list, `v:VALUE` an item of a set, `i:INDEX` an item of another list, `.` the value itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from driftd.diff.normalise import is_secret
from driftd.diff.typed.schema import Schema
from driftd.diff.typed.values import instant
from driftd.model.drift import FieldOwner
from driftd.model.path import FieldPath, ListKey, Segment, SetValue
from driftd.model.resource import JsonObject

FieldsV1 = Mapping[str, Any]

_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ManagedFieldsEntry:
    """One entry of managedFields: the fields that one manager owns by one operation.

    `at_creation` is set for an Update in the same second in which the object was created.
    """

    owner: FieldOwner
    api_version: str
    fields: FieldsV1
    at_creation: bool = False

    @property
    def is_apply(self) -> bool:
        return self.owner.operation == "Apply"

    def owns(self, path: FieldPath, schema: Schema | None = None, *, partial: bool = False) -> bool:
        """Whether the entry owns the field at `path`, by itself or as part of an atomic value.

        `schema` is the type of the whole object. With `partial`, owning a part of the field is enough.
        """
        node: Any = self.fields
        for depth, segment in enumerate(path):
            child = node.get(field_key(segment))
            if child is None:
                return depth > 0 and not node and _is_in_atomic_value(path, depth, schema)
            node = child
        return partial or not node  # an owner of members has not set the whole: the order of a list has no owner


def _is_in_atomic_value(path: FieldPath, depth: int, schema: Schema | None) -> bool:
    """Whether the value at `path[:depth]` is owned as a whole, so that its owner owns all of its contents.

    The schema has to tell: an empty set of fields may also mean a map that is owned without any of its members.
    """
    if isinstance(path[depth], int):
        return True
    if not isinstance(path[depth], str) or schema is None:
        return False
    for position, segment in enumerate(path[:depth]):
        if isinstance(segment, int) and position and isinstance(path[position - 1], ListKey):
            continue  # the number of an item among those with the same key
        child = schema.child(segment) if isinstance(segment, str) else schema.items
        if child is None:
            return False
        if child.atomic:
            return True
        schema = child
    return False


def managed_fields(body: JsonObject) -> tuple[ManagedFieldsEntry, ...]:
    """The entries of an object's managedFields, oldest first, those without a time before all others."""
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping):
        return ()
    timestamp = metadata.get("creationTimestamp")
    created = instant(timestamp) if isinstance(timestamp, str) else None
    entries = []
    for raw in metadata.get("managedFields") or ():
        fields = raw.get("fieldsV1") if isinstance(raw, Mapping) else None
        if not isinstance(fields, Mapping):
            continue
        if "f:stringData" in fields and is_secret(body):
            fields = _with_string_data_as_data(fields)
        time = raw.get("time")
        owner = FieldOwner(
            manager=raw.get("manager") or "unknown",
            operation=raw.get("operation") or "Update",
            subresource=raw.get("subresource") or None,
            time=instant(time) if isinstance(time, str) else None,
        )
        at_creation = owner.operation != "Apply" and owner.subresource is None and owner.time == created is not None
        entries.append(ManagedFieldsEntry(owner, raw.get("apiVersion") or "", fields, at_creation))
    entries.sort(key=lambda entry: entry.owner.time or _EARLIEST)
    return tuple(entries)


def _with_string_data_as_data(fields: FieldsV1) -> FieldsV1:
    """The fields of a Secret whose manager applied `stringData`: it is written only, and stored as `data`."""
    rest = {key: below for key, below in fields.items() if key != "f:stringData"}
    return {**rest, "f:data": {**rest.get("f:data", {}), **fields["f:stringData"]}}


def owner_of(
    path: FieldPath,
    entries: Sequence[ManagedFieldsEntry],
    schema: Schema | None = None,
    *,
    deployer: ManagedFieldsEntry | None = None,
    partial: bool = False,
) -> FieldOwner | None:
    """The owner of the field at `path`: of several the latest, and the deployer only if there is no other."""
    owning = [entry for entry in entries if entry.owns(path, schema, partial=partial)]
    if not owning:
        return None
    return next((e for e in reversed(owning) if e is not deployer), owning[-1]).owner


def field_key(segment: Segment) -> str:
    """The FieldsV1 key of a path segment."""
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
