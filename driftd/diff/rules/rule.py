"""One built-in rule: by what it knows differences that are no drift, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from driftd.diff.autoscaler import ReplicaRange
from driftd.diff.rules.field_managers import Managers
from driftd.diff.rules.globs import matches_any
from driftd.model.drift import Change, FieldDrift, FieldOwner
from driftd.model.path import format_path
from driftd.model.resource import JsonObject, ResourceRef


@dataclass(frozen=True, slots=True)
class Requests:
    """The owners of what came with the requests of an object's deployer and creator, and whether the cluster has
    admission of its own that may have changed these.

    What admission adds to an apply is an update by the same manager; what it changes stays the apply's.
    """

    owners: tuple[FieldOwner, ...] = ()
    deployer: FieldOwner | None = None
    admission: bool = False

    def made(self, drift: FieldDrift) -> bool:
        """Whether the live value came with such a request, or is the API server's: nobody owns it."""
        return drift.by is None or drift.by in self.owners


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What a rule may use besides the drift itself."""

    ref: ResourceRef
    declared: JsonObject
    live: JsonObject
    managers: Managers
    requests: Requests
    autoscaler: ReplicaRange | None = None
    drifted_paths: frozenset[str] = field(default_factory=frozenset)


Condition = Callable[[FieldDrift, RuleContext], bool]


@dataclass(frozen=True, slots=True)
class BuiltInRule:
    """Differences that do not count. `*` in patterns matches any run of characters; empty tuples match everything."""

    name: str
    reason: str
    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    subresource: str | None = None
    changes: frozenset[Change] = frozenset(Change)
    when: Condition | None = None

    def matches(self, context: RuleContext, drift: FieldDrift, path: str) -> bool:
        if drift.change not in self.changes or (self.kinds and context.ref.kind not in self.kinds):
            return False
        if self.managers:
            manager = drift.by.manager if drift.by else ""
            if not any(fnmatchcase(manager, pattern) for pattern in self.managers):
                return False
        if self.subresource is not None and (drift.by is None or drift.by.subresource != self.subresource):
            return False
        if self.paths and not matches_any(self.paths, path):
            return False
        return self.when is None or self.when(drift, context)


def first_match(rules: tuple[BuiltInRule, ...], context: RuleContext, drift: FieldDrift) -> BuiltInRule | None:
    """The first rule by which this drift does not count, or None."""
    path = format_path(drift.path)
    return next((rule for rule in rules if rule.matches(context, drift, path)), None)
