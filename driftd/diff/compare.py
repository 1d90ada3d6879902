"""The verdict on one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from driftd.diff.added import added_drift
from driftd.diff.deployer import DEFAULT_MANAGERS, Managers, deployer
from driftd.diff.detail import detail
from driftd.diff.normalise import Declared, declared, is_secret
from driftd.diff.normalise import live as live_part
from driftd.diff.ownership import Entry, entries, owner_of
from driftd.diff.redact import Redactor
from driftd.diff.rules import DEFAULT_RULES, Rule, matching
from driftd.diff.schema import Schema
from driftd.diff.values import instant
from driftd.diff.walk import declared_drift
from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.errors import SchemaMismatch
from driftd.model.resource import JsonObject, Manifest


@dataclass(frozen=True, slots=True)
class Comparison:
    """How objects are compared: who is trusted, what does not count, and the key that hides secrets."""

    redactor: Redactor
    managers: Managers = DEFAULT_MANAGERS
    rules: tuple[Rule, ...] = field(default=DEFAULT_RULES)

    def verdict(
        self,
        manifest: Manifest,
        live: JsonObject | None,
        schema: Schema | None,
        *,
        status_is_server_owned: bool = True,
        dry_run: JsonObject | None = None,
    ) -> Verdict:
        """What is to be said of one object that Git declares.

        `live` is the object as it was read, None if there is none. `schema` is its kind's type in the cluster, None
        where the cluster has none for it. `dry_run` is what the API server says that applying the manifest would
        make of the object: then it decides what of the declared fields differs (the `server` engine).
        """
        if live is None:
            return Verdict(manifest.ref, manifest.api_version, Status.MISSING, manifest.source)
        try:
            fields = self._fields(manifest, live, schema, status_is_server_owned, dry_run)
        except SchemaMismatch as error:
            return unknown(manifest, str(error))
        except RecursionError:
            return unknown(manifest, "the object is nested too deeply to be compared")
        status = Status.DRIFTED if fields else Status.IN_SYNC
        return Verdict(manifest.ref, manifest.api_version, status, manifest.source, tuple(fields))

    def _fields(
        self,
        manifest: Manifest,
        live: JsonObject,
        schema: Schema | None,
        status_is_server_owned: bool,
        dry_run: JsonObject | None,
    ) -> list[FieldDrift]:
        wanted = declared(manifest.body, status_is_server_owned=status_is_server_owned)
        actual = live_part(live, status_is_server_owned=status_is_server_owned)
        if dry_run is None:
            found = declared_drift(wanted.body, actual, schema)
        else:
            found = declared_drift(live_part(dry_run, status_is_server_owned=status_is_server_owned), actual, schema)
        among = entries(live)
        by = deployer(live, wanted.body, schema, among, self.managers)
        created = instant(live.get("metadata", {}).get("creationTimestamp") or "")
        found = [
            drift if drift.change is Change.REMOVED else replace(drift, by=self._owner(drift, among, by.manager))
            for drift in found
        ]
        known = {drift.path for drift in found}
        found.extend(
            drift
            for drift in added_drift(wanted.body, actual, schema, among, by, self.managers, created)
            if drift.path not in known
        )
        counted = [drift for drift in found if matching(self.rules, manifest.ref, drift) is None]
        return [self._presented(drift, manifest, wanted) for drift in counted]

    @staticmethod
    def _owner(drift: FieldDrift, among: Sequence[Entry], deployed_by: str | None) -> FieldOwner | None:
        return owner_of(drift.path, among, rather_not=deployed_by)

    def _presented(self, drift: FieldDrift, manifest: Manifest, wanted: Declared) -> FieldDrift:
        drift = replace(drift, at=wanted.at(drift.at))
        if is_secret(manifest.body) and drift.path[0] in ("data", "stringData"):
            drift = replace(drift, desired=self.redactor.value(drift.desired), live=self.redactor.value(drift.live))
        return replace(drift, detail=detail(drift.desired, drift.live)) if drift.change is Change.CHANGED else drift


def unknown(manifest: Manifest, reason: str) -> Verdict:
    """The verdict on an object that could not be judged: never in sync."""
    return Verdict(manifest.ref, manifest.api_version, Status.UNKNOWN, manifest.source, error=reason)
