"""JSON over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from driftd.model.json_text import encode_json

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of every response."""


class JsonResponse(Response):
    """Any JSON document, including integers past 64 bits and lone surrogates."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return encode_json(content)
