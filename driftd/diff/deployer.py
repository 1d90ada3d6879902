"""Finds the manager that deploys an object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftd.diff.normalise import LAST_APPLIED
from driftd.diff.ownership import ManagedFieldsEntry
from driftd.diff.rules.field_managers import Managers
from driftd.diff.typed.fields_v1 import item_identity, item_positions, member_positions, resolve_among
from driftd.diff.typed.schema import Schema
from driftd.diff.walk import is_equivalent
from driftd.model.drift import FIELD_MANAGER
from driftd.model.errors import SchemaMismatch
from driftd.model.resource import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Deployer:
    """The manager and operation that deploy an object, and the last manifest that `kubectl apply` recorded.

    `entry` is None for an object that only controllers and interactive tools wrote. `creator` is the entry of the
    manager that created the object, if another one. `last_applied` is None if the deployer does not use it.
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

    def wrote(self, entry: ManagedFieldsEntry, managers: Managers) -> bool:
        """Whether an entry is of the deployer's own requests, or of the creator's, so that admission may share it.

        So does an Update under the name of a deployer that applies: that is how the API server records what admission
        did to an apply. As interactive tools may use such a name too (`kubectl`), it must have the time of that apply,
        or of the creation.
        """
        if entry.is_apply:
            return False
        return any(own is not None and _is_of(own, entry, managers) for own in (self.entry, self.creator))


def _is_of(own: ManagedFieldsEntry, entry: ManagedFieldsEntry, managers: Managers) -> bool:
    """Whether an Update is the deployer's `own` entry, or what admission did to its applies."""
    if entry is own:
        return True
    if not own.is_apply or entry.owner.manager != own.owner.manager or entry.owner.subresource is not None:
        return False
    if entry.owner.time == own.owner.time or entry.at_creation:
        return True
    return not managers.is_of_people(own.owner)


def find_deployer(
    body: JsonObject,
    declared: Mapping[str, Any],
    schema: Schema | None,
    entries: Sequence[ManagedFieldsEntry],
    managers: Managers,
) -> Deployer:
    """The manager that deploys an object: by its share of the declared fields, operation, name, and the creation.

    Managers that deploy whole objects (they apply, own the last-applied annotation, or have a known name) come first,
    unless the creator of the object owns more than twice as much: then they only changed a part of it. If neither a
    creator nor such a manager is left, a manager that owns no field with its declared value is no deployer but made a
    manual change: the entry of the deployer of a single list, or of only a name, vanishes when another manager changes
    it.
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
        unchanged = _unchanged(declared, body, schema)
        candidates = [e for e in candidates if count_owned(e.fields, unchanged, schema)]
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
    if chosen.is_apply and chosen.owner.manager == FIELD_MANAGER:
        creator = _deployed_before_repair(candidates, managers)
    elif creator is not None and not _created_object(creator, chosen, counts):
        creator = None
    return Deployer(chosen, creator, None if chosen.is_apply else recorded)


def _unchanged(declared: Mapping[str, Any], live: Json, schema: Schema | None) -> dict[str, Any]:
    """The declared fields whose live value is the declared one."""
    unchanged: dict[str, Any] = {}
    for key, value in declared.items():
        actual = live.get(key) if isinstance(live, Mapping) else None
        child = schema.child(key) if schema is not None else None
        if isinstance(value, dict) and isinstance(actual, dict):
            kept: Json = _unchanged(value, actual, child)
        else:
            kept = value if _is_live(value, actual, child) else None
        if kept:
            unchanged[key] = kept
    return unchanged


def _is_live(declared: Json, live: Json, schema: Schema | None) -> bool:
    try:
        return live is not None and is_equivalent(declared, live, schema)
    except SchemaMismatch:
        return False  # the comparison reports it


def _created_object(entry: ManagedFieldsEntry, chosen: ManagedFieldsEntry, counts: Mapping[int, int]) -> bool:
    """Whether an update in the object's first second was its creation, and not an immediate manual change."""
    if entry is chosen or entry.owner.time == chosen.owner.time:
        return False
    return 2 * counts[id(entry)] >= counts[id(chosen)]


def _deployed_before_repair(candidates: Iterable[ManagedFieldsEntry], managers: Managers) -> ManagedFieldsEntry | None:
    """Who deployed an object of which driftd put so much right that its entry looks like the deployer's by now.

    What a hand took from a deployer and driftd put back is driftd's: the deployer may be left with nothing but what
    came along with its requests. Tools that people use as well are not taken for it by their name alone.
    """
    others = [entry for entry in candidates if entry.owner.manager != FIELD_MANAGER]
    created = [e for e in others if e.at_creation]
    known = [e for e in others if managers.is_deployer(e.owner) and not managers.is_of_people(e.owner)]
    return next(iter((*(e for e in known if e.is_apply), *created, *known)), None)


def _largest_owner(entries: Iterable[ManagedFieldsEntry], counts: Mapping[int, int]) -> ManagedFieldsEntry | None:
    """The entry with the most declared fields; an Apply wins from half as many on, since it came later."""
    owning = [entry for entry in entries if counts[id(entry)] > 0]
    if not owning:
        return None
    largest = max(owning, key=lambda e: counts[id(e)])
    applied = max((e for e in owning if e.is_apply), key=lambda e: counts[id(e)], default=largest)
    return applied if 2 * counts[id(applied)] >= counts[id(largest)] else largest


def _deploys_whole_objects(entry: ManagedFieldsEntry, recorded: JsonObject | None, managers: Managers) -> bool:
    if entry.is_apply or managers.is_deployer(entry.owner):
        return True
    return recorded is not None and entry.owns(("metadata", "annotations", LAST_APPLIED))


def _surely_owns(entry: ManagedFieldsEntry, declared: Mapping[str, Any]) -> bool:
    """Whether `count_owned` is sure to be positive, judged by the top two levels: cheap, and nearly always enough."""
    for key, below in entry.fields.items():
        value = declared.get(key[2:]) if key[:2] == "f:" else None
        if value is None:
            continue
        if not below or "." in below:
            return True
        if isinstance(value, dict):
            leaves = [name[2:] for name, children in below.items() if not children]
            if any(value.get(name) is not None for name in leaves):
                return True
    return False


def count_owned(fields: Mapping[str, Any], declared: Json, schema: Schema | None) -> int:
    """Number of declared fields, including maps and list items, in a set of owned fields (FieldsV1)."""
    count = 0
    if declared.__class__ is dict:
        for key, below in fields.items():
            if key == ".":
                count += 1
            elif key[:2] == "f:" and (value := declared.get(name := key[2:])) is not None:
                count += count_owned(below, value, schema.child(name) if schema is not None else None) if below else 1
        return count
    items, members = item_positions(declared, schema), member_positions(declared, schema)
    for key, below in fields.items():
        if key == ".":
            count += 1
        elif items is not None and schema is not None and key[:2] == "k:":
            index = items.get(item_identity(key, schema))
            if index is not None:
                count += count_owned(below, declared[index], schema.items) if below else 1
        elif (element := resolve_among(declared, schema, members, key)) is not None:
            count += count_owned(below, element.value, element.schema) if below else 1
    return count


def last_applied(body: JsonObject) -> dict[str, Any] | None:
    """The last manifest that `kubectl apply` recorded in the object's annotation, or None."""
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
