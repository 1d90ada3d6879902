"""Fields that are live, that Git does not declare, and that somebody put there.

Whose hand it was comes from managedFields: the API server's defaults, and what admission put in with the deployer's
own request, are nobody's drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from driftd.diff.controllers import Managers
from driftd.diff.defaults import is_default
from driftd.diff.deployer import Deployer
from driftd.diff.normalise import LAST_APPLIED, SERVER_METADATA
from driftd.diff.ownership import Entry, owner_of
from driftd.diff.schema import ListType, Schema
from driftd.diff.step import positions, step
from driftd.diff.walk import item_key, list_items
from driftd.model.drift import Change, FieldDrift, FieldOwner
from driftd.model.path import DocumentPath, FieldPath, SetValue, format_path
from driftd.model.resource import Json, JsonObject

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Ownership:
    """What managedFields say of one object: its entries, who deploys it, and who is known by name."""

    kind: str
    api_version: str
    among: Sequence[Entry]
    by: Deployer
    managers: Managers
    schema: Schema | None


def added_drift(
    desired: dict[str, Any], live: dict[str, Any], schema: Schema | None, owned: Ownership
) -> list[FieldDrift]:
    """The undeclared fields that somebody set, each at the topmost value that is wholly undeclared."""
    search = _Search(owned)
    converted: FieldOwner | None = None
    for entry in owned.among:
        if entry.owner.subresource == "status" or owned.managers.trusted(entry.owner) or owned.by.brought(entry):
            continue
        search.undeclared(entry.fields, desired, live, schema, (), (), _NOTHING, entry.owner)
        if entry.api_version != owned.api_version:
            converted = entry.owner
    recorded = owned.by.last_applied
    if recorded is not None:
        search.once_declared(recorded, desired, live, schema, (), ())
    if converted is not None or not owned.among:
        # Written in another version of the kind, the fields have other names; without managedFields they have none.
        search.unowned(desired, live, schema, (), (), converted)
    return list(search.found.values())


@dataclass(frozen=True, slots=True)
class _Search:
    owned: Ownership
    found: dict[FieldPath, FieldDrift] = field(default_factory=dict)

    def undeclared(
        self,
        fields: Mapping[str, Any],
        desired: Json,
        live: Json,
        schema: Schema | None,
        path: FieldPath,
        at: DocumentPath,
        beside: Mapping[str, Any],
        owner: FieldOwner,
    ) -> None:
        """Of the fields that `owner` holds, those that are live and not in `desired`."""
        around = live if isinstance(live, dict) else beside
        there_live, there_declared = positions(live, schema), positions(desired, schema)
        for key, below in fields.items():
            actual = step(live, schema, key, there_live)
            if actual is None or actual.value is None:
                continue
            whole = not below and _is_whole(actual.value, actual.schema)
            if not below and not whole and (actual.value or _spreads(actual.value, actual.schema)):
                continue  # who holds a map, and none of its members
            wanted = step(desired, schema, key, there_declared)
            if wanted is None and self._is_declared_null(desired, key, owner):
                continue
            here: FieldPath = (*path, actual.segment)
            if wanted is not None and wanted.value is not None:
                there = (*at, wanted.at)
                if whole:
                    self._within_atomic(wanted.value, actual.value, actual.schema, here, there, owner)
                else:
                    self.undeclared(below, wanted.value, actual.value, actual.schema, here, there, around, owner)
            elif below and (_spreads(actual.value, actual.schema) or "." not in below):
                self.undeclared(below, None, actual.value, actual.schema, here, at, around, owner)
            elif not self._is_default(actual.value, actual.schema, schema, actual.segment, around):
                self._add(here, actual.value, at, owner)

    def _is_declared_null(self, desired: Json, key: str, owner: FieldOwner) -> bool:
        """Whether the deployer holds a field for the null that Git declares: what the server made of that is live."""
        own = self.owned.by.entry
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
                if desired.get(key) is not None:
                    self._within_atomic(desired[key], value, child, (*path, key), (*at, key), owner)
                elif value is not None and not is_default(value, child, schema, key, live):
                    self._add((*path, key), value, at, owner)
        elif isinstance(desired, list) and isinstance(live, list) and len(desired) == len(live):
            items = schema.items if schema else None
            for index, (wanted, actual) in enumerate(zip(desired, live, strict=True)):
                self._within_atomic(wanted, actual, items, (*path, index), (*at, index), owner)

    def once_declared(
        self,
        recorded: JsonObject,
        desired: Json,
        live: Json,
        schema: Schema | None,
        path: FieldPath,
        at: DocumentPath,
    ) -> None:
        """What `kubectl apply` recorded, Git no longer declares, and is live still."""
        if not isinstance(live, dict):
            return
        for key, value in recorded.items():
            if value is None or (not path and key in ("apiVersion", "kind", "status")):
                continue
            if (path == ("metadata",) and key in SERVER_METADATA) or key == LAST_APPLIED:
                continue
            actual = live.get(key)
            if actual is None:
                continue
            here: FieldPath = (*path, key)
            child = schema.child(key) if schema else None
            wanted = desired.get(key) if isinstance(desired, dict) else None
            below = (*at, key) if wanted is not None else at
            both = isinstance(value, dict) and isinstance(actual, dict)
            if both and (wanted is not None or _spreads(actual, child)):
                self.once_declared(value, wanted, actual, child, here, below)
            elif isinstance(value, list) and isinstance(actual, list) and child is not None and child.list_keys:
                self._once_declared_items(value, wanted, actual, child, here, below)
            elif child is not None and child.list_type is ListType.SET and isinstance(value, list):
                self._once_declared_set(value, wanted, actual, here, below)
            elif wanted is None and value not in ({}, []) and not is_default(actual, child, schema, key, live):
                self._once(here, actual, at)

    def _once_declared_items(
        self,
        recorded: list[Any],
        desired: Json,
        live: list[Any],
        schema: Schema,
        path: FieldPath,
        at: DocumentPath,
    ) -> None:
        wanted_items = {item_key(item, schema): (i, item) for i, item in enumerate(_list(desired))}
        live_items = {item_key(item, schema): item for item in live}
        for item in recorded:
            key = item_key(item, schema)
            actual = live_items.get(key)
            if actual is None:
                continue
            here: FieldPath = (*path, key)
            if key in wanted_items:
                index, wanted = wanted_items[key]
                if isinstance(item, dict):
                    self.once_declared(item, wanted, actual, schema.items, here, (*at, index))
            else:
                self._once(here, actual, at)

    def _once_declared_set(
        self, recorded: list[Any], desired: Json, live: Json, path: FieldPath, at: DocumentPath
    ) -> None:
        for value in recorded:
            if isinstance(value, dict | list) or value in _list(desired) or value not in _list(live):
                continue
            self._once((*path, SetValue(value)), value, at)

    def unowned(
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
                if value is None or (path == ("metadata",) and key == "annotations" and not value):
                    continue
                child = schema.child(key) if schema else None
                wanted = desired.get(key)
                if wanted is not None:
                    self.unowned(wanted, value, child, (*path, key), (*at, key), owner)
                elif value.__class__ is dict and _spreads(value, child):
                    self.unowned({}, value, child, (*path, key), at, owner)
                elif value.__class__ is list and child is not None and child.list_type is not ListType.ATOMIC:
                    self._unowned_items([], value, child, (*path, key), at, owner)
                elif not self._known((*path, key)) and not self._is_default(value, child, schema, key, live):
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
                    self.unowned(desired[position], item, schema.items, (*path, key), (*at, position), owner)
                elif not self._known((*path, key)):
                    self._add((*path, key), item, at, owner)
        elif schema.list_type is ListType.SET:
            for value in live:
                if value in desired or isinstance(value, dict | list):
                    continue
                if not self._known((*path, SetValue(value))):
                    self._add((*path, SetValue(value)), value, at, owner)
        elif len(desired) == len(live) and not self._known(path):
            self._within_atomic(desired, live, schema, path, at, owner)

    def _known(self, path: FieldPath) -> bool:
        return any(entry.owns(path, self.owned.schema, partly=True) for entry in self.owned.among)

    def _is_default(
        self, value: Json, schema: Schema | None, parent: Schema | None, key: object, beside: Mapping[str, Any]
    ) -> bool:
        return isinstance(key, str) and is_default(value, schema, parent, key, beside)

    def _once(self, path: FieldPath, value: Json, at: DocumentPath) -> None:
        if path not in self.found:
            self._add(
                path, value, at, owner_of(path, self.owned.among, self.owned.schema, partly=True) or self._deployer()
            )

    def _deployer(self) -> FieldOwner:
        by = self.owned.by
        return FieldOwner(by.manager or "kubectl-client-side-apply", by.operation or "Update")

    def _add(self, path: FieldPath, value: Json, at: DocumentPath, owner: FieldOwner | None) -> None:
        if owner is not None and self.owned.managers.trusted(owner, self.owned.kind, format_path(path)):
            return
        self.found[path] = FieldDrift(path, Change.ADDED, None, value, at, owner)


def _is_whole(value: Json, schema: Schema | None) -> bool:
    """Whether a value has one owner for all of it: a scalar, an atomic list or an atomic map."""
    if not isinstance(value, dict):
        return not isinstance(value, list) or schema is None or schema.list_type is ListType.ATOMIC
    return schema is not None and schema.atomic


def _spreads(value: Json, schema: Schema | None) -> bool:
    """Whether each part of a value may have an owner of its own: then each is a drift of its own."""
    return isinstance(value, list) or (isinstance(value, dict) and (schema is None or schema.is_map))


def _list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []
