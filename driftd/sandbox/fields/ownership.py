"""Field ownership: how a write changes `metadata.managedFields`.

Source: structured-merge-diff, "merge" (Updater); k8s.io/apimachinery/pkg/util/managedfields.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from driftd.sandbox.document import Object
from driftd.sandbox.fields.atoms import Ref
from driftd.sandbox.fields.checking import validate
from driftd.sandbox.fields.comparing import Comparison, compare, same
from driftd.sandbox.fields.fieldset import EMPTY, FieldFilter, FieldPath, FieldSet, path_of, path_text
from driftd.sandbox.fields.merging import merge, remove
from driftd.sandbox.fields.typed import TypedError, field_set, with_named_fields

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_MAX_UPDATERS = 10
_STRIPPED = FieldSet.of(
    *(path_of(name) for name in ("apiVersion", "kind", "metadata")),
    *(
        path_of("metadata", name)
        for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
            "resourceVersion",
        )
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class ManagerId:
    """The identity of an entry: an applier's is its name, an updater's includes the API version."""

    name: str
    operation: str
    api_version: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        text = json.dumps(self.name, ensure_ascii=False)
        if self.subresource:
            text += f" with subresource {json.dumps(self.subresource)}"
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


@dataclass(frozen=True, slots=True)
class OwnerEntry:
    fields: FieldSet
    api_version: str
    applied: bool
    time: str | None = None


Owners = dict[ManagerId, OwnerEntry]


class FieldConflict(Exception):
    """An applied field is owned by another manager."""

    def __init__(self, conflicts: list[tuple[ManagerId, FieldPath]]) -> None:
        self.conflicts = conflicts
        super().__init__(_conflict_text(conflicts))


class MergeError(Exception):
    """The applied configuration is not valid. The text is the API server's."""

    def __init__(self, message: str, *, bad_request: bool = False) -> None:
        self.bad_request = bad_request
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Merger:
    """Merges objects of one kind and version, written through one (sub)resource.

    `type_of` returns the type in a version, or None if the kind is not served in it; `keep` drops the fields that this
    (sub)resource does not write; `decode` decodes a merged object as the API does; `empty` is an empty object of the
    kind.
    """

    type_of: Callable[[str], Ref | None]
    api_version: str
    subresource: str = ""
    keep: FieldFilter | None = None
    decode: Callable[[Object], Object] = lambda obj: obj
    empty: Object = field(default_factory=dict)

    def update(self, live: Object, new: Object, manager: str, now: datetime) -> Object:
        """`new` with the managedFields that result from an update of `live` by `manager`.

        On creation, `live` is the empty object of the kind.
        """
        owners = self._owners_for_update(live, new)
        previous = decode_owners(live.get("metadata", {}).get("managedFields"))
        live, new = _without_owners(live), _without_owners(new)
        if owners or not live.get("metadata", {}).get("uid"):
            identity = ManagerId(manager or "unknown", "Update", self.api_version, self.subresource)
            try:
                owners = _limit_updaters(self._updated(live, new, owners, identity, now))
            except TypedError:  # as in the API server: an object that does not match its schema keeps its owners
                owners = previous
        return _with_owners(new, owners)

    def apply(self, live: Object, config: Object, manager: str, now: datetime, *, force: bool) -> Object:
        """`config` merged into `live` by server-side apply.

        Raises: FieldConflict; MergeError.
        """
        owners = decode_owners(live.get("metadata", {}).get("managedFields"))
        live = _without_owners(live)
        if not owners and live.get("metadata", {}).get("uid"):
            identity = ManagerId("before-first-apply", "Update", self.api_version, self.subresource)
            owners = self._updated(self.empty, live, {}, identity, now)
        identity = ManagerId(manager, "Apply", "", self.subresource)
        self._check_config(config)
        try:
            merged, after = self._applied(live, config, dict(owners), identity, force=force)
        except FieldConflict as conflict:
            if manager != "kubectl" or not self._explained_by_last_applied(live, conflict):
                raise
            merged, after = self._applied(live, config, dict(owners), identity, force=True)
        if merged is None:
            return _with_owners(live, after)
        if identity in after:
            after[identity] = replace(after[identity], time=_stamp(now))
        merged = self.decode(merged)
        if manager == "kubectl" and merged.get("metadata", {}).get("annotations", {}).get(LAST_APPLIED):
            _set_last_applied(merged, config)
        return _with_owners(merged, after)

    def _owners_for_update(self, live: Object, new: Object) -> Owners:
        """A request may set or clear managedFields, except through a subresource."""
        entries = live.get("metadata", {}).get("managedFields")
        if self.subresource:
            return decode_owners(entries)
        requested = new.get("metadata", {}).get("managedFields")
        if requested in ([], [{}]):
            return {}
        return decode_owners(requested) or decode_owners(entries)

    def _updated(self, live: Object, new: Object, owners: Owners, identity: ManagerId, now: datetime) -> Owners:
        ref = self._type()
        owners, comparison = self._resolve_conflicts(live, new, dict(owners), None, ref, force=True)
        mine = comparison.modified.union(comparison.added)
        if self.keep is not None:
            mine = self.keep(mine)
        mine = mine.difference(_STRIPPED)
        if mine:
            previous = owners.get(identity)
            fields = mine.union(previous.fields) if previous else mine
            owners[identity] = OwnerEntry(fields, self.api_version, False, _stamp(now))
        return owners

    def _applied(
        self, live: Object, config: Object, owners: Owners, identity: ManagerId, *, force: bool
    ) -> tuple[Object | None, Owners]:
        ref = self._type()
        try:
            merged = merge(live, config, ref)
            fields = field_set(config, ref)
        except TypedError as error:
            raise MergeError(f"failed to merge config: {error}") from error
        if self.keep is not None:
            fields = self.keep(fields)
        last = owners.get(identity)
        owners[identity] = OwnerEntry(fields, self.api_version, True, last.time if last else None)
        if last is not None and last.fields:
            merged = self._prune(merged, owners, last)
        owners, _ = self._resolve_conflicts(live, merged, owners, identity, ref, force=force)
        mine = owners.get(identity)
        if mine is not None:
            stripped = mine.fields.difference(_STRIPPED)
            if stripped:
                owners[identity] = replace(mine, fields=stripped)
            else:
                del owners[identity]
        return (None if same(live, merged) else merged), owners

    def _resolve_conflicts(
        self, live: Object, new: Object, owners: Owners, identity: ManagerId | None, ref: Ref, *, force: bool
    ) -> tuple[Owners, Comparison]:
        """Returns: the entries of other managers after the change, and the change.

        Raises: FieldConflict: unless `force` is set.
        """
        comparison = compare(live, new, ref).filtered(self.keep)
        changed = comparison.modified.union(comparison.added)
        conflicts: dict[ManagerId, FieldSet] = {}
        for manager, owned in list(owners.items()):
            if manager == identity:
                continue
            if owned.api_version != self.api_version and self.type_of(owned.api_version) is None:
                del owners[manager]
                continue
            if overlap := owned.fields.intersection(changed):
                conflicts[manager] = overlap
        if conflicts and not force:
            raise FieldConflict([(m, path) for m, overlap in sorted(conflicts.items()) for path in overlap.paths()])
        for manager, owned in list(owners.items()):
            if manager == identity:
                continue
            remaining = owned.fields.difference(conflicts.get(manager, EMPTY)).difference(comparison.removed)
            owners[manager] = replace(owned, fields=remaining)
        return {manager: owned for manager, owned in owners.items() if owned.fields}, comparison

    def _prune(self, merged: Object, owners: Owners, last: OwnerEntry) -> Object:
        """Removes fields that the applier no longer declares and that no other manager owns."""
        ref = self._type()
        named_last = with_named_fields(last.fields, ref)
        managed = EMPTY
        for owned in owners.values():
            managed = managed.union(owned.fields)
        pruned = remove(merged, named_last, ref) or {}
        all_fields = with_named_fields(field_set(merged, ref), ref)
        kept = with_named_fields(field_set(pruned, ref), ref).union(with_named_fields(managed, ref))
        pruned = remove(merged, all_fields.difference(kept), ref) or {}
        remaining = with_named_fields(field_set(pruned, ref), ref)
        result: Object = remove(merged, all_fields.difference(remaining).intersection(named_last), ref) or {}
        return result

    def _check_config(self, config: Object) -> None:
        if config.get("metadata", {}).get("managedFields") is not None:
            raise MergeError("metadata.managedFields must be nil", bad_request=True)
        try:
            validate(config, self._type())
        except TypedError as error:
            metadata = config.get("metadata", {})
            kind = f"{config['apiVersion']}, Kind={config['kind']}"
            if "/" not in config["apiVersion"]:
                kind = f"/{kind}"
            location = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {kind}"
            raise MergeError(f"failed to create typed patch object ({location}): {error}") from error

    def _explained_by_last_applied(self, live: Object, conflict: FieldConflict) -> bool:
        """Whether all conflicts are with kubectl's own client-side apply, which server-side apply takes over unforced.

        Raises: FieldConflict: with the conflicts that the last-applied annotation does not explain.
        """
        annotation = live.get("metadata", {}).get("annotations", {}).get(LAST_APPLIED)
        if not annotation:
            return False
        try:
            last = json.loads(annotation)
            if not isinstance(last, dict) or last.get("apiVersion") != self.api_version:
                return False
            ref = self._type()
            validate(last, ref)
            fields, comparison = field_set(last, ref), compare(last, live, ref)
        except (ValueError, TypedError):
            return False
        allowed = fields.difference(comparison.modified).difference(comparison.added).difference(comparison.removed)
        unexplained = [(manager, path) for manager, path in conflict.conflicts if not allowed.has(path)]
        if unexplained:
            raise FieldConflict(unexplained) from conflict
        return True

    def _type(self) -> Ref:
        ref = self.type_of(self.api_version)
        assert ref is not None, "a kind is served in its own version"  # noqa: S101 - for the type checker
        return ref


def decode_owners(entries: list[Object] | None) -> Owners:
    """The entries of managedFields; empty if one of them is not valid, as in the API server."""
    owners: Owners = {}
    for entry in entries or ():
        operation = entry.get("operation")
        if operation not in ("Apply", "Update") or entry.get("fieldsType") != "FieldsV1" or not entry.get("apiVersion"):
            return {}
        applied = operation == "Apply"
        identity = ManagerId(
            entry.get("manager", ""), operation, "" if applied else entry["apiVersion"], entry.get("subresource", "")
        )
        fields = FieldSet.from_fields_v1(entry.get("fieldsV1") or {})
        owners[identity] = OwnerEntry(fields, entry["apiVersion"], applied, entry.get("time"))
    return owners


def encode_owners(owners: Owners) -> list[Object]:
    entries = []
    for identity, owned in owners.items():
        entry: Object = {
            "manager": identity.name,
            "operation": identity.operation,
            "apiVersion": owned.api_version,
            "time": owned.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": owned.fields.to_fields_v1(),
            "subresource": identity.subresource,
        }
        entries.append({key: value for key, value in entry.items() if value or key == "fieldsV1"})
    entries.sort(
        key=lambda e: (
            e["operation"],
            e.get("time", ""),
            e.get("manager", ""),
            e["apiVersion"],
            e.get("subresource", ""),
        )
    )
    return entries


def _without_owners(obj: Object) -> Object:
    metadata = obj.get("metadata")
    if not metadata or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _with_owners(obj: Object, owners: Owners) -> Object:
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    if owners:
        metadata["managedFields"] = encode_owners(owners)
    return {**obj, "metadata": metadata}


def _limit_updaters(owners: Owners) -> Owners:
    """Merges the oldest updaters into one entry if there are more than ten."""
    updaters = [manager for manager, owned in owners.items() if not owned.applied]
    surplus = len(updaters) - _MAX_UPDATERS
    if surplus <= 0:
        return owners
    updaters.sort(key=lambda m: (owners[m].time or "", m))
    first: dict[str, ManagerId] = {}
    for manager in updaters:
        if surplus <= 0:
            break
        owned = owners[manager]
        bucket = ManagerId("ancient-changes", "Update", owned.api_version)
        if owned.api_version not in first:
            first[owned.api_version] = manager
            continue
        if bucket not in owners:
            owners[bucket] = owners.pop(first[owned.api_version])
        owners[bucket] = replace(owned, fields=owned.fields.union(owners[bucket].fields))
        del owners[manager]
        surplus -= 1
    return owners


def _set_last_applied(merged: Object, config: Object) -> None:
    metadata = dict(config.get("metadata", {}))
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k != LAST_APPLIED}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    text = json.dumps({**config, "metadata": metadata}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    merged_metadata = merged["metadata"]
    merged["metadata"] = {
        **merged_metadata,
        "annotations": {**merged_metadata["annotations"], LAST_APPLIED: text + "\n"},
    }


def _conflict_text(conflicts: list[tuple[ManagerId, FieldPath]]) -> str:
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {manager}: {path_text(path)}"
    grouped: dict[ManagerId, list[FieldPath]] = {}
    for manager, path in conflicts:
        grouped.setdefault(manager, []).append(path)
    lines = []
    for manager in sorted(grouped):
        lines.append(f"conflicts with {manager}:")
        lines.extend(f"- {path_text(path)}" for path in grouped[manager])
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
