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

from driftd.diff.values import instant
from driftd.model.drift import FieldOwner
from driftd.model.path import FieldPath, ListKey, Segment, SetValue
from driftd.model.resource import JsonObject

FieldsV1 = Mapping[str, Any]

_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of managedFields: the fields that one manager set by one kind of request."""

    owner: FieldOwner
    api_version: str
    fields: FieldsV1

    @property
    def applies(self) -> bool:
        return self.owner.operation == "Apply"

    def owns(self, path: FieldPath) -> bool:
        """Whether the entry holds the field at `path`, by itself or as part of a value that has one owner."""
        node: Any = self.fields
        for depth, segment in enumerate(path):
            below = node.get(field_key(segment))
            if below is None:
                # An atomic list or map has one owner for all that is in it: it has no members of its own.
                return depth > 0 and not node
            node = below
        return True


def entries(body: JsonObject) -> tuple[Entry, ...]:
    """The entries of an object's managedFields, oldest first; those without a time come first."""
    found = []
    for raw in body.get("metadata", {}).get("managedFields") or ():
        fields = raw.get("fieldsV1")
        if not isinstance(fields, Mapping):
            continue
        time = raw.get("time")
        owner = FieldOwner(
            manager=raw.get("manager") or "unknown",
            operation=raw.get("operation") or "Update",
            subresource=raw.get("subresource") or None,
            time=instant(time) if isinstance(time, str) else None,
        )
        found.append(Entry(owner, raw.get("apiVersion") or "", fields))
    return tuple(sorted(found, key=lambda entry: entry.owner.time or _BEGINNING))


def owner_of(path: FieldPath, among: Sequence[Entry], *, rather_not: str | None = None) -> FieldOwner | None:
    """Who set the field at `path` last: of several owners the latest, and rather not the manager that deploys."""
    owning = [entry for entry in among if entry.owns(path)]
    if not owning:
        return None
    others = [entry for entry in owning if entry.owner.manager != rather_not]
    return (others or owning)[-1].owner


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
