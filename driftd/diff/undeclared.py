"""Finds live fields that Git does not declare and that somebody set, by managedFields.

The API server's defaults are no drift, and neither is what admission may have added to the deployer's own requests. A
value that nobody owns is looked at as well: a zero, a conversion and a hand can lose its owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.diff.additions import Additions, Ownership
from driftd.diff.former_additions import search_formerly_declared
from driftd.diff.owned_additions import search_entry
from driftd.diff.typed.schema import Schema
from driftd.diff.unowned_additions import search_unowned
from driftd.model.drift import FieldDrift, FieldOwner

_EMPTY: Mapping[str, Any] = {}


def undeclared_drift(
    desired: dict[str, Any], live: dict[str, Any], schema: Schema | None, ownership: Ownership
) -> list[FieldDrift]:
    """The undeclared fields that somebody set, each at the topmost value that is wholly undeclared."""
    additions = Additions(ownership)
    converted: FieldOwner | None = None
    for entry in ownership.entries:
        if ownership.managers.writes_everything(entry.owner):
            continue
        search_entry(additions, entry.fields, desired, live, schema, None, _EMPTY, entry.owner)
        if entry.api_version != ownership.api_version and not ownership.deployer.wrote(entry, ownership.managers):
            converted = entry.owner
    if ownership.deployer.last_applied is not None:
        search_formerly_declared(additions, ownership.deployer.last_applied, desired, live, schema, None)
    # Entries of another version of the kind name other fields: what this version has besides is that manager's.
    search_unowned(additions, desired, live, schema, (), (), converted)
    return list(additions.drifts.values())
