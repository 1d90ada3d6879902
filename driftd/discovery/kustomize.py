"""What a deployer's object adds to the kustomization of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.model.json_text import encode_json


class KustomizationFields:
    """Fields of a kustomization. What is empty is left out."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:
        """Sets a field, unless the value is empty."""
        if value:
            self._fields[key] = value

    def add_labels(self, pairs: Mapping[str, Any], *, templates: bool = False) -> None:
        """Adds labels to all objects, if so to their pod templates, too, and to no selectors."""
        if pairs:
            entry = {"pairs": dict(pairs), "includeSelectors": False, "includeTemplates": templates}
            self._fields.setdefault("labels", []).append(entry)

    def text(self) -> str | None:
        """As JSON; None where there is nothing in it."""
        return encode_json(self._fields).decode() if self._fields else None
