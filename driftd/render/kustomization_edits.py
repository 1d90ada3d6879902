"""What a deployer writes into the kustomization file of a folder before it builds it, as `kustomize edit` does.

Source: fluxcd/pkg/kustomize 1.35, Generator.GenerateManifest; argo-cd 3.6, util/kustomize/kustomize.go; kustomize 5.8,
kustomize/commands/edit.
"""

from __future__ import annotations

from typing import Any

from driftd.model.resource import JsonObject

IGNORE_MISSING_COMPONENTS = "ignoreMissingComponents"
"""Of the edits: components that are not there are no error."""

REPLACES = "replaces"
"""Of an image in the edits: nothing of an entry of the same name is kept but what is `*`, as Argo CD does; Flux keeps
what is not set."""

_APPENDED = ("patches", "components", "labels")
_MERGED = ("commonLabels", "commonAnnotations")
_VERSION = ("newTag", "digest")
_KEEPS = "*"


def edited(body: JsonObject, edits: JsonObject) -> JsonObject:
    """The content of a kustomization file with the fields of `edits` in it; its own keep what these do not name."""
    changed = dict(body)
    for key, value in edits.items():
        if key == IGNORE_MISSING_COMPONENTS:
            continue
        own = body.get(key)
        if key in _APPENDED:
            changed[key] = [*_list(own), *value]
        elif key in _MERGED:
            changed[key] = {**(own if isinstance(own, dict) else {}), **value}
        elif key == "images":
            changed[key] = _by_name(own, value, _image)
        elif key == "replicas":
            changed[key] = _by_name(own, value, lambda _, new: new)
        else:
            changed[key] = value
    return changed


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _by_name(own: Any, new: list[JsonObject], merged: Any) -> list[Any]:
    """A list in which new entries take the place of those of the same name."""
    result = _list(own)
    for entry in new:
        before = [each for each in result if isinstance(each, dict) and each.get("name") == entry.get("name")]
        others = [each for each in result if each not in before]
        result = [*others, merged(before[-1] if before else {}, entry)]
    return result


def _image(own: JsonObject, new: JsonObject) -> JsonObject:
    values = {key: value for key, value in new.items() if key != REPLACES}
    if new.get(REPLACES) is True:
        kept = {key: own[key] for key, value in values.items() if value == _KEEPS and key in own}
        return {key: value for key, value in values.items() if value != _KEEPS} | kept
    kept = {key: value for key, value in own.items() if key not in _VERSION or not any(values.get(k) for k in _VERSION)}
    return {**kept, **values}
