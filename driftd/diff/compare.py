"""Compares one object's manifest with its live state and reaches a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from driftd.diff.additions import Ownership
from driftd.diff.autoscaler import ReplicaRange
from driftd.diff.deployer import find_deployer
from driftd.diff.explain import Explanation, explain_fields
from driftd.diff.locate import Locator
from driftd.diff.normalise import NormalisedManifest, declares_status, normalise_live, normalise_manifest
from driftd.diff.not_comparable import (
    STAND_IN,
    UNDETERMINED,
    is_partly_undetermined,
    is_stand_in,
    missing_but_unknown,
    rule_for,
)
from driftd.diff.ownership import managed_fields, owner_of
from driftd.diff.redact import Redactor
from driftd.diff.rules.built_in import BUILT_IN_RULES
from driftd.diff.rules.conditions import is_autoscaled
from driftd.diff.rules.deployer_options import Absent, option_of
from driftd.diff.rules.field_managers import Managers, built_in_managers
from driftd.diff.rules.ignore import IgnoreRule, IgnoreRuleSet
from driftd.diff.rules.rule import BuiltInRule, Requests, RuleContext, first_match
from driftd.diff.typed.schema import Schema
from driftd.diff.undeclared import undeclared_drift
from driftd.diff.walk import check_server_fields, declared_drift, walk_declared
from driftd.model.drift import DELETION_TIMESTAMP, Change, FieldDrift, Status, Verdict
from driftd.model.errors import SchemaMismatch
from driftd.model.path import format_path
from driftd.model.resource import Json, JsonObject, Manifest


@dataclass(frozen=True, slots=True)
class RuledDrift:
    """One field that differs, and the rule by which it does not count, if any."""

    drift: FieldDrift
    rule: BuiltInRule | IgnoreRule | None


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What bears on a verdict besides the two sides, as `Comparison.verdict` takes it."""

    status_is_server_owned: bool
    dry_run: JsonObject | None
    autoscaler: ReplicaRange | None
    admission: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """How objects are compared: known managers, rules for differences that do not count, and redaction of Secrets."""

    redactor: Redactor
    managers: Managers = field(default_factory=built_in_managers)
    rules: tuple[BuiltInRule, ...] = field(default=BUILT_IN_RULES)
    ignore_rules: IgnoreRuleSet = field(default_factory=IgnoreRuleSet)

    def with_ignored(self, rules: tuple[IgnoreRule, ...]) -> Comparison:
        """The same comparison with further ignore rules."""
        return replace(self, ignore_rules=IgnoreRuleSet((*self.ignore_rules.rules, *rules))) if rules else self

    def verdict(
        self,
        manifest: Manifest,
        live: JsonObject | None,
        schema: Schema | None,
        *,
        status_is_server_owned: bool = True,
        dry_run: JsonObject | None = None,
        autoscaler: ReplicaRange | None = None,
        admission: bool = False,
    ) -> Verdict:
        """The verdict on one object that Git declares.

        `live` is the object in the cluster, None if it does not exist. `schema` is the cluster's type of its kind, None
        if the cluster publishes none. `dry_run` is the API server's answer to a dry-run apply of the manifest: if
        given, it decides which declared fields differ (the `server` engine). `autoscaler` is the replica range of the
        autoscaler that scales the object: replicas within it are no drift. `admission` tells whether the cluster has
        admission of its own that may change such objects: then its work cannot be told from the deployer's.
        """
        if live is None:
            return _absent(manifest)
        try:
            surroundings = _Surroundings(status_is_server_owned, dry_run, autoscaler, admission)
            differences = self._differences(manifest, live, schema, surroundings)
        except SchemaMismatch as error:
            return unknown_verdict(manifest, str(error))
        except RecursionError:
            return unknown_verdict(manifest, "the object is nested too deeply to be compared")
        fields = tuple(difference.drift for difference in differences if difference.rule is None)
        if (deletion := _deletion(live)) is not None:
            fields = (deletion, *fields)
        ignored = tuple(difference.drift for difference in differences if _is_ignored(difference.rule))
        stand_ins = [each for each in differences if isinstance(each.rule, BuiltInRule) and each.rule.name == STAND_IN]
        if stand_ins and not fields:
            return unknown_verdict(manifest, "; ".join(_told(each) for each in stand_ins))
        status = Status.DRIFTED if fields else Status.IGNORED if ignored else Status.IN_SYNC
        return Verdict(manifest.ref, manifest.api_version, status, manifest.source, fields, ignored=ignored)

    def explain(
        self,
        manifest: Manifest,
        live: JsonObject,
        schema: Schema | None,
        *,
        status_is_server_owned: bool = True,
        dry_run: JsonObject | None = None,
        autoscaler: ReplicaRange | None = None,
        admission: bool = False,
    ) -> list[Explanation]:
        """Every field of one object: desired and live value, owner, verdict, and the rule for the verdict.

        Raises: SchemaMismatch, RecursionError: in the cases in which `verdict` is UNKNOWN.
        """
        surroundings = _Surroundings(status_is_server_owned, dry_run, autoscaler, admission)
        differences = self._differences(manifest, live, schema, surroundings)
        body = manifest.body
        status_is_server_owned = status_is_server_owned or not declares_status(body)
        declared = normalise_manifest(body, status_is_server_owned=status_is_server_owned)
        actual = normalise_live(live, status_is_server_owned=status_is_server_owned)
        ownership = self._ownership(manifest, declared, live, schema, admission)
        rules = {difference.drift.path: (difference.drift, difference.rule) for difference in differences}
        return explain_fields(declared.body, actual, schema, ownership, rules, self.redactor.of(body, live, schema))

    def _differences(
        self, manifest: Manifest, live: JsonObject, schema: Schema | None, surroundings: _Surroundings
    ) -> list[RuledDrift]:
        body, dry_run = manifest.body, surroundings.dry_run
        check_server_fields(body, schema)
        # Without a subresource an apply writes the status that Git declares; what Git does not declare of it is the
        # controller's all the same.
        status_is_server_owned = surroundings.status_is_server_owned or not declares_status(body)
        declared = normalise_manifest(body, status_is_server_owned=status_is_server_owned)
        actual = normalise_live(live, status_is_server_owned=status_is_server_owned)
        walk = walk_declared(declared.body, actual, schema)
        drifts = walk.drifts
        if dry_run is not None:
            applied = normalise_live(dry_run, status_is_server_owned=status_is_server_owned)
            drifts = _only_declared(declared_drift(applied, actual, schema), declared, schema)
            drifts += _dropped_by_server(drifts, walk.drifts, applied, schema)
            drifts += [drift for drift in walk.drifts if drift.no_such_field]
            drifts.sort(key=_manifest_order(declared.body))
        if not drifts and not walk.undeclared:
            return []
        ownership = self._ownership(manifest, declared, live, schema, surroundings.admission)
        drifts = [_with_owner(drift, ownership, schema) for drift in drifts]
        if walk.undeclared:
            paths = {drift.path for drift in drifts}
            undeclared = undeclared_drift(declared.body, actual, schema, ownership)
            drifts.extend(drift for drift in undeclared if drift.path not in paths and drift.path[0] != "status")
        drifted = frozenset(format_path(drift.path) for drift in drifts)
        entry = ownership.deployer.entry
        requests = Requests(ownership.requesters, entry.owner if entry else None, surroundings.admission)
        context = RuleContext(manifest.ref, body, live, self.managers, requests, surroundings.autoscaler, drifted)
        redact = self.redactor.of(body, live, schema)
        return [
            RuledDrift(redact(ruled.drift), ruled.rule)
            for drift in drifts
            for ruled in [self._with_rule(drift, manifest, context, declared, ownership)]
        ]

    def _ownership(
        self,
        manifest: Manifest,
        declared: NormalisedManifest,
        live: JsonObject,
        schema: Schema | None,
        admission: bool = False,
    ) -> Ownership:
        entries = managed_fields(live)
        deployer = find_deployer(live, declared.body, schema, entries, self.managers)
        version = str(live.get("apiVersion", ""))
        return Ownership(manifest.ref.kind, version, entries, deployer, self.managers, schema, admission)

    def _with_rule(
        self,
        drift: FieldDrift,
        manifest: Manifest,
        context: RuleContext,
        declared: NormalisedManifest,
        ownership: Ownership,
    ) -> RuledDrift:
        rule: BuiltInRule | IgnoreRule | None = first_match(self.rules, context, drift)
        if rule is None:
            rule = self.ignore_rules.rule_for(context.ref, context.declared, drift)
        partly_ignored = rule is None and self.ignore_rules.covers_a_part(context.ref, context.declared, drift)
        in_document = replace(
            drift,
            at=declared.document_path(drift.at),
            partly_ignored=partly_ignored,
            autoscaled=rule is None and is_autoscaled(drift, context),
        )
        if rule is None:
            rule = rule_for(manifest, in_document, ownership.deployer.manager)
            in_document = replace(in_document, undetermined=rule is UNDETERMINED)
        if rule is None:
            in_document = replace(
                in_document,
                undetermined=is_partly_undetermined(manifest, in_document),
                stand_in=is_stand_in(in_document, ownership.deployer.manager),
            )
        return RuledDrift(in_document, rule)


def _absent(manifest: Manifest) -> Verdict:
    """The verdict on an object that is not there."""
    if (reason := missing_but_unknown(manifest)) is not None:
        return unknown_verdict(manifest, reason)
    missing = Verdict(manifest.ref, manifest.api_version, Status.MISSING, manifest.source)
    option = option_of(manifest.body)
    match option.absent if option else Absent.MISSING:
        case Absent.LEFT:
            return replace(missing, status=Status.IGNORED)
        case Absent.RENAMED:
            return unknown_verdict(manifest, f"{option}: {option.reason if option else ''}, under a name of its own")
    return missing


def _is_ignored(rule: BuiltInRule | IgnoreRule | None) -> bool:
    """Whether a difference that does not count is shown: one by a rule of the user's, and one that Git leaves open."""
    return isinstance(rule, IgnoreRule) or rule is UNDETERMINED


def _told(difference: RuledDrift) -> str:
    reason = difference.rule.reason if difference.rule is not None else ""
    return f"{format_path(difference.drift.path)}: {reason}"


def _deletion(live: JsonObject) -> FieldDrift | None:
    """That the object is being deleted, which finalizers may delay and nothing undoes."""
    since = live["metadata"].get("deletionTimestamp")
    return FieldDrift(DELETION_TIMESTAMP, Change.ADDED, None, since, ("metadata",)) if since else None


def unknown_verdict(manifest: Manifest, reason: str) -> Verdict:
    """The verdict on an object that could not be compared: never in sync."""
    return Verdict(manifest.ref, manifest.api_version, Status.UNKNOWN, manifest.source, error=reason)


def _with_owner(drift: FieldDrift, ownership: Ownership, schema: Schema | None) -> FieldDrift:
    """The drift with the owner of the live field. A removed field has none: no manager owns it any more."""
    if drift.change is Change.REMOVED:
        return drift
    partial = isinstance(drift.live, dict) or drift.change is Change.ADDED
    by = owner_of(drift.path, ownership.entries, schema, deployer=ownership.deployer.entry, partial=partial)
    return replace(drift, by=by)


def _only_declared(
    by_server: list[FieldDrift], declared: NormalisedManifest, schema: Schema | None
) -> list[FieldDrift]:
    """The declared fields that an apply would change, with position and value of the manifest.

    The other fields that it would change are defaults.
    """
    drifts = []
    locator = Locator(declared.body, schema)
    for drift in by_server:
        located = locator.locate(drift.path)
        if located is None:
            continue
        order_only = isinstance(drift.desired, list) and isinstance(located.value, list) and bool(drift.desired)
        keep = order_only and all(isinstance(item, str) for item in drift.desired) and drift.desired != located.value
        drifts.append(replace(drift, at=located.at, desired=drift.desired if keep else located.value))
    return drifts


def _dropped_by_server(
    by_server: list[FieldDrift], by_client: list[FieldDrift], applied: JsonObject, schema: Schema | None
) -> list[FieldDrift]:
    """The client's drifts of fields that an apply would remove: declared as a zero value (`false`), live as another.

    The server's answer lacks these fields, because it drops their zero values.
    """
    paths = {drift.path for drift in by_server}
    locator = Locator(applied, schema)
    return [
        drift
        for drift in by_client
        if drift.change is Change.CHANGED
        and locator.locate(drift.path) is None
        and not any(drift.path[:depth] in paths for depth in range(len(drift.path) + 1))
    ]


def _manifest_order(body: Json) -> Callable[[FieldDrift], list[int]]:
    """The sort key of fields by their position in the manifest."""
    ranks: dict[int, dict[str, int]] = {}

    def position(drift: FieldDrift) -> list[int]:
        value, order = body, []
        for part in drift.at:
            if isinstance(part, int):
                order.append(part)
            else:
                known = ranks.get(id(value))
                if known is None:
                    known = ranks[id(value)] = {key: rank for rank, key in enumerate(value)}
                order.append(known[part])
            value = value[part]
        return order

    return position
