"""Fields that are live, that Git does not declare, and that somebody put there.

Whose hand it was comes from managedFields: the API server's defaults, and what admission put in with the deployer's
own request, are nobody's drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from driftd.diff.defaults import is_default
from driftd.diff.deployer import Deployer
from driftd.diff.fields_v1 import item_identity, item_positions, resolve
from driftd.diff.lazy_path import LazyPath, resolve_paths
from driftd.diff.managers import Managers
from driftd.diff.normalise import LAST_APPLIED, SERVER_METADATA
from driftd.diff.ownership import ManagedFieldsEntry, owner_of
from driftd.diff.schema import ListType, Schema
from driftd.diff.walk import item_key, list_items
from driftd.model.drift import Change, FieldDrift, FieldOwner
from driftd.model.path import DocumentPath, FieldPath, SetValue, format_path
from driftd.model.resource import Json, JsonObject

_EMPTY: Mapping[str, Any] = {}
_COLLECTIONS = frozenset({dict, list})
_NOT_RECORDED = frozenset({"apiVersion", "kind", "status"})


@dataclass(frozen=True, slots=True)
class Ownership:
    """What managedFields say of one object: its entries, who deploys it, and who is known by name."""

    kind: str
    api_version: str
    entries: Sequence[ManagedFieldsEntry]
    deployer: Deployer
    managers: Managers
    schema: Schema | None

    @property
    def applied_fields(self) -> Mapping[str, Any] | None:
        """The fields that the deployer holds because it applied them; None where it deploys in another way."""
        own = self.deployer.entry
        return own.fields if own is not None and own.is_apply else None


def undeclared_drift(
    desired: dict[str, Any],
    live: dict[str, Any],
    schema: Schema | None,
    ownership: Ownership,
    *,
    inconclusive: bool = True,
) -> list[FieldDrift]:
    """The undeclared fields that somebody set, each at the topmost value that is wholly undeclared.

    Where the walk over what is declared and `owned.applied` was not `doubtful`, what the deployer applied is declared.
    """
    search = _Search(ownership)
    converted: FieldOwner | None = None
    for entry in ownership.entries:
        if (
            entry.owner.subresource == "status"
            or ownership.managers.is_trusted(entry.owner)
            or ownership.deployer.wrote(entry)
        ):
            continue
        if inconclusive or entry is not ownership.deployer.entry:
            search.search_entry(entry.fields, desired, live, schema, None, _EMPTY, entry.owner)
        if entry.api_version != ownership.api_version:
            converted = entry.owner
    recorded = ownership.deployer.last_applied
    if recorded is not None and (inconclusive or not _still_declared(recorded, desired)):
        search.search_formerly_declared(recorded, desired, live, schema, None)
    if converted is not None or not ownership.entries:
        # Written in another version of the kind, the fields have other names; without managedFields they have none.
        search.search_unowned(desired, live, schema, (), (), converted)
    return list(search.drifts.values())


@dataclass(frozen=True, slots=True)
class _Search:
    ownership: Ownership
    drifts: dict[FieldPath, FieldDrift] = field(default_factory=dict)

    def search_entry(
        self,
        fields: Mapping[str, Any],
        desired: Json,
        live: Json,
        schema: Schema | None,
        trail: LazyPath | None,
        beside: Mapping[str, Any],
        owner: FieldOwner,
    ) -> None:
        """Of the fields that `owner` holds, those that are live and not in `desired`."""
        if live.__class__ is not dict:
            self._search_entry_items(fields, desired, live, schema, trail, beside, owner)
            return
        declared = desired if desired.__class__ is dict else _EMPTY
        for key, below in fields.items():
            name = key[2:]
            wanted = declared.get(name)
            if wanted is not None and not below and wanted.__class__ not in _COLLECTIONS:
                continue  # a declared scalar: the most there is
            actual = live.get(name)
            if actual is None or wanted == actual or key[:2] != "f:":
                continue
            child = schema.child(name) if schema is not None else None
            here = (trail, name, None if wanted is None else name, None)
            self._owned_field(key, below, desired, wanted, actual, child, schema, here, live, owner)

    def _search_entry_items(
        self,
        fields: Mapping[str, Any],
        desired: Json,
        live: Json,
        schema: Schema | None,
        trail: LazyPath | None,
        beside: Mapping[str, Any],
        owner: FieldOwner,
    ) -> None:
        there_live, there_declared = item_positions(live, schema), item_positions(desired, schema)
        for key, below in fields.items():
            here: LazyPath
            if schema is not None and there_live is not None and key[:2] == "k:":
                segment = item_identity(key, schema)
                index = there_live.get(segment)
                if index is None:
                    continue
                at = None if there_declared is None else there_declared.get(segment)
                wanted = None if at is None else desired[at]
                actual, child = live[index], schema.items
                here = (trail, segment, None if wanted is None else at, schema)
            else:
                found, declared = resolve(live, schema, key), resolve(desired, schema, key)
                if found is None:
                    continue
                wanted = None if declared is None else declared.value
                actual, child = found.value, found.schema
                here = (trail, found.segment, None if declared is None or wanted is None else declared.at, None)
            if actual is not None and wanted != actual:
                self._owned_field(key, below, desired, wanted, actual, child, schema, here, beside, owner)

    def _owned_field(
        self,
        key: str,
        below: Mapping[str, Any],
        desired: Json,
        wanted: Json,
        actual: Json,
        schema: Schema | None,
        parent: Schema | None,
        here: LazyPath,
        around: Mapping[str, Any],
        owner: FieldOwner,
    ) -> None:
        """One field that `owner` holds, by its key in the entry; `around` are the live fields beside it."""
        whole = not below and _is_atomic(actual, schema)
        if not below and not whole and (actual or _is_collection(actual, schema)):
            return  # who holds a map, and none of its members
        if wanted is not None:
            if whole:
                path, at = resolve_paths(here)
                self._within_atomic(wanted, actual, schema, path, at, owner)
            else:
                self.search_entry(below, wanted, actual, schema, here, around, owner)
        elif self._is_declared_null(desired, key, owner) or self._is_default(actual, schema, parent, here[1], around):
            return
        elif below and (_is_collection(actual, schema) or "." not in below):
            self.search_entry(below, None, actual, schema, here, around, owner)
        else:
            path, at = resolve_paths(here)
            self._add(path, actual, at, owner)

    def _is_declared_null(self, desired: Json, key: str, owner: FieldOwner) -> bool:
        """Whether the deployer holds a field for the null that Git declares: what the server made of that is live."""
        own = self.ownership.deployer.entry
        return own is not None and owner is own.owner and isinstance(desired, dict) and key[2:] in desired

    def _within_atomic(
        self,
        desired: Json,
        live: Json,
        schema: Schema | None,
        path: FieldPath,
        at: DocumentPath,
        owner: FieldOwner | None,
    ) -> None:
        """A value that has one owner for all of it: what Git does not declare there is that owner's, but defaults."""
        if isinstance(desired, dict) and isinstance(live, dict):
            for key, value in live.items():
                child = schema.child(key) if schema else None
                wanted = desired.get(key)
                if wanted is not None:
                    if not self._is_remainder_default(wanted, value, child, schema, key, live):
                        self._within_atomic(wanted, value, child, (*path, key), (*at, key), owner)
                elif value is not None and not is_default(value, child, schema, key, live):
                    self._add((*path, key), value, at, owner)
        elif isinstance(desired, list) and isinstance(live, list) and len(desired) == len(live):
            items = schema.items if schema else None
            for index, (wanted, actual) in enumerate(zip(desired, live, strict=True)):
                self._within_atomic(wanted, actual, items, (*path, index), (*at, index), owner)

    def _is_remainder_default(
        self, desired: Json, live: Json, schema: Schema | None, parent: Schema | None, key: str, beside: JsonObject
    ) -> bool:
        """Whether what a map has more than declared are defaults, made of the fields beside it."""
        if schema is None or not schema.is_map or not isinstance(desired, dict) or not isinstance(live, dict):
            return False
        rest = {name: value for name, value in live.items() if desired.get(name) is None}
        return bool(rest) and is_default(rest, schema, parent, key, beside)

    def search_formerly_declared(
        self, recorded: JsonObject, desired: Json, live: Json, schema: Schema | None, trail: LazyPath | None
    ) -> None:
        """What `kubectl apply` recorded, Git no longer declares, and is live still."""
        if live.__class__ is not dict:
            return
        declared = desired if desired.__class__ is dict else _EMPTY
        for key, value in recorded.items():
            if value is None or (trail is None and key in _NOT_RECORDED) or key == LAST_APPLIED:
                continue
            wanted = declared.get(key)
            if wanted is not None and value.__class__ not in _COLLECTIONS:
                continue
            actual = live.get(key)
            if actual is None or wanted == actual or (key in SERVER_METADATA and _is_metadata(trail)):
                continue
            child = schema.child(key) if schema is not None else None
            here: LazyPath = (trail, key, None if wanted is None else key, None)
            both = isinstance(value, dict) and isinstance(actual, dict)
            if both and (wanted is not None or _is_collection(actual, child)):
                self.search_formerly_declared(value, wanted, actual, child, here)
            elif isinstance(value, list) and isinstance(actual, list) and child is not None and child.list_keys:
                self._formerly_declared_items(value, wanted, actual, child, here)
            elif child is not None and child.list_type is ListType.SET and isinstance(value, list):
                self._formerly_declared_set(value, wanted, actual, here)
            elif wanted is None and value not in ({}, []) and not is_default(actual, child, schema, key, live):
                self._add_formerly_declared(here, actual)

    def _formerly_declared_items(
        self, recorded: list[Any], desired: Json, live: list[Any], schema: Schema, trail: LazyPath
    ) -> None:
        declared = _list(desired)
        identities = schema.identities(recorded)
        among = identities if recorded == declared else schema.identities(declared)
        at = dict(zip(among, range(len(declared)), strict=True))
        live_items = dict(zip(schema.identities(live), live, strict=True))
        for item, key in zip(recorded, identities, strict=True):
            actual = live_items.get(key)
            if actual is None:
                continue
            index = at.get(key)
            here: LazyPath = (trail, key, index, schema)
            if index is None:
                self._add_formerly_declared(here, actual)
            elif isinstance(item, dict) and declared[index] != actual:
                self.search_formerly_declared(item, declared[index], actual, schema.items, here)

    def _formerly_declared_set(self, recorded: list[Any], desired: Json, live: Json, trail: LazyPath) -> None:
        for value in recorded:
            if isinstance(value, dict | list) or value in _list(desired) or value not in _list(live):
                continue
            self._add_formerly_declared((trail, SetValue(value), None, None), value)

    def search_unowned(
        self,
        desired: Json,
        live: Json,
        schema: Schema | None,
        path: FieldPath,
        at: DocumentPath,
        owner: FieldOwner | None,
    ) -> None:
        """What is live, not declared, no default, and in none of the entries of this version of the kind."""
        if isinstance(desired, dict) and isinstance(live, dict):
            for key, value in live.items():
                if _is_null(value) or (path == ("metadata",) and key == "annotations" and not value):
                    continue
                child = schema.child(key) if schema else None
                wanted = desired.get(key)
                if wanted is not None:
                    self.search_unowned(wanted, value, child, (*path, key), (*at, key), owner)
                elif value.__class__ is dict and _is_collection(value, child):
                    self.search_unowned({}, value, child, (*path, key), at, owner)
                elif value.__class__ is list and child is not None and child.list_type is not ListType.ATOMIC:
                    self._unowned_items([], value, child, (*path, key), at, owner)
                elif not self._is_owned((*path, key)) and not self._is_default(value, child, schema, key, live):
                    self._add((*path, key), value, at, owner)
        elif isinstance(desired, list) and isinstance(live, list) and schema is not None:
            self._unowned_items(desired, live, schema, path, at, owner)

    def _unowned_items(
        self,
        desired: list[Any],
        live: list[Any],
        schema: Schema,
        path: FieldPath,
        at: DocumentPath,
        owner: FieldOwner | None,
    ) -> None:
        if schema.list_type is ListType.MAP:
            wanted = list_items(desired, schema)
            for item in live:
                key = item_key(item, schema)
                if key in wanted:
                    position = wanted[key][0]
                    self.search_unowned(desired[position], item, schema.items, (*path, key), (*at, position), owner)
                elif not self._is_owned((*path, key)):
                    self._add((*path, key), item, at, owner)
        elif schema.list_type is ListType.SET:
            for value in live:
                if value in desired or isinstance(value, dict | list):
                    continue
                if not self._is_owned((*path, SetValue(value))):
                    self._add((*path, SetValue(value)), value, at, owner)
        elif len(desired) == len(live) and not self._is_owned(path):
            self._within_atomic(desired, live, schema, path, at, owner)

    def _is_owned(self, path: FieldPath) -> bool:
        return any(entry.owns(path, self.ownership.schema, partial=True) for entry in self.ownership.entries)

    def _is_default(
        self, value: Json, schema: Schema | None, parent: Schema | None, key: object, beside: Mapping[str, Any]
    ) -> bool:
        return isinstance(key, str) and is_default(value, schema, parent, key, beside)

    def _add_formerly_declared(self, here: LazyPath, value: Json) -> None:
        path, at = resolve_paths(here)
        if path not in self.drifts:
            owner = owner_of(path, self.ownership.entries, self.ownership.schema, partial=True) or self._deployer()
            self._add(path, value, at, owner)

    def _deployer(self) -> FieldOwner:
        by = self.ownership.deployer
        return FieldOwner(by.manager or "kubectl-client-side-apply", by.operation or "Update")

    def _add(self, path: FieldPath, value: Json, at: DocumentPath, owner: FieldOwner | None) -> None:
        if owner is not None and self.ownership.managers.is_trusted(owner, self.ownership.kind, format_path(path)):
            return
        self.drifts[path] = FieldDrift(path, Change.ADDED, None, value, at, owner)


def _is_null(value: Json) -> bool:
    """Null, or a struct in which all is null (`metadata: {creationTimestamp: null}` of a template, as Go wrote it)."""
    return value is None or (isinstance(value, dict) and bool(value) and all(item is None for item in value.values()))


def _is_atomic(value: Json, schema: Schema | None) -> bool:
    """Whether a value has one owner for all of it: a scalar, an atomic list or an atomic map."""
    if not isinstance(value, dict):
        return not isinstance(value, list) or schema is None or schema.list_type is ListType.ATOMIC
    return schema is not None and schema.atomic


def _is_collection(value: Json, schema: Schema | None) -> bool:
    """Whether each part of a value may have an owner of its own: then each is a drift of its own."""
    return isinstance(value, list) or (isinstance(value, dict) and (schema is None or schema.is_map))


def _still_declared(recorded: JsonObject, desired: Mapping[str, Any]) -> bool:
    """Whether what `kubectl apply` recorded is just what is declared now."""
    for key, value in recorded.items():
        if key == "metadata" and isinstance(value, dict):
            named = desired.get("metadata") or _EMPTY
            if any(v != named.get(k) for k, v in value.items() if v != {} and k not in SERVER_METADATA):
                return False
        elif key not in _NOT_RECORDED and value != desired.get(key):
            return False
    return True


def _is_metadata(trail: LazyPath | None) -> bool:
    return trail is not None and trail[0] is None and trail[1] == "metadata"


def _list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []
