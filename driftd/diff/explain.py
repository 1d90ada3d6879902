"""Explains every field of one object: its verdict, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from driftd.diff.additions import Ownership
from driftd.diff.not_comparable import STAND_IN
from driftd.diff.ownership import owner_of
from driftd.diff.redact import Redact
from driftd.diff.rules.ignore import IgnoreRule
from driftd.diff.rules.rule import BuiltInRule
from driftd.diff.typed.defaults import is_default
from driftd.diff.typed.schema import ListType, Schema
from driftd.diff.walk import list_items
from driftd.model.drift import Change, FieldDrift, FieldOwner
from driftd.model.path import FieldPath, ListKey, SetValue
from driftd.model.resource import Json

DriftsByPath = Mapping[FieldPath, tuple[FieldDrift, BuiltInRule | IgnoreRule | None]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One field: desired and live value, owner of the live value, verdict, and the rule for the verdict.

    `verdict` is one of in_sync, undeclared, ignored, unknown, changed, removed, added. Values of Secrets are redacted.
    `left_to` is whom driftd leaves the field to, where it repairs the app.
    """

    path: FieldPath
    desired: Json
    live: Json
    owner: FieldOwner | None
    verdict: str
    rule: str
    left_to: str | None = None

    @property
    def differs(self) -> bool:
        """Whether the field counts as drift."""
        return self.verdict in set(Change)


def explain_fields(
    desired: dict[str, Any],
    live: dict[str, Any],
    schema: Schema | None,
    ownership: Ownership,
    drifts: DriftsByPath,
    redact: Redact,
) -> list[Explanation]:
    """One explanation for each leaf of either side, in the order of the manifest, then of the live object."""
    result = []
    explained: set[FieldPath] = set()
    for leaf in _leaves(desired, live, schema, None, "", {}, ()):
        drifted = next((p for n in range(len(leaf.path), 0, -1) if (p := leaf.path[:n]) in drifts), None)
        if drifted is not None and drifted not in explained:
            explained.add(drifted)
            result.append(_of_drift(*drifts[drifted]))
        if drifted is None:
            result.append(_of_leaf(leaf, ownership, redact))
    result.extend(_of_drift(*drifts[path]) for path in drifts if path not in explained)
    return result


@dataclass(frozen=True, slots=True)
class _Leaf:
    path: FieldPath
    desired: Json
    live: Json
    is_default: bool


def _leaves(
    desired: Json,
    live: Json,
    schema: Schema | None,
    parent: Schema | None,
    key: str,
    siblings: Mapping[str, Any],
    path: FieldPath,
) -> Iterator[_Leaf]:
    if _has_children(desired, live, dict):
        declared, actual = desired or {}, live or {}
        for name in [*declared, *(name for name in actual if name not in declared)]:
            child = schema.child(name) if schema else None
            yield from _leaves(declared.get(name), actual.get(name), child, schema, name, actual, (*path, name))
    elif _has_children(desired, live, list) and schema is not None and schema.list_type is ListType.MAP:
        for item_path, declared, actual in _items(desired or [], live or [], schema):
            yield from _leaves(declared, actual, schema.items, None, "", {}, (*path, *item_path))
    elif _has_children(desired, live, list) and schema is not None and schema.list_type is ListType.SET:
        values = [*(desired or []), *(item for item in live or [] if item not in (desired or []))]
        for value in values:
            sides = (value if value in (desired or []) else None, value if value in (live or []) else None)
            yield _Leaf((*path, SetValue(value)), *sides, False)
    elif desired is not None or live is not None:
        yield _Leaf(path, desired, live, bool(key) and is_default(live, schema, parent, key, siblings))


def _has_children(desired: Json, live: Json, collection: type) -> bool:
    """Whether a value has fields or items: one side is not empty, and each is of that type or absent."""
    sides = [side for side in (desired, live) if side is not None]
    return bool(sides) and all(isinstance(side, collection) for side in sides) and any(sides)


def _items(desired: list[Any], live: list[Any], schema: Schema) -> Iterator[tuple[FieldPath, Json, Json]]:
    declared_at, live_at = list_items(desired, schema), list_items(live, schema)
    keys: list[ListKey] = [*declared_at, *(key for key in live_at if key not in declared_at)]
    for key in keys:
        declared, actual = declared_at.get(key, []), live_at.get(key, [])
        for ordinal in range(max(len(declared), len(actual))):
            path: FieldPath = (key,) if len(declared) <= 1 and len(actual) <= 1 else (key, ordinal)
            yield (
                path,
                desired[declared[ordinal]] if ordinal < len(declared) else None,
                live[actual[ordinal]] if ordinal < len(actual) else None,
            )


def _of_drift(drift: FieldDrift, rule: BuiltInRule | IgnoreRule | None) -> Explanation:
    if rule is None:
        return Explanation(drift.path, drift.desired, drift.live, drift.by, str(drift.change), _WHY[drift.change])
    text = f"{rule.name}: {rule.reason}" if isinstance(rule, BuiltInRule) else str(rule)
    verdict = "unknown" if isinstance(rule, BuiltInRule) and rule.name == STAND_IN else "ignored"
    return Explanation(drift.path, drift.desired, drift.live, drift.by, verdict, text)


_WHY = {
    Change.CHANGED: "declared, and another value is live",
    Change.REMOVED: "declared, and not there",
    Change.ADDED: "not declared, and set by somebody who does not deploy this object",
}


def _of_leaf(leaf: _Leaf, ownership: Ownership, redact: Redact) -> Explanation:
    owner = owner_of(leaf.path, ownership.entries, ownership.schema, partial=True)
    redacted = redact(FieldDrift(leaf.path, Change.CHANGED, leaf.desired, leaf.live, ()))
    verdict, rule = _verdict_and_rule(leaf, owner, ownership)
    return Explanation(leaf.path, redacted.desired, redacted.live, owner, verdict, rule)


def _verdict_and_rule(leaf: _Leaf, owner: FieldOwner | None, ownership: Ownership) -> tuple[str, str]:
    if leaf.desired is not None and leaf.live is not None:
        same = "the same value" if leaf.desired == leaf.live else "the same value, spelled as the server does"
        return "in_sync", same
    if leaf.desired is not None:
        return "in_sync", "a value that leaves no trace: the server drops it"
    if leaf.is_default:
        return "undeclared", "the API server's default"
    if owner is None:
        return "undeclared", "nobody owns it: the API server made it"
    if ownership.is_work_of_controller(owner, leaf.path):
        return "undeclared", "a controller's work"
    if owner.manager == ownership.deployer.manager:
        return "undeclared", "came with the deployer's own request: a default, or by admission"
    return "undeclared", "a controller's work"
