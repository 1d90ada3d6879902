"""The kustomization that a deployer's object puts on top of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.model.json_text import encode_json


class Overlay:
    """Fields of a kustomization. What is empty is left out."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:
        """Sets a field, unless the value is empty."""
        if value:
            self._fields[key] = value

    def add_labels(self, pairs: Mapping[str, Any], *, selectors: bool, templates: bool = False) -> None:
        """Adds labels to all objects, and if so to their selectors and pod templates."""
        if pairs:
            entry = {"pairs": dict(pairs), "includeSelectors": selectors, "includeTemplates": selectors or templates}
            self._fields.setdefault("labels", []).append(entry)

    def add_metadata(self, annotations: Mapping[str, Any]) -> None:
        """Adds annotations to all objects, and not to their pod templates."""
        if annotations:
            body = {"apiVersion": "v1", "kind": "Any", "metadata": {"name": "any", "annotations": dict(annotations)}}
            patch = {"target": {"name": ".*"}, "patch": encode_json(body).decode()}
            self._fields.setdefault("patches", []).append(patch)

    def text(self) -> str | None:
        """As JSON; None where there is nothing in it."""
        return encode_json(self._fields).decode() if self._fields else None
