"""The configuration's JSON Schema, for editors."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from driftd.config.duration import format_duration
from driftd.config.settings import Config
from driftd.config.values import ListenAddress

SCHEMA_ID = "https://driftd.io/schemas/driftd.schema.json"


def json_schema() -> dict[str, Any]:
    """The content of `config/driftd.schema.json`: draft 2020-12, with a description of every key."""
    schema = Config.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **_editor_friendly(schema)}


class _Generator(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Defaults in the configuration's own form; pydantic would write durations as ISO 8601."""
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, ListenAddress):
            return str(dft)
        return super().encode_default(dft)


def _editor_friendly(node: Any) -> Any:
    """Removes pydantic's generated titles, and `null`, which only means that a key is absent."""
    if isinstance(node, list):
        return [_editor_friendly(item) for item in node]
    if not isinstance(node, dict):
        return node
    out = {
        key: _editor_friendly(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))
    }
    alternatives = out.get("anyOf")
    if isinstance(alternatives, list) and {"type": "null"} in alternatives:
        kept = [alternative for alternative in alternatives if alternative != {"type": "null"}]
        del out["anyOf"]
        if out.get("default", ...) is None:
            del out["default"]
        out = {**kept[0], **out} if len(kept) == 1 else {**out, "anyOf": kept}
    return out


def schema_text() -> str:
    """The schema as the text of its file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
