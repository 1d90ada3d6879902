"""Reduces manifests and live objects to the fields that are compared: without server-owned and redundant ones."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from driftd.model.path import DocumentPath, FieldPath
from driftd.model.resource import Json, JsonObject

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

SERVER_METADATA = frozenset({
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "name",
    "namespace", "resourceVersion", "selfLink", "uid", "generateName",
})  # fmt: skip
"""Fields of metadata that the API server sets, or that identify the object."""


@dataclass(frozen=True, slots=True)
class NormalisedManifest:
    """The part of a manifest that is compared. `document_paths` has the original positions of moved values."""

    body: dict[str, Any]
    document_paths: Mapping[FieldPath, DocumentPath] = field(default_factory=dict)

    def document_path(self, at: DocumentPath) -> DocumentPath:
        return self.document_paths.get(at, at)


def normalise_manifest(body: JsonObject, *, status_is_server_owned: bool = True) -> NormalisedManifest:
    """The manifest in the form that the API server stores: `stringData` of a Secret is merged into `data`."""
    result = _without_server_fields(body, status_is_server_owned=status_is_server_owned)
    if not is_secret(body) or not isinstance(result.get("stringData"), dict):
        return NormalisedManifest(result)
    texts = result.pop("stringData")
    declared = result.get("data")
    if declared is not None and not isinstance(declared, dict):
        return NormalisedManifest(result)  # of the wrong type: the comparison reports it
    data = dict(declared or {})
    moved: dict[FieldPath, DocumentPath] = {}
    for key, text in texts.items():
        if isinstance(text, str):
            data[key] = base64.b64encode(text.encode()).decode()
        elif text is None:
            data.setdefault(key, None)
            continue
        else:
            data[key] = text  # of the wrong type: the comparison reports it
        moved["data", key] = ("stringData", key)
    result["data"] = data
    return NormalisedManifest(result, moved)


def normalise_live(body: JsonObject, *, status_is_server_owned: bool = True) -> dict[str, Any]:
    """The live object without fields that only the server sets."""
    return _without_server_fields(body, status_is_server_owned=status_is_server_owned)


def declares_status(body: JsonObject) -> bool:
    """Whether a manifest sets a status of its own; an empty one, as generators write it, sets none."""
    return _has_content(body.get("status"))


def _has_content(value: Json) -> bool:
    if isinstance(value, Mapping):
        return any(_has_content(item) for item in value.values())
    return value not in (None, "", []) or isinstance(value, bool)


def is_secret(body: JsonObject) -> bool:
    return body.get("kind") == "Secret" and body.get("apiVersion") == "v1"


def _without_server_fields(body: JsonObject, *, status_is_server_owned: bool) -> dict[str, Any]:
    result = dict(body)
    result.pop("apiVersion", None)
    result.pop("kind", None)
    if status_is_server_owned:
        result.pop("status", None)
    metadata = result.get("metadata")
    if isinstance(metadata, Mapping):
        kept = {k: v for k, v in metadata.items() if k not in SERVER_METADATA}
        annotations = kept.get("annotations")
        if isinstance(annotations, Mapping) and LAST_APPLIED in annotations:
            kept["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
        result["metadata"] = kept
    return result
