"""What one write has changed in an object's managedFields: who has made it, and which fields lost their last owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftd.diff.ownership import ManagedFieldsEntry, managed_fields
from driftd.model.drift import FieldOwner
from driftd.model.resource import JsonObject

Keys = tuple[str, ...]
"""The path of a field in FieldsV1."""


@dataclass(frozen=True, slots=True)
class OwnerChanges:
    """What differs between two versions of an object, without its status.

    `lost` are the fields that lost their last owner, `owners` those whose entries are new or have grown, `earlier` the
    owners of all entries before.
    """

    lost: frozenset[Keys] = frozenset()
    owners: tuple[FieldOwner, ...] = ()
    earlier: tuple[FieldOwner, ...] = ()


def owner_changes(before: JsonObject, after: JsonObject) -> OwnerChanges:
    """The changes from one version of an object to a later one."""
    old, new = _object_entries(before), _object_entries(after)
    fields_before = {(entry.owner, entry.api_version): entry.fields for entry in old}
    owners = tuple(entry.owner for entry in new if _is_new_or_grown(entry, fields_before))
    return OwnerChanges(lost_fields(old, new), owners, tuple(entry.owner for entry in old))


def _object_entries(body: JsonObject) -> list[ManagedFieldsEntry]:
    return [entry for entry in managed_fields(body) if entry.owner.subresource != "status"]


def _entry_key(entry: ManagedFieldsEntry) -> tuple[str, str, str | None, str]:
    """The identity of a managedFields entry, without its time."""
    return entry.owner.manager, entry.owner.operation, entry.owner.subresource, entry.api_version


def _is_new_or_grown(
    entry: ManagedFieldsEntry, fields_before: Mapping[tuple[FieldOwner, str], Mapping[str, Any]]
) -> bool:
    """Whether the entry has another time than before, or has gained a field: another manager's write may remove one."""
    before = fields_before.get((entry.owner, entry.api_version))
    return before is None or any(True for _ in _fields_beyond(entry.fields, before, ()))


def lost_fields(before: Sequence[ManagedFieldsEntry], after: Sequence[ManagedFieldsEntry]) -> frozenset[Keys]:
    """The fields that had an owner before and have none after."""
    fields_after = {_entry_key(entry): entry.fields for entry in after}
    removed = [
        path for entry in before for path in _fields_beyond(entry.fields, fields_after.get(_entry_key(entry)), ())
    ]
    return frozenset(path for path in removed if not any(_has(entry.fields, path) for entry in after))


def _fields_beyond(fields: Mapping[str, Any], others: Mapping[str, Any] | None, above: Keys) -> Iterator[Keys]:
    """The fields that are owned in `fields` and not in `others`. Equal subtrees, mostly nearly all, are not walked."""
    if fields == others:
        return
    for key, below in fields.items():
        if key == ".":
            if not _is_owned(others):
                yield above
            continue
        other = others.get(key) if others is not None else None
        if below:
            yield from _fields_beyond(below, other, (*above, key))
        elif not _is_owned(other):
            yield (*above, key)


def _has(fields: Mapping[str, Any], path: Keys) -> bool:
    """Whether the field at a path is owned."""
    at: Mapping[str, Any] | None = fields
    for key in path:
        at = at.get(key) if at is not None else None
    return _is_owned(at)


def _is_owned(fields: Mapping[str, Any] | None) -> bool:
    """Whether a FieldsV1 node says that the field itself is owned, and not only fields below it."""
    return fields is not None and (not fields or "." in fields)
