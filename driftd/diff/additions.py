"""What was added to an object: undeclared fields that somebody set, and who may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from driftd.diff.deployer import Deployer
from driftd.diff.ownership import ManagedFieldsEntry
from driftd.diff.rules.field_managers import Managers
from driftd.diff.typed.defaults import is_default
from driftd.diff.typed.schema import ListType, Schema
from driftd.model.drift import Change, FieldDrift, FieldOwner
from driftd.model.path import DocumentPath, FieldPath, format_path
from driftd.model.resource import Json, JsonObject

_RIGHTS = frozenset({"hostPID", "hostIPC", "hostNetwork", "hostPath", "privileged"})


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


@dataclass(frozen=True, slots=True)
class Additions:
    """The undeclared fields of one object that were found so far."""

    ownership: Ownership
    drifts: dict[FieldPath, FieldDrift] = field(default_factory=dict)

    def within_atomic(
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
                        self.within_atomic(expected, value, child, (*path, key), (*at, key), owner)
                elif not (_is_nothing(value, child) or is_default(value, child, schema, key, live)):
                    self.add((*path, key), value, at, owner)
        elif isinstance(desired, list) and isinstance(live, list) and len(desired) == len(live):
            items = schema.items if schema else None
            for index, (expected, actual) in enumerate(zip(desired, live, strict=True)):
                self.within_atomic(expected, actual, items, (*path, index), (*at, index), owner)

    def _is_remainder_default(
        self, desired: Json, live: Json, schema: Schema | None, parent: Schema | None, key: str, siblings: JsonObject
    ) -> bool:
        """Whether the undeclared members of a map are defaults that depend on the map's siblings."""
        if schema is None or not schema.is_map or not isinstance(desired, dict) or not isinstance(live, dict):
            return False
        remainder = {name: value for name, value in live.items() if desired.get(name) is None}
        return bool(remainder) and is_default(remainder, schema, parent, key, siblings)

    def add(self, path: FieldPath, value: Json, at: DocumentPath, owner: FieldOwner | None) -> None:
        """Adds a field, unless a controller or admission may have set it."""
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


def _is_nothing(value: Json, schema: Schema | None) -> bool:
    """Whether a value says no more than its absence: null, and an empty list or map that others could add to."""
    if value in ({}, []) and schema is not None:
        return not schema.atomic and (schema.is_map if value == {} else schema.list_type is not ListType.ATOMIC)
    return value is None or (value == {} and schema is None)


def is_atomic(value: Json, schema: Schema | None) -> bool:
    """Whether a value is owned as a whole: a scalar, an atomic list or an atomic map."""
    if not isinstance(value, dict):
        return not isinstance(value, list) or schema is None or schema.list_type is ListType.ATOMIC
    return schema is not None and schema.atomic


def is_collection(value: Json, schema: Schema | None) -> bool:
    """Whether a value is a list or map whose members may have different owners: each is then a drift of its own."""
    return isinstance(value, list) or (isinstance(value, dict) and (schema is None or schema.is_map))


def is_twin(desired: Json, key: str, value: Json) -> bool:
    """Whether Git declares the value by the field's old name: the API server keeps both equal."""
    return key == "serviceAccountName" and isinstance(desired, dict) and desired.get("serviceAccount") == value
