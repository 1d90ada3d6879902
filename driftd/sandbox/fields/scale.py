"""managedFields of the `scale` subresource: its `spec.replicas` maps to a field of the scaled object.

Source: k8s.io/apimachinery/pkg/util/managedfields, "ScaleHandler".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from driftd.sandbox.fields.fieldset import FieldPath, FieldSet, path_of
from driftd.sandbox.fields.ownership import OwnerEntry, decode_owners, encode_owners

_REPLICAS = path_of("spec", "replicas")
_SCALE_VERSION = "autoscaling/v1"


def to_scale(entries: list[dict[str, Any]] | None, path: FieldPath) -> list[dict[str, Any]]:
    """The scaled object's entries that own its replicas, converted to entries of the Scale."""
    fields = FieldSet.of(_REPLICAS)
    return encode_owners(
        {
            manager: OwnerEntry(fields, _SCALE_VERSION, owned.applied, owned.time)
            for manager, owned in decode_owners(entries).items()
            if owned.fields.has(path)
        }
    )


def to_parent(
    entries: list[dict[str, Any]] | None, scale_entries: list[dict[str, Any]] | None, path: FieldPath, api_version: str
) -> list[dict[str, Any]]:
    """The scaled object's entries after a write of its Scale. A new entry has no time, as on a real API server."""
    owners = {}
    scaled = decode_owners(scale_entries)
    for manager, owned in decode_owners(entries).items():
        if owned.fields.has(path) and manager not in scaled:
            remaining = owned.fields.difference(FieldSet.of(path))
            if remaining:
                owners[manager] = replace(owned, fields=remaining)
            continue
        scaled.pop(manager, None)
        owners[manager] = owned
    for manager, owned in scaled.items():
        if owned.fields.has(_REPLICAS):
            owners[manager] = OwnerEntry(FieldSet.of(path), api_version, owned.applied, None)
    return encode_owners(owners)
