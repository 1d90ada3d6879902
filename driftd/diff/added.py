"""Fields that are live, that Git does not declare, and that somebody put there.

Whose hand it was comes from managedFields alone: the API server's defaults, and what admission put in with the
deployer's own request, belong to the deployer's entry and are nobody's drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from driftd.diff.defaults import is_default
from driftd.diff.deployer import Deployer, Managers
from driftd.diff.normalise import LAST_APPLIED, SERVER_METADATA
from driftd.diff.ownership import Entry
from driftd.diff.schema import Schema
from driftd.diff.step import step
from driftd.diff.walk import item_key
from driftd.model.drift import Change, FieldDrift, FieldOwner
from driftd.model.path import DocumentPath, FieldPath
from driftd.model.resource import Json, JsonObject


def added_drift(
    desired: dict[str, Any],
    live: dict[str, Any],
    schema: Schema | None,
    among: Sequence[Entry],
    by: Deployer,
    managers: Managers,
    created: object = None,
) -> list[FieldDrift]:
    """The undeclared fields that somebody set, each at the topmost value that is wholly undeclared.

    `created` is when the object was: what an Update of that very moment left undeclared came with its creation (from
    whoever deployed it first), defaults among it, and is nobody's.
    """
    found: dict[FieldPath, FieldDrift] = {}
    for entry in among:
        if managers.trusted(entry.owner) or _is_creation(entry, created):
            continue
        if by.is_entry(entry) and not entry.applies:
            continue
        _undeclared(entry.fields, desired, live, schema, (), (), entry.owner, found)
    if by.last_applied is not None:
        owner = FieldOwner(by.manager or "kubectl-client-side-apply", by.operation or "Update")
        _once_declared(by.last_applied, desired, live, schema, (), (), owner, found)
    return list(found.values())


def _is_creation(entry: Entry, created: object) -> bool:
    return not entry.applies and entry.owner.subresource is None and entry.owner.time == created is not None


def _undeclared(
    fields: Mapping[str, Any],
    desired: Json,
    live: Json,
    schema: Schema | None,
    path: FieldPath,
    at: DocumentPath,
    owner: FieldOwner,
    found: dict[FieldPath, FieldDrift],
) -> None:
    for key, below in fields.items():
        actual = step(live, schema, key)
        if actual is None or actual.value is None:
            continue
        here: FieldPath = (*path, actual.segment)
        wanted = step(desired, schema, key)
        if wanted is not None and wanted.value is not None:
            there = (*at, wanted.at)
            if below:
                _undeclared(below, wanted.value, actual.value, actual.schema, here, there, owner, found)
            else:
                _within_atomic(wanted.value, actual.value, actual.schema, here, there, owner, found)
        elif below and (_spreads(actual.value, actual.schema) or "." not in below):
            _undeclared(below, None, actual.value, actual.schema, here, at, owner, found)
        else:
            found[here] = FieldDrift(here, Change.ADDED, None, actual.value, at, owner)


def _spreads(value: Json, schema: Schema | None) -> bool:
    """Whether each part of a value may have an owner of its own: then each is a drift of its own."""
    return isinstance(value, list) or (isinstance(value, dict) and (schema is None or schema.is_map))


def _within_atomic(
    desired: Json,
    live: Json,
    schema: Schema | None,
    path: FieldPath,
    at: DocumentPath,
    owner: FieldOwner,
    found: dict[FieldPath, FieldDrift],
) -> None:
    """A value that has one owner for all of it: what Git does not declare there is that owner's, but for defaults."""
    if isinstance(desired, dict) and isinstance(live, dict):
        for key, value in live.items():
            child = schema.child(key) if schema else None
            if desired.get(key) is not None:
                _within_atomic(desired[key], value, child, (*path, key), (*at, key), owner, found)
            elif value is not None and not is_default(value, child, schema, key):
                here = (*path, key)
                found[here] = FieldDrift(here, Change.ADDED, None, value, at, owner)
    elif isinstance(desired, list) and isinstance(live, list) and len(desired) == len(live):
        items = schema.items if schema else None
        for index, (wanted, actual) in enumerate(zip(desired, live, strict=True)):
            _within_atomic(wanted, actual, items, (*path, index), (*at, index), owner, found)


def _once_declared(
    recorded: JsonObject,
    desired: Json,
    live: Json,
    schema: Schema | None,
    path: FieldPath,
    at: DocumentPath,
    owner: FieldOwner,
    found: dict[FieldPath, FieldDrift],
) -> None:
    """What `kubectl apply` recorded, Git no longer declares, and is live still."""
    for key, value in recorded.items():
        if value is None or (not path and key in ("apiVersion", "kind", "status")):
            continue
        if (path == ("metadata",) and key in SERVER_METADATA) or key == LAST_APPLIED:
            continue
        actual = live.get(key) if isinstance(live, dict) else None
        if actual is None:
            continue
        here: FieldPath = (*path, key)
        child = schema.child(key) if schema else None
        wanted = desired.get(key) if isinstance(desired, dict) else None
        if isinstance(value, dict) and isinstance(actual, dict) and (wanted is not None or _spreads(actual, child)):
            _once_declared(value, wanted, actual, child, here, (*at, key) if wanted is not None else at, owner, found)
        elif isinstance(value, list) and isinstance(actual, list) and child is not None and child.list_keys:
            _once_declared_items(value, wanted, actual, child, here, at, owner, found)
        elif wanted is None and value not in ({}, []):
            found.setdefault(here, FieldDrift(here, Change.ADDED, None, actual, at, owner))


def _once_declared_items(
    recorded: list[Any],
    desired: Json,
    live: list[Any],
    schema: Schema,
    path: FieldPath,
    at: DocumentPath,
    owner: FieldOwner,
    found: dict[FieldPath, FieldDrift],
) -> None:
    wanted_items = {item_key(item, schema): (i, item) for i, item in enumerate(desired or ())}
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
                _once_declared(item, wanted, actual, schema.items, here, (*at, index), owner, found)
        else:
            found.setdefault(here, FieldDrift(here, Change.ADDED, None, actual, at, owner))
