"""Which manager deploys an object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftd.diff.fields_v1 import item_identity, item_positions, resolve
from driftd.diff.managers import DEFAULT_MANAGERS, Managers, is_gitops_controller
from driftd.diff.normalise import LAST_APPLIED
from driftd.diff.ownership import ManagedFieldsEntry
from driftd.diff.schema import Schema
from driftd.diff.walk import is_equivalent
from driftd.model.errors import SchemaMismatch
from driftd.model.resource import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Deployer:
    """Who deploys an object: a manager by one operation, and what `kubectl apply` recorded of its last manifest.

    `entry` is None for an object that nobody but controllers and hands wrote. `creator` is the entry of whoever made
    the object, where that was another one. `last_applied` is None where the deployer does not go by it.
    """

    entry: ManagedFieldsEntry | None
    creator: ManagedFieldsEntry | None = None
    last_applied: JsonObject | None = None

    @property
    def manager(self) -> str | None:
        return self.entry.owner.manager if self.entry else None

    @property
    def operation(self) -> str | None:
        return self.entry.owner.operation if self.entry else None

    def wrote(self, entry: ManagedFieldsEntry) -> bool:
        """Whether what an entry holds and nobody declares came with the deployer's own requests.

        An Update by the deployer holds the server's defaults and what admission put in. So does one that bears the
        name of a deployer that applies: that is how the API server writes down what admission did to an apply. A
        person's tool may bear such a name as well: then it must be of the moment of that apply, or of the creation.
        """
        own = self.entry
        if own is None or entry.is_apply:
            return False
        if entry is own or entry is self.creator:
            return True
        if not own.is_apply or entry.owner.manager != own.owner.manager or entry.owner.subresource is not None:
            return False
        return is_gitops_controller(own.owner.manager) or entry.owner.time == own.owner.time or entry.at_creation


def find_deployer(
    body: JsonObject,
    declared: Mapping[str, Any],
    schema: Schema | None,
    entries: Sequence[ManagedFieldsEntry],
    managers: Managers = DEFAULT_MANAGERS,
) -> Deployer:
    """The manager that deploys: by what it holds of what is declared, by how, by its name, and by who made the object.

    Those that are known to deploy whole objects (by applying, by the last-applied annotation, or by their name) come
    first, unless whoever created the object holds more than twice as much: then they only changed a part of it. Of an
    object that nobody of these is known to have made, a manager that holds nothing as it is declared is a hand: the
    entry of whoever deployed a single list, or only a name, goes when somebody else changes it.
    """
    candidates = [
        e
        for e in entries
        if e.owner.subresource is None and not managers.is_controller(e.owner) and not managers.is_interactive(e.owner)
    ]
    if len(candidates) == 1 and candidates[0].is_apply:
        return Deployer(candidates[0])
    recorded = last_applied(body)
    if not any(e.at_creation or _deploys_whole_objects(e, recorded, managers) for e in candidates):
        as_declared = _unchanged(declared, body, schema)
        candidates = [e for e in candidates if count_owned(e.fields, as_declared, schema)]
    if not candidates:
        return Deployer(None, None, recorded)
    if len(candidates) == 1:
        return Deployer(candidates[0], None, recorded)
    appliers = [e for e in candidates if _deploys_whole_objects(e, recorded, managers)]
    if len(appliers) == 1 and not any(e.at_creation for e in candidates) and _surely_owns(appliers[0], declared):
        return Deployer(appliers[0], None, None if appliers[0].is_apply else recorded)
    counts = {id(e): count_owned(e.fields, declared, schema) for e in candidates}
    creator = _largest_owner((e for e in candidates if e.at_creation), counts)
    applier = _largest_owner(appliers, counts)
    if applier is not None and (creator is None or 2 * counts[id(applier)] >= counts[id(creator)]):
        chosen = applier
    else:
        chosen = creator or max(candidates, key=lambda e: counts[id(e)])
    if creator is not None and not _created_object(creator, chosen, counts):
        creator = None
    return Deployer(chosen, creator, None if chosen.is_apply else recorded)


def _unchanged(declared: Mapping[str, Any], live: Json, schema: Schema | None) -> dict[str, Any]:
    """The part of what is declared that is live as it is declared."""
    found: dict[str, Any] = {}
    for key, value in declared.items():
        actual = live.get(key) if isinstance(live, Mapping) else None
        child = schema.child(key) if schema is not None else None
        if isinstance(value, dict) and isinstance(actual, dict):
            below: Json = _unchanged(value, actual, child)
        else:
            below = value if _is_same(value, actual, child) else None
        if below:
            found[key] = below
    return found


def _is_same(declared: Json, live: Json, schema: Schema | None) -> bool:
    try:
        return live is not None and is_equivalent(declared, live, schema)
    except SchemaMismatch:
        return False  # the comparison says so, with the field


def _created_object(entry: ManagedFieldsEntry, chosen: ManagedFieldsEntry, counts: Mapping[int, int]) -> bool:
    """Whether an update in the object's first second was its creation, and not a hand that was quick."""
    if entry is chosen or entry.owner.time == chosen.owner.time:
        return False
    return 2 * counts[id(entry)] >= counts[id(chosen)]


def _largest_owner(entries: Iterable[ManagedFieldsEntry], counts: Mapping[int, int]) -> ManagedFieldsEntry | None:
    """The one that holds the most; one that applies when it holds at least half as much, for it came after."""
    holding = [entry for entry in entries if counts[id(entry)] > 0]
    if not holding:
        return None
    most = max(holding, key=lambda e: counts[id(e)])
    applying = max((e for e in holding if e.is_apply), key=lambda e: counts[id(e)], default=most)
    return applying if 2 * counts[id(applying)] >= counts[id(most)] else most


def _deploys_whole_objects(entry: ManagedFieldsEntry, recorded: JsonObject | None, managers: Managers) -> bool:
    if entry.is_apply or managers.is_deployer(entry.owner):
        return True
    return recorded is not None and entry.owns(("metadata", "annotations", LAST_APPLIED))


def _surely_owns(entry: ManagedFieldsEntry, declared: Mapping[str, Any]) -> bool:
    """Whether `held` would count something at all, as far as that shows at the top: nearly always it does."""
    for key, below in entry.fields.items():
        value = declared.get(key[2:]) if key[:2] == "f:" else None
        if value is None:
            continue
        if not below or "." in below:
            return True
        if isinstance(value, dict):
            single = [name[2:] for name, deeper in below.items() if not deeper]
            if any(value.get(name) is not None for name in single):
                return True
    return False


def count_owned(fields: Mapping[str, Any], declared: Json, schema: Schema | None) -> int:
    """How many of the declared fields, and of the maps and items that hold them, are in a set of owned ones."""
    count = 0
    if declared.__class__ is dict:
        for key, below in fields.items():
            if key == ".":
                count += 1
            elif key[:2] == "f:" and (value := declared.get(name := key[2:])) is not None:
                count += count_owned(below, value, schema.child(name) if schema is not None else None) if below else 1
        return count
    items = item_positions(declared, schema)
    for key, below in fields.items():
        if key == ".":
            count += 1
        elif items is not None and schema is not None and key[:2] == "k:":
            index = items.get(item_identity(key, schema))
            if index is not None:
                count += count_owned(below, declared[index], schema.items) if below else 1
        elif (found := resolve(declared, schema, key)) is not None:
            count += count_owned(below, found.value, found.schema) if below else 1
    return count


def last_applied(body: JsonObject) -> dict[str, Any] | None:
    """What `kubectl apply` recorded as its last manifest, or None."""
    metadata = body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    text = annotations.get(LAST_APPLIED) if isinstance(annotations, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        parsed = json.loads(text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
