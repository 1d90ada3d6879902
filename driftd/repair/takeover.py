"""Taking an object over from the deployer that has kept it: its marks go, and its fields become driftd's.

All of it is one JSON patch, together with what is put right: either the object is driftd's as Git declares it, or
nothing has happened. It is bound to the version that was judged.
Source: client-go, `util/csaupgrade`, which does so from client-side to server-side apply.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from driftd.diff.claims import claiming_rows
from driftd.diff.normalise import LAST_APPLIED
from driftd.diff.ownership import managed_fields
from driftd.diff.rules.field_managers import DeployerRow, Managers
from driftd.diff.rules.globs import matches_any
from driftd.diff.typed.schema import Schema
from driftd.model.drift import FIELD_MANAGER, FieldDrift
from driftd.model.path import FieldPath, format_path
from driftd.model.resource import Json, JsonObject
from driftd.repair.field_set import FieldSet, declared_fields, split_by_declared, split_by_path, union
from driftd.repair.object_patch import ownership_patch
from driftd.repair.restored_object import restored_object

_RECORD: FieldPath = ("metadata", "annotations", LAST_APPLIED)


def takeover_patch(
    live: JsonObject, declared: JsonObject, fields: Sequence[FieldDrift], schema: Schema | None, managers: Managers
) -> list[dict[str, Any]]:
    """The operations that put `fields` of a live object right and make driftd the only one who keeps it.

    Raises: DriftdError, as `restored_object`.
    """
    rows = claiming_rows(declared, live, managers)
    after = restored_object(live, declared, fields, schema)
    metadata = after["metadata"]
    gone = set(_marks_to_remove(live, declared, rows))
    for _, section, key in gone:
        metadata[section].pop(key, None)  # one that differs from Git may have been put right already
    return ownership_patch(live, after, _upgraded(live, declared, schema, rows, gone))


def _marks_to_remove(
    live: JsonObject, declared: JsonObject, rows: Sequence[DeployerRow]
) -> Iterator[tuple[str, str, str]]:
    """The labels and annotations by which the deployers know the object, and kubectl's record, as far as Git declares
    none of them."""
    patterns = tuple(
        pattern for row in rows for pattern in (*row.marks, *(path for group in row.claims for path in group))
    )
    for section in ("labels", "annotations"):
        kept = (declared.get("metadata") or {}).get(section) or {}
        for key in live["metadata"].get(section) or {}:
            path = ("metadata", section, key)
            if key not in kept and (path == _RECORD or matches_any(patterns, format_path(path))):
                yield path


@dataclass(slots=True)
class _Taken:
    """What driftd gets: `applied` are fields that Git declares, `updated` others that came with the requests of the
    former deployer, as defaults and what admission adds do."""

    applied: FieldSet = field(default_factory=dict)
    updated: FieldSet = field(default_factory=dict)
    times: list[str] = field(default_factory=list)


def _upgraded(
    live: JsonObject,
    declared: JsonObject,
    schema: Schema | None,
    rows: Sequence[DeployerRow],
    gone: set[tuple[str, str, str]],
) -> list[dict[str, Any]]:
    """The managedFields without the former deployers, whose fields are driftd's.

    Marks that cannot go (kapp has some in selectors) stay theirs. An entry of another version of the kind names other
    fields: for it, all that Git declares becomes driftd's.
    """
    taken, others = _Taken(), list[dict[str, Any]]()
    recorder, staying_marks = _recorder(live), set(_marks_below(live, rows, ()))
    for raw in live["metadata"].get("managedFields") or ():
        is_ours = raw.get("manager") == FIELD_MANAGER
        if raw.get("subresource") or not (is_ours or raw.get("manager") == recorder or _is_of(raw, rows)):
            others.append(raw)
            continue
        if raw.get("apiVersion") != live.get("apiVersion"):
            taken.applied = union(taken.applied, declared_fields(declared, schema))
            continue
        _, fields = split_by_path(raw.get("fieldsV1") or {}, gone)
        staying: FieldSet = {}
        if not is_ours:
            staying, fields = split_by_path(fields, staying_marks)
        if staying:
            others.append({**raw, "fieldsV1": staying})
        _take(taken, raw, fields, declared, schema)
    return [*_entries(taken, str(live.get("apiVersion"))), *others]


def _take(taken: _Taken, raw: Mapping[str, Any], fields: FieldSet, declared: JsonObject, schema: Schema | None) -> None:
    taken.times.append(str(raw.get("time") or ""))
    if raw.get("operation") == "Apply":
        taken.applied = union(taken.applied, fields)
        return
    own, rest = split_by_declared(fields, declared, schema)
    taken.applied, taken.updated = union(taken.applied, own), union(taken.updated, rest)


def _entries(taken: _Taken, api_version: str) -> Iterator[dict[str, Any]]:
    """driftd's entries. The API server fills in the time of the write where there is none."""
    time = max(taken.times, default="")
    for operation, fields in (("Apply", taken.applied), ("Update", taken.updated)):
        if fields:
            yield {
                "manager": FIELD_MANAGER,
                "operation": operation,
                "apiVersion": api_version,
                "fieldsType": "FieldsV1",
                "fieldsV1": fields,
                **({"time": time} if time else {}),
            }


def _recorder(live: JsonObject) -> str | None:
    """The manager that keeps kubectl's record of the last apply: by client-side apply, which another tool may run."""
    return next((entry.owner.manager for entry in managed_fields(live) if entry.owns(_RECORD)), None)


def _is_of(raw: Mapping[str, Any], rows: Sequence[DeployerRow]) -> bool:
    manager, operation = raw.get("manager") or "", raw.get("operation") or "Update"
    return any(row.is_writer(manager, operation) for row in rows)


def _marks_below(value: Json, rows: Sequence[DeployerRow], path: FieldPath) -> Iterator[FieldPath]:
    """The marks of the deployers that are outside of the metadata: in maps alone."""
    for key, below in value.items() if isinstance(value, Mapping) else ():
        here = (*path, key)
        if here == ("metadata",):
            continue
        if isinstance(below, Mapping):
            yield from _marks_below(below, rows, here)
        elif any(matches_any(row.marks, format_path(here)) for row in rows if row.marks):
            yield here
