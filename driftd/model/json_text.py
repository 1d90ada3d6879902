"""JSON of any value that was decoded from JSON or YAML."""

from __future__ import annotations

import json

import orjson

from driftd.model.resource import Json


def encode_json(document: Json) -> bytes:
    """Compact JSON, including integers past 64 bits and lone surrogates, which orjson refuses."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()
