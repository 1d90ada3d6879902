"""Finds live fields that Git does not declare and that somebody set, by managedFields.

The API server's defaults are no drift, and neither is what admission may have added to the deployer's own requests. A
value that nobody owns is looked at as well: a zero, a conversion and a hand can lose its owner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from driftd.diff.deployer import Deployer
from driftd.diff.normalise import LAST_APPLIED, SERVER_METADATA
from driftd.diff.ownership import ManagedFieldsEntry, owner_of
from driftd.diff.rules.field_managers import Managers
from driftd.diff.typed.defaults import is_default
from driftd.diff.typed.fields_v1 import item_identity, item_positions, resolve
from driftd.diff.typed.lazy_path import LazyPath, resolve_paths
from driftd.diff.typed.schema import ListType, Schema
from driftd.diff.walk import item_key, list_items
from driftd.model.drift import Change, FieldDrift, FieldOwner
from driftd.model.path import DocumentPath, FieldPath, SetValue, format_path
from driftd.model.resource import Json, JsonObject

_EMPTY: Mapping[str, Any] = {}
_COLLECTIONS = frozenset({dict, list})
_RIGHTS = frozenset({"hostPID", "hostIPC", "hostNetwork", "hostPath", "privileged"})
_NOT_RECORDED = frozenset({"apiVersion", "kind", "status"})


@dataclass(frozen=True, slots=True)
class Ownership:
    """Field ownership of one object: its managedFields entries, its deployer, and the known managers.

    `admission` tells whether the cluster has admission of its own that may change such an object.
    """

    kind: str
    api_version: str
    entries: Sequence[ManagedFieldsEntry]
    deployer: Deployer
    managers: Managers
    schema: Schema | None
    admission: bool = False

    @property
    def requesters(self) -> tuple[FieldOwner, ...]:
        """The owners of what came with the deployer's own requests, or the creator's: admission may share it."""
        return tuple(entry.owner for entry in self.entries if self.deployer.wrote(entry, self.managers))

    def may_be_admissions(self, owner: FieldOwner | None, path: FieldPath, value: Json) -> bool:
        """Whether admission may have set a field of this owner; None for one that nobody owns.

        What admission sets at the creation, nobody owns. But neither does anybody own `replicas` once an object was
        scaled to none: a switch or a size of the object is looked at all the same.
        """
        if owner is None:
            is_size = len(path) == 2 and path[0] == "spec" and not isinstance(value, dict | list)
            return self.admission and not is_size
        return self.admission and owner in self.requesters

    def is_work_of_controller(self, owner: FieldOwner | None, path: FieldPath) -> bool:
        """Whether the undeclared field at `path` is the work of its owner, and that is a controller."""
        entry = self.deployer.entry
        if owner is None:
            return self.managers.is_bookkeeping(self.kind, format_path(path))
        if entry is not None and owner is entry.owner:
            return False
        return self.managers.is_work(owner, self.kind, format_path(path))


def undeclared_drift(
    desired: dict[str, Any], live: dict[str, Any], schema: Schema | None, ownership: Ownership
) -> list[FieldDrift]:
    """The undeclared fields that somebody set, each at the topmost value that is wholly undeclared."""
    search = _Search(ownership)
    converted: FieldOwner | None = None
    for entry in ownership.entries:
        if ownership.managers.writes_everything(entry.owner):
            continue
        search.search_entry(entry.fields, desired, live, schema, None, _EMPTY, entry.owner)
        if entry.api_version != ownership.api_version and not ownership.deployer.wrote(entry, ownership.managers):
            converted = entry.owner
    if ownership.deployer.last_applied is not None:
        search.search_formerly_declared(ownership.deployer.last_applied, desired, live, schema, None)
    # Entries of another version of the kind name other fields: what this version has besides is that manager's.
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
        location: LazyPath | None,
        siblings: Mapping[str, Any],
        owner: FieldOwner,
    ) -> None:
        """Adds the fields that `owner` owns and that are live and not in `desired`."""
        if live.__class__ is not dict:
            self._search_entry_items(fields, desired, live, schema, location, siblings, owner)
            return
        declared = desired if desired.__class__ is dict else _EMPTY
        for key, owned_below in fields.items():
            name = key[2:]
            expected = declared.get(name)
            if expected is not None and not owned_below and expected.__class__ not in _COLLECTIONS:
                continue  # a declared scalar, the most frequent case
            actual = live.get(name)
            if actual is None or expected == actual or key[:2] != "f:":
                continue
            child = schema.child(name) if schema is not None else None
            field_location = (location, name, None if expected is None else name, None)
            self._owned_field(key, owned_below, desired, expected, actual, child, schema, field_location, live, owner)

    def _search_entry_items(
        self,
        fields: Mapping[str, Any],
        desired: Json,
        live: Json,
        schema: Schema | None,
        location: LazyPath | None,
        siblings: Mapping[str, Any],
        owner: FieldOwner,
    ) -> None:
        live_at, declared_at = item_positions(live, schema), item_positions(desired, schema)
        for key, owned_below in fields.items():
            field_location: LazyPath
            if schema is not None and live_at is not None and key[:2] == "k:":
                segment = item_identity(key, schema)
                index = live_at.get(segment)
                if index is None:
                    continue
                at = None if declared_at is None else declared_at.get(segment)
                expected = None if at is None else desired[at]
                actual, child = live[index], schema.items
                field_location = (location, segment, None if expected is None else at, schema)
            else:
                element, declared = resolve(live, schema, key), resolve(desired, schema, key)
                if element is None:
                    continue
                expected = None if declared is None else declared.value
                actual, child = element.value, element.schema
                at_declared = None if declared is None or expected is None else declared.at
                field_location = (location, element.segment, at_declared, None)
            if actual is not None and expected != actual:
                self._owned_field(
                    key, owned_below, desired, expected, actual, child, schema, field_location, siblings, owner
                )

    def _owned_field(
        self,
        key: str,
        owned_below: Mapping[str, Any],
        desired: Json,
        expected: Json,
        actual: Json,
        schema: Schema | None,
        parent: Schema | None,
        field_location: LazyPath,
        siblings: Mapping[str, Any],
        owner: FieldOwner,
    ) -> None:
        """Checks one field that `owner` owns, by its key in the entry; `siblings` are the live fields of its parent."""
        atomic = not owned_below and _is_atomic(actual, schema)
        if not owned_below and not atomic and (actual or _is_collection(actual, schema)):
            return  # a map is owned without any of its members
        if expected is not None:
            if atomic:
                path, at = resolve_paths(field_location)
                self._within_atomic(expected, actual, schema, path, at, owner)
            else:
                self.search_entry(owned_below, expected, actual, schema, field_location, siblings, owner)
        elif (
            self._is_declared_null(desired, key, owner)
            or _is_twin(desired, key[2:], actual)
            or self._is_default(actual, schema, parent, field_location[1], siblings)
        ):
            return
        elif owned_below and (_is_collection(actual, schema) or "." not in owned_below):
            self.search_entry(owned_below, None, actual, schema, field_location, siblings, owner)
        else:
            path, at = resolve_paths(field_location)
            self._add(path, actual, at, owner)

    def _is_declared_null(self, desired: Json, key: str, owner: FieldOwner) -> bool:
        """Whether the deployer owns a field because Git declares null for it: the server replaced that by a value."""
        entry = self.ownership.deployer.entry
        return entry is not None and owner is entry.owner and isinstance(desired, dict) and key[2:] in desired

    def _within_atomic(
        self,
        desired: Json,
        live: Json,
        schema: Schema | None,
        path: FieldPath,
        at: DocumentPath,
        owner: FieldOwner | None,
    ) -> None:
        """Adds the undeclared parts of an atomic value: they belong to its owner, except for defaults."""
        if isinstance(desired, dict) and isinstance(live, dict):
            for key, value in live.items():
                child = schema.child(key) if schema else None
                expected = desired.get(key)
                if expected is not None:
                    if not self._is_remainder_default(expected, value, child, schema, key, live):
                        self._within_atomic(expected, value, child, (*path, key), (*at, key), owner)
                elif not (_is_nothing(value, child) or is_default(value, child, schema, key, live)):
                    self._add((*path, key), value, at, owner)
        elif isinstance(desired, list) and isinstance(live, list) and len(desired) == len(live):
            items = schema.items if schema else None
            for index, (expected, actual) in enumerate(zip(desired, live, strict=True)):
                self._within_atomic(expected, actual, items, (*path, index), (*at, index), owner)

    def _is_remainder_default(
        self, desired: Json, live: Json, schema: Schema | None, parent: Schema | None, key: str, siblings: JsonObject
    ) -> bool:
        """Whether the undeclared members of a map are defaults that depend on the map's siblings."""
        if schema is None or not schema.is_map or not isinstance(desired, dict) or not isinstance(live, dict):
            return False
        remainder = {name: value for name, value in live.items() if desired.get(name) is None}
        return bool(remainder) and is_default(remainder, schema, parent, key, siblings)

    def search_formerly_declared(
        self, recorded: JsonObject, desired: Json, live: Json, schema: Schema | None, location: LazyPath | None
    ) -> None:
        """Adds the live fields that `kubectl apply` recorded and that Git no longer declares."""
        if live.__class__ is not dict:
            return
        declared = desired if desired.__class__ is dict else _EMPTY
        for key, value in recorded.items():
            if value is None or (location is None and key in _NOT_RECORDED) or key == LAST_APPLIED:
                continue
            expected = declared.get(key)
            if expected is not None and value.__class__ not in _COLLECTIONS:
                continue
            actual = live.get(key)
            if actual is None or expected == actual or (key in SERVER_METADATA and _is_metadata(location)):
                continue
            child = schema.child(key) if schema is not None else None
            field_location: LazyPath = (location, key, None if expected is None else key, None)
            both = isinstance(value, dict) and isinstance(actual, dict)
            if both and (expected is not None or _is_collection(actual, child)):
                self.search_formerly_declared(value, expected, actual, child, field_location)
            elif isinstance(value, list) and isinstance(actual, list) and child is not None and child.list_keys:
                self._formerly_declared_items(value, expected, actual, child, field_location)
            elif child is not None and child.list_type is ListType.SET and isinstance(value, list):
                self._formerly_declared_set(value, expected, actual, field_location)
            elif expected is None and value not in ({}, []) and not is_default(actual, child, schema, key, live):
                self._add_formerly_declared(field_location, actual)

    def _formerly_declared_items(
        self, recorded: list[Any], desired: Json, live: list[Any], schema: Schema, location: LazyPath
    ) -> None:
        declared = _list(desired)
        identities = schema.identities(recorded)
        declared_identities = identities if recorded == declared else schema.identities(declared)
        at = dict(zip(declared_identities, range(len(declared)), strict=True))
        live_items = dict(zip(schema.identities(live), live, strict=True))
        for item, key in zip(recorded, identities, strict=True):
            actual = live_items.get(key)
            if actual is None:
                continue
            index = at.get(key)
            field_location: LazyPath = (location, key, index, schema)
            if index is None:
                self._add_formerly_declared(field_location, actual)
            elif isinstance(item, dict) and declared[index] != actual:
                self.search_formerly_declared(item, declared[index], actual, schema.items, field_location)

    def _formerly_declared_set(self, recorded: list[Any], desired: Json, live: Json, location: LazyPath) -> None:
        for value in recorded:
            if isinstance(value, dict | list) or value in _list(desired) or value not in _list(live):
                continue
            self._add_formerly_declared((location, SetValue(value), None, None), value)

    def search_unowned(
        self,
        desired: Json,
        live: Json,
        schema: Schema | None,
        path: FieldPath,
        at: DocumentPath,
        owner: FieldOwner | None,
    ) -> None:
        """Adds the live fields that are undeclared, no defaults, and in no entry of this version of the kind."""
        if isinstance(desired, dict) and isinstance(live, dict):
            for key, value in live.items():
                expected = desired.get(key)
                if expected is not None and (not isinstance(value, dict | list) or expected == value):
                    continue
                child = schema.child(key) if schema else None
                if child is None and schema is not None and not schema.preserves_unknown_fields:
                    continue  # of another version of the kind: this one cannot tell a default from a choice
                if expected is not None:
                    self.search_unowned(expected, value, child, (*path, key), (*at, key), owner)
                elif key in desired or _is_null(value) or value in ({}, []):
                    continue  # null leaves the value to the server
                elif not (_is_twin(desired, key, value) or self._is_default(value, child, schema, key, live)):
                    self._unowned_field(value, child, (*path, key), at, owner)
        elif isinstance(desired, list) and isinstance(live, list) and schema is not None:
            self._unowned_items(desired, live, schema, path, at, owner)

    def _unowned_field(
        self, value: Json, schema: Schema | None, path: FieldPath, at: DocumentPath, owner: FieldOwner | None
    ) -> None:
        """The same for one undeclared value, of which somebody may own a part."""
        if value.__class__ is dict and (
            _is_collection(value, schema) or _is_object_meta(schema) or self._is_owned(path)
        ):
            self.search_unowned({}, value, schema, path, at, owner)
        elif value.__class__ is list and schema is not None and schema.list_type is not ListType.ATOMIC:
            self._unowned_items([], value, schema, path, at, owner)
        elif not self._is_owned(path):
            self._add(path, value, at, owner)

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
            self._unowned_map_items(desired, live, schema, path, at, owner)
        elif schema.list_type is ListType.SET:
            for value in live:
                if value in desired or isinstance(value, dict | list):
                    continue
                if not self._is_owned((*path, SetValue(value))):
                    self._add((*path, SetValue(value)), value, at, owner)
        elif len(desired) == len(live) and not self._is_owned(path):
            self._within_atomic(desired, live, schema, path, at, owner)

    def _unowned_map_items(
        self,
        desired: list[Any],
        live: list[Any],
        schema: Schema,
        path: FieldPath,
        at: DocumentPath,
        owner: FieldOwner | None,
    ) -> None:
        declared_at = list_items(desired, schema)
        for item in live:
            key = item_key(item, schema)
            if key in declared_at:
                position = declared_at[key][0]
                if desired[position] != item:
                    self.search_unowned(desired[position], item, schema.items, (*path, key), (*at, position), owner)
            elif not self._is_owned((*path, key)):
                self._add((*path, key), item, at, owner)

    def _is_owned(self, path: FieldPath) -> bool:
        return any(entry.owns(path, self.ownership.schema, partial=True) for entry in self.ownership.entries)

    def _is_default(
        self, value: Json, schema: Schema | None, parent: Schema | None, key: object, siblings: Mapping[str, Any]
    ) -> bool:
        return isinstance(key, str) and is_default(value, schema, parent, key, siblings)

    def _add_formerly_declared(self, field_location: LazyPath, value: Json) -> None:
        path, at = resolve_paths(field_location)
        if path not in self.drifts:
            owner = owner_of(path, self.ownership.entries, self.ownership.schema, partial=True) or self._deployer()
            self._add(path, value, at, owner)

    def _deployer(self) -> FieldOwner:
        deployer = self.ownership.deployer
        return FieldOwner(deployer.manager or "kubectl-client-side-apply", deployer.operation or "Update")

    def _add(self, path: FieldPath, value: Json, at: DocumentPath, owner: FieldOwner | None) -> None:
        if self.ownership.is_work_of_controller(owner, path):
            return
        if self.ownership.may_be_admissions(owner, path, value) and not widens_rights(path, value):
            return
        self.drifts[path] = FieldDrift(path, Change.ADDED, None, value, at, owner)


def widens_rights(path: FieldPath, value: Json) -> bool:
    """Whether a value gives a pod more of its node: no admission does that to what somebody deploys."""
    if path and path[-1] in _RIGHTS:
        return value not in (False, [], None)
    if isinstance(value, dict):
        return any(widens_rights((key,), member) for key, member in value.items())
    return isinstance(value, list) and any(widens_rights((), member) for member in value)


def _is_null(value: Json) -> bool:
    """Whether a value is null or a struct of nulls (`metadata: {creationTimestamp: null}` of a template in Go)."""
    return value is None or (isinstance(value, dict) and bool(value) and all(item is None for item in value.values()))


def _is_nothing(value: Json, schema: Schema | None) -> bool:
    """Whether a value says no more than its absence: null, and an empty list or map that others could add to."""
    if value in ({}, []) and schema is not None:
        return not schema.atomic and (schema.is_map if value == {} else schema.list_type is not ListType.ATOMIC)
    return value is None or (value == {} and schema is None)


def _is_atomic(value: Json, schema: Schema | None) -> bool:
    """Whether a value is owned as a whole: a scalar, an atomic list or an atomic map."""
    if not isinstance(value, dict):
        return not isinstance(value, list) or schema is None or schema.list_type is ListType.ATOMIC
    return schema is not None and schema.atomic


def _is_collection(value: Json, schema: Schema | None) -> bool:
    """Whether a value is a list or map whose members may have different owners: each is then a drift of its own."""
    return isinstance(value, list) or (isinstance(value, dict) and (schema is None or schema.is_map))


def _is_metadata(location: LazyPath | None) -> bool:
    return location is not None and location[0] is None and location[1] == "metadata"


def _list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_object_meta(schema: Schema | None) -> bool:
    """Whether a value is the metadata of a template: its labels and annotations are looked at one by one."""
    return schema is not None and schema.go_type == "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def _is_twin(desired: Json, key: str, value: Json) -> bool:
    """Whether Git declares the value by the field's old name: the API server keeps both equal."""
    return key == "serviceAccountName" and isinstance(desired, dict) and desired.get("serviceAccount") == value
