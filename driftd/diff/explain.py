"""Every field of one object, with what is said of it and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from driftd.diff.defaults import is_default
from driftd.diff.ignore import IgnoreRule
from driftd.diff.ownership import owner_of
from driftd.diff.rules import BuiltInRule
from driftd.diff.schema import ListType, Schema
from driftd.diff.undeclared import Ownership
from driftd.diff.walk import list_items
from driftd.model.drift import Change, FieldDrift, FieldOwner
from driftd.model.path import FieldPath, ListKey, SetValue
from driftd.model.resource import Json

Redact = Callable[[FieldDrift], FieldDrift]
"""Takes the values of Secrets out of a difference."""

DriftsByPath = Mapping[FieldPath, tuple[FieldDrift, BuiltInRule | IgnoreRule | None]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One field: what Git declares, what is live, who owns that, the verdict, and the rule that led to it.

    `verdict` is one of in_sync, undeclared, ignored, changed, removed, added. Values of Secrets are redacted.
    """

    path: FieldPath
    desired: Json
    live: Json
    owner: FieldOwner | None
    verdict: str
    rule: str


def explain_fields(
    desired: dict[str, Any],
    live: dict[str, Any],
    schema: Schema | None,
    owned: Ownership,
    found: DriftsByPath,
    hide: Redact,
) -> list[Explanation]:
    """One explanation for each leaf of either side, in the order of the manifest, then of the live object."""
    result = []
    told: set[FieldPath] = set()
    for leaf in _leaves(desired, live, schema, None, "", {}, ()):
        difference = next((p for n in range(len(leaf.path), 0, -1) if (p := leaf.path[:n]) in found), None)
        if difference is not None and difference not in told:
            told.add(difference)
            result.append(_of_difference(*found[difference]))
        if difference is None:
            result.append(_of_leaf(leaf, owned, hide))
    result.extend(_of_difference(*found[path]) for path in found if path not in told)
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
    if _branches(desired, live, dict):
        wanted, actual = desired or {}, live or {}
        for name in [*wanted, *(name for name in actual if name not in wanted)]:
            child = schema.child(name) if schema else None
            yield from _leaves(wanted.get(name), actual.get(name), child, schema, name, actual, (*path, name))
    elif _branches(desired, live, list) and schema is not None and schema.list_type is ListType.MAP:
        for item_path, wanted, actual in _items(desired or [], live or [], schema):
            yield from _leaves(wanted, actual, schema.items, None, "", {}, (*path, *item_path))
    elif _branches(desired, live, list) and schema is not None and schema.list_type is ListType.SET:
        values = [*(desired or []), *(item for item in live or [] if item not in (desired or []))]
        for value in values:
            there = (value if value in (desired or []) else None, value if value in (live or []) else None)
            yield _Leaf((*path, SetValue(value)), *there, False)
    elif desired is not None or live is not None:
        yield _Leaf(path, desired, live, bool(key) and is_default(live, schema, parent, key, siblings))


def _branches(desired: Json, live: Json, kind: type) -> bool:
    """Whether a value has fields or items of its own: it is not empty, and both sides are of that kind or absent."""
    sides = [side for side in (desired, live) if side is not None]
    return bool(sides) and all(isinstance(side, kind) for side in sides) and any(sides)


def _items(desired: list[Any], live: list[Any], schema: Schema) -> Iterator[tuple[FieldPath, Json, Json]]:
    wanted, actual = list_items(desired, schema), list_items(live, schema)
    keys: list[ListKey] = [*wanted, *(key for key in actual if key not in wanted)]
    for key in keys:
        here, there = wanted.get(key, []), actual.get(key, [])
        for nth in range(max(len(here), len(there))):
            path: FieldPath = (key,) if len(here) <= 1 and len(there) <= 1 else (key, nth)
            yield (
                path,
                desired[here[nth]] if nth < len(here) else None,
                live[there[nth]] if nth < len(there) else None,
            )


def _of_difference(drift: FieldDrift, rule: BuiltInRule | IgnoreRule | None) -> Explanation:
    if rule is None:
        return Explanation(drift.path, drift.desired, drift.live, drift.by, str(drift.change), _WHY[drift.change])
    text = f"{rule.name}: {rule.reason}" if isinstance(rule, BuiltInRule) else str(rule)
    return Explanation(drift.path, drift.desired, drift.live, drift.by, "ignored", text)


_WHY = {
    Change.CHANGED: "declared, and another value is live",
    Change.REMOVED: "declared, and not there",
    Change.ADDED: "not declared, and set by somebody who does not deploy this object",
}


def _of_leaf(leaf: _Leaf, owned: Ownership, hide: Redact) -> Explanation:
    owner = owner_of(leaf.path, owned.entries, owned.schema, partial=True)
    shown = hide(FieldDrift(leaf.path, Change.CHANGED, leaf.desired, leaf.live, ()))
    verdict, rule = _reason(leaf, owner, owned)
    return Explanation(leaf.path, shown.desired, shown.live, owner, verdict, rule)


def _reason(leaf: _Leaf, owner: FieldOwner | None, owned: Ownership) -> tuple[str, str]:
    if leaf.desired is not None and leaf.live is not None:
        same = "the same value" if leaf.desired == leaf.live else "the same value, spelled as the server does"
        return "in_sync", same
    if leaf.desired is not None:
        return "in_sync", "a value that leaves no trace: the server drops it"
    if leaf.is_default:
        return "undeclared", "the API server's default"
    if owner is None:
        return "undeclared", "nobody owns it: the API server made it"
    if owned.managers.is_trusted(owner, owned.kind, ""):
        return "undeclared", "a controller's work"
    if owner.manager == owned.deployer.manager:
        return "undeclared", "came with the deployer's own request: a default, or by admission"
    return "undeclared", "a controller's work"
