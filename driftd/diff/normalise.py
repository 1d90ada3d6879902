"""What of an object is compared at all: not what the server owns, not what merely repeats something else."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from driftd.model.path import DocumentPath, FieldPath
from driftd.model.resource import JsonObject

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

SERVER_METADATA = frozenset({
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "name",
    "namespace", "resourceVersion", "selfLink", "uid", "generateName",
})  # fmt: skip
"""Fields of metadata that the API server sets, or that name the object itself."""


@dataclass(frozen=True, slots=True)
class NormalisedManifest:
    """The part of a manifest that is compared. `moved` says where in the document a folded value stands."""

    body: dict[str, Any]
    document_paths: Mapping[FieldPath, DocumentPath] = field(default_factory=dict)

    def document_path(self, document_path: DocumentPath) -> DocumentPath:
        return self.document_paths.get(document_path, document_path)


def normalise_manifest(body: JsonObject, *, status_is_server_owned: bool = True) -> NormalisedManifest:
    """What Git declares, in the form that the API server stores: `stringData` of a Secret folded into `data`."""
    result = _without_server_fields(body, status_is_server_owned=status_is_server_owned)
    if not is_secret(body) or not isinstance(result.get("stringData"), dict):
        return NormalisedManifest(result)
    texts = result.pop("stringData")
    data = dict(result.get("data") or {})
    moved: dict[FieldPath, DocumentPath] = {}
    for key, text in texts.items():
        if isinstance(text, str):
            data[key] = base64.b64encode(text.encode()).decode()
        elif text is None:
            data.setdefault(key, None)
            continue
        else:
            data[key] = text  # of the wrong type: the comparison says so
        moved["data", key] = ("stringData", key)
    result["data"] = data
    return NormalisedManifest(result, moved)


def normalise_live(body: JsonObject, *, status_is_server_owned: bool = True) -> dict[str, Any]:
    """What is live, without what only the server sets."""
    return _without_server_fields(body, status_is_server_owned=status_is_server_owned)


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
