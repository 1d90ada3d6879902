"""JSON over HTTP."""

from __future__ import annotations

import json
from typing import Any

import orjson
from starlette.responses import Response

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of every response."""


class JsonResponse(Response):
    """Any JSON document, including integers past 64 bits and lone surrogates."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        try:
            return orjson.dumps(content)
        except orjson.JSONEncodeError:
            return json.dumps(content).encode()
