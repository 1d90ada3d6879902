"""The verdict on one object."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from driftd.diff.autoscaler import ReplicaRange
from driftd.diff.deployer import find_deployer
from driftd.diff.explain import Explanation, Redact, explain_fields
from driftd.diff.ignore import IgnoreRule, IgnoreRules
from driftd.diff.locate import locate
from driftd.diff.managers import DEFAULT_MANAGERS, Managers
from driftd.diff.normalise import NormalisedManifest, normalise_manifest
from driftd.diff.normalise import normalise_live as live_part
from driftd.diff.ownership import managed_fields, owner_of
from driftd.diff.redact import Redactor
from driftd.diff.rules import BUILT_IN_RULES, BuiltInRule, RuleContext, first_match
from driftd.diff.schema import Schema
from driftd.diff.undeclared import Ownership, undeclared_drift
from driftd.diff.walk import declared_drift, walk_declared
from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.errors import SchemaMismatch
from driftd.model.path import DocumentPath, format_path
from driftd.model.resource import Json, JsonObject, Manifest


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs, and the rule by which it does not count, if there is one."""

    drift: FieldDrift
    rule: BuiltInRule | IgnoreRule | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How objects are compared: who is trusted, what does not count, and the key that hides secrets."""

    redactor: Redactor
    managers: Managers = DEFAULT_MANAGERS
    rules: tuple[BuiltInRule, ...] = field(default=BUILT_IN_RULES)
    ignore_rules: IgnoreRules = field(default_factory=IgnoreRules)

    def verdict(
        self,
        manifest: Manifest,
        live: JsonObject | None,
        schema: Schema | None,
        *,
        status_is_server_owned: bool = True,
        dry_run: JsonObject | None = None,
        autoscaler: ReplicaRange | None = None,
    ) -> Verdict:
        """What is to be said of one object that Git declares.

        `live` is the object as it was read, None if there is none. `schema` is its kind's type in the cluster, None
        where the cluster has none for it. `dry_run` is what the API server says that applying the manifest would
        make of the object: then it decides what of the declared fields differs (the `server` engine). `autoscaler`
        is the range of the autoscaler that scales the object: its replicas are drift only outside of it.
        """
        if live is None:
            return Verdict(manifest.ref, manifest.api_version, Status.MISSING, manifest.source)
        try:
            found = self._differences(manifest, live, schema, status_is_server_owned, dry_run, autoscaler)
        except SchemaMismatch as error:
            return unknown_verdict(manifest, str(error))
        except RecursionError:
            return unknown_verdict(manifest, "the object is nested too deeply to be compared")
        fields = tuple(one.drift for one in found if one.rule is None)
        ignored = tuple(one.drift for one in found if isinstance(one.rule, IgnoreRule))
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
    ) -> list[Explanation]:
        """Every field of one object: desired, live, owner, what is said of it, and by which rule.

        Raises: SchemaMismatch; RecursionError: where `verdict` answers that the object is unknown.
        """
        found = self._differences(manifest, live, schema, status_is_server_owned, dry_run, autoscaler)
        body = manifest.body
        wanted = normalise_manifest(body, status_is_server_owned=status_is_server_owned)
        actual = live_part(live, status_is_server_owned=status_is_server_owned)
        owned = self._ownership(manifest, wanted, live, schema)
        rules = {one.drift.path: (one.drift, one.rule) for one in found}
        return explain_fields(wanted.body, actual, schema, owned, rules, self._redaction(body, live, schema))

    def _redaction(self, declared: JsonObject, live: JsonObject, schema: Schema | None) -> Redact:
        return lambda drift: self.redactor.drift(drift, schema, declared, live)

    def _differences(
        self,
        manifest: Manifest,
        live: JsonObject,
        schema: Schema | None,
        status_is_server_owned: bool,
        dry_run: JsonObject | None,
        autoscaler: ReplicaRange | None,
    ) -> list[Difference]:
        body = manifest.body
        wanted = normalise_manifest(body, status_is_server_owned=status_is_server_owned)
        actual = live_part(live, status_is_server_owned=status_is_server_owned)
        owned = self._ownership(manifest, wanted, live, schema)
        walk = walk_declared(wanted.body, actual, schema, owned.applied_fields)
        found = walk.drifts
        if dry_run is not None:
            answer = live_part(dry_run, status_is_server_owned=status_is_server_owned)
            found = _only_declared(declared_drift(answer, actual, schema), wanted, schema)
            found += _dropped_by_server(found, walk.drifts, answer, schema)
            found.sort(key=lambda drift: _manifest_order(drift.at, wanted.body))
        found = [_with_owner(drift, owned, schema) for drift in found]
        known = {drift.path for drift in found}
        added = undeclared_drift(wanted.body, actual, schema, owned, inconclusive=walk.inconclusive)
        found.extend(drift for drift in added if drift.path not in known)
        if not found:
            return []
        context = RuleContext(manifest.ref, body, autoscaler, frozenset(format_path(drift.path) for drift in found))
        return [self._with_rule(drift, context, wanted, live, schema) for drift in found]

    def _ownership(
        self, manifest: Manifest, wanted: NormalisedManifest, live: JsonObject, schema: Schema | None
    ) -> Ownership:
        among = managed_fields(live)
        by = find_deployer(live, wanted.body, schema, among, self.managers)
        return Ownership(manifest.ref.kind, str(live.get("apiVersion", "")), among, by, self.managers, schema)

    def _with_rule(
        self,
        drift: FieldDrift,
        context: RuleContext,
        wanted: NormalisedManifest,
        live: JsonObject,
        schema: Schema | None,
    ) -> Difference:
        rule: BuiltInRule | IgnoreRule | None = first_match(self.rules, context, drift)
        if rule is None:
            rule = self.ignore_rules.rule_for(context.ref, context.declared, drift)
        placed = replace(drift, at=wanted.document_path(drift.at))
        shown = self.redactor.drift(placed, schema, context.declared, live)
        return Difference(shown, rule)


def unknown_verdict(manifest: Manifest, reason: str) -> Verdict:
    """The verdict on an object that could not be judged: never in sync."""
    return Verdict(manifest.ref, manifest.api_version, Status.UNKNOWN, manifest.source, error=reason)


def _with_owner(drift: FieldDrift, owned: Ownership, schema: Schema | None) -> FieldDrift:
    """With the owner of what is live. What is gone has none: nobody holds it any more."""
    if drift.change is Change.REMOVED:
        return drift
    partly = isinstance(drift.live, dict) or drift.change is Change.ADDED
    by = owner_of(drift.path, owned.entries, schema, deployer=owned.deployer.entry, partial=partly)
    return replace(drift, by=by)


def _only_declared(served: list[FieldDrift], wanted: NormalisedManifest, schema: Schema | None) -> list[FieldDrift]:
    """Of what an apply would change, what Git declares: by where it stands in the manifest, with the value there.

    The rest are defaults that come with it.
    """
    found = []
    for drift in served:
        place = locate(drift.path, wanted.body, schema)
        if place is None:
            continue
        order_only = isinstance(drift.desired, list) and isinstance(place.value, list) and bool(drift.desired)
        keep = order_only and all(isinstance(item, str) for item in drift.desired) and drift.desired != place.value
        found.append(replace(drift, at=place.at, desired=drift.desired if keep else place.value))
    return found


def _dropped_by_server(
    found: list[FieldDrift], by_client: list[FieldDrift], answer: JsonObject, schema: Schema | None
) -> list[FieldDrift]:
    """Of what the client's walk found, what an apply would take out: declared as nothing (`false`), live as something.

    The server's answer does not have these fields: it drops their zero values.
    """
    known = {drift.path for drift in found}
    return [
        drift
        for drift in by_client
        if drift.change is Change.CHANGED
        and locate(drift.path, answer, schema) is None
        and not any(drift.path[:depth] in known for depth in range(len(drift.path) + 1))
    ]


def _manifest_order(at: DocumentPath, body: Json) -> list[int]:
    """Where a field stands in the manifest, to sort by."""
    position = []
    for part in at:
        position.append(part if isinstance(part, int) else list(body).index(part))
        body = body[part]
    return position
