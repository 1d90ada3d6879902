"""Giving up what driftd owns of an object that somebody else deploys: its deployer is to own it, as before.

A field with another owner makes a server-side apply fail that is not forced. So what a hand has taken from the
deployer, and driftd has put back, is made the deployer's again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.diff.deployer import find_deployer
from driftd.diff.ownership import managed_fields
from driftd.diff.rules.field_managers import Managers
from driftd.diff.typed.schema import Schema
from driftd.model.drift import FIELD_MANAGER, FieldOwner
from driftd.model.resource import JsonObject
from driftd.repair.field_set import FieldSet, union
from driftd.repair.object_patch import ownership_patch


def deployer_of(live: JsonObject, declared: JsonObject, schema: Schema | None, managers: Managers) -> FieldOwner | None:
    """Who deploys an object, other than driftd; None where that is not known."""
    deployer = find_deployer(live, declared, schema, managed_fields(live), managers)
    for entry in (deployer.entry, deployer.creator):
        if entry is not None and entry.owner.manager != FIELD_MANAGER:
            return entry.owner
    return None


def giving_patch(live: JsonObject, deployer: FieldOwner) -> list[dict[str, Any]]:
    """The operations that make what driftd owns of a live object its deployer's; empty if it owns nothing."""
    version, others, owned = live.get("apiVersion"), list[Mapping[str, Any]](), dict[str, Any]()
    kept: Mapping[str, Any] | None = None
    for raw in live["metadata"].get("managedFields") or ():
        is_main = not raw.get("subresource") and raw.get("apiVersion") == version
        if is_main and raw.get("manager") == FIELD_MANAGER:
            owned = union(owned, raw.get("fieldsV1") or {})
        elif is_main and (raw.get("manager"), raw.get("operation")) == (deployer.manager, deployer.operation):
            kept = raw
        else:
            others.append(raw)
    if not owned:
        return []
    entry = _entry(kept, deployer, str(version), owned)
    return ownership_patch(live, live, [entry, *others])


def _entry(kept: Mapping[str, Any] | None, deployer: FieldOwner, version: str, owned: FieldSet) -> Mapping[str, Any]:
    if kept is not None:
        return {**kept, "fieldsV1": union(kept.get("fieldsV1") or {}, owned)}
    return {
        "manager": deployer.manager,
        "operation": deployer.operation,
        "apiVersion": version,
        "fieldsType": "FieldsV1",
        "fieldsV1": owned,
    }
