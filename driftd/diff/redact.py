"""Redaction of Secrets: their values leave the comparison only as keyed hashes."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from driftd.diff.locate import locate
from driftd.diff.typed.schema import Schema
from driftd.diff.typed.values import decode_base64
from driftd.model.drift import FieldDrift
from driftd.model.path import FieldPath
from driftd.model.resource import Json

_VALUE_FIELDS = ("data", "stringData")
_MAX_ANNOTATION_LENGTH = 512
"""Maximum characters of a Secret's annotation that is shown: a longer one, or JSON, may contain the whole Secret."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces values by `<redacted:HASH8>`, equal when the values are equal under the same key."""

    key: bytes = field(repr=False)

    def value(self, value: Json) -> Json:
        """The redacted form of a value; maps and lists keep their structure, so that their keys show."""
        if value is None:
            return None
        if isinstance(value, dict):
            return {k: self.value(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return f"<redacted:{hmac.new(self.key, self._bytes(value), hashlib.sha256).hexdigest()[:8]}>"

    def drift(self, drift: FieldDrift, schema: Schema | None, desired: Json, live: Json) -> FieldDrift:
        """The drift without values of Secrets, whether the object is a Secret or contains one.

        `desired` and `live` are the whole objects, to find a Secret that contains the field.
        """
        if _is_secret(desired):
            return self._of_secret(drift)
        if any(_is_in_nested_secret(drift.path, body, schema) for body in (desired, live)):
            return replace(drift, desired=self.value(drift.desired), live=self.value(drift.live))
        return replace(drift, desired=self._nested(drift.desired), live=self._nested(drift.live))

    def _of_secret(self, drift: FieldDrift) -> FieldDrift:
        if drift.path[0] in _VALUE_FIELDS:
            return replace(
                drift,
                desired=self.secret_values(drift.desired, drift.path),
                live=self.secret_values(drift.live, drift.path),
            )
        if drift.path[:2] == ("metadata", "annotations"):
            return replace(drift, desired=self._annotation(drift.desired), live=self._annotation(drift.live))
        return drift

    def secret_values(self, value: Json, path: FieldPath) -> Json:
        """The redacted form of a value at or below `data`: the value of each key is hashed as a whole."""
        if len(path) == 1 and isinstance(value, dict):
            return {k: self.value(v if isinstance(v, str) else json.dumps(v)) for k, v in value.items()}
        return None if value is None else self.value(value if isinstance(value, str) else json.dumps(value))

    def _annotation(self, value: Json) -> Json:
        if isinstance(value, dict):
            return {k: self._annotation(v) for k, v in value.items()}
        redact = isinstance(value, str) and (len(value) > _MAX_ANNOTATION_LENGTH or value.lstrip()[:1] in ("{", "["))
        return self.value(value) if redact else value

    def _nested(self, value: Json) -> Json:
        """The redacted form of a value that may contain whole Secrets, such as a template or list."""
        if isinstance(value, dict):
            if _is_secret(value):
                return {k: self.value(v) if k in _VALUE_FIELDS else v for k, v in value.items()}
            return {k: self._nested(v) for k, v in value.items()} if _has_structure(value) else value
        if isinstance(value, list):
            return [self._nested(item) for item in value] if any(isinstance(i, dict | list) for i in value) else value
        return value

    @staticmethod
    def _bytes(value: Any) -> bytes:
        if isinstance(value, str):
            raw = decode_base64(value)
            return value.encode() if raw is None else raw
        return json.dumps(value).encode()


def _has_structure(value: Mapping[str, Any]) -> bool:
    return any(isinstance(item, dict | list) for item in value.values())


def _is_secret(value: Json) -> bool:
    return isinstance(value, Mapping) and value.get("kind") == "Secret" and value.get("apiVersion") == "v1"


def _is_in_nested_secret(path: FieldPath, body: Json, schema: Schema | None) -> bool:
    """Whether the field belongs to the values of a Secret that is part of the object."""
    for depth, part in enumerate(path):
        if depth and part in _VALUE_FIELDS:
            parent = locate(path[:depth], body, schema)
            if parent is not None and _is_secret(parent.value):
                return True
    return False
