"""Secret values never leave the comparison: what is shown is a keyed hash."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from driftd.diff.values import decoded
from driftd.model.resource import Json


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces values by `<redacted:HASH8>`, equal when the values are equal under the same key."""

    key: bytes = field(repr=False)

    def value(self, value: Json) -> Json:
        """The stand-in of one value; maps and lists keep their shape, so that one sees which keys there are."""
        if value is None:
            return None
        if isinstance(value, dict):
            return {k: self.value(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return f"<redacted:{hmac.new(self.key, self._bytes(value), hashlib.sha256).hexdigest()[:8]}>"

    @staticmethod
    def _bytes(value: Any) -> bytes:
        if isinstance(value, str):
            raw = decoded(value)
            return value.encode() if raw is None else raw
        return json.dumps(value).encode()
