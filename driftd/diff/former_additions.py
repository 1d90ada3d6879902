"""Finds undeclared fields that `kubectl apply` recorded when Git declared them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.diff.additions import Additions, is_collection
from driftd.diff.deployer import Deployer
from driftd.diff.normalise import LAST_APPLIED, SERVER_METADATA
from driftd.diff.ownership import owner_of
from driftd.diff.typed.defaults import is_default
from driftd.diff.typed.fields_v1 import is_scalar, member_key
from driftd.diff.typed.lazy_path import LazyPath, resolve_paths
from driftd.diff.typed.schema import ListType, Schema
from driftd.model.drift import FieldOwner
from driftd.model.path import SetValue
from driftd.model.resource import Json, JsonObject

_EMPTY: Mapping[str, Any] = {}
_COLLECTIONS = frozenset({dict, list})
_NOT_RECORDED = frozenset({"apiVersion", "kind", "status"})


def search_formerly_declared(
    additions: Additions,
    recorded: JsonObject,
    desired: Json,
    live: Json,
    schema: Schema | None,
    location: LazyPath | None,
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
        if both and (expected is not None or is_collection(actual, child)):
            search_formerly_declared(additions, value, expected, actual, child, field_location)
        elif isinstance(value, list) and isinstance(actual, list) and child is not None and child.list_keys:
            _formerly_declared_items(additions, value, expected, actual, child, field_location)
        elif child is not None and child.list_type is ListType.SET and isinstance(value, list):
            _formerly_declared_set(additions, value, expected, actual, field_location)
        elif expected is None and value not in ({}, []) and not is_default(actual, child, schema, key, live):
            _add_formerly_declared(additions, field_location, actual)


def _formerly_declared_items(
    additions: Additions, recorded: list[Any], desired: Json, live: list[Any], schema: Schema, location: LazyPath
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
            _add_formerly_declared(additions, field_location, actual)
        elif isinstance(item, dict) and declared[index] != actual:
            search_formerly_declared(additions, item, declared[index], actual, schema.items, field_location)


def _formerly_declared_set(
    additions: Additions, recorded: list[Any], desired: Json, live: Json, location: LazyPath
) -> None:
    declared, members = ({member_key(item) for item in _list(side) if is_scalar(item)} for side in (desired, live))
    former = members - declared
    for value in recorded:
        if is_scalar(value) and member_key(value) in former:
            _add_formerly_declared(additions, (location, SetValue(value), None, None), value)


def _add_formerly_declared(additions: Additions, field_location: LazyPath, value: Json) -> None:
    path, at = resolve_paths(field_location)
    if path not in additions.drifts:
        ownership = additions.ownership
        owner = owner_of(path, ownership.entries, ownership.schema, partial=True) or _deployer(ownership.deployer)
        additions.add(path, value, at, owner)


def _deployer(deployer: Deployer) -> FieldOwner:
    return FieldOwner(deployer.manager or "kubectl-client-side-apply", deployer.operation or "Update")


def _is_metadata(location: LazyPath | None) -> bool:
    return location is not None and location[0] is None and location[1] == "metadata"


def _list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []
