"""Redaction of Secrets: their values leave the comparison only as keyed hashes."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from driftd.diff.locate import Locator
from driftd.diff.typed.schema import Schema
from driftd.diff.typed.values import decode_base64
from driftd.model.drift import FieldDrift
from driftd.model.path import FieldPath
from driftd.model.resource import Json

_SHOWN_FIELDS = frozenset({"apiVersion", "kind", "type", "immutable"})
_SHOWN_METADATA = frozenset(
    {
        "name",
        "generateName",
        "namespace",
        "labels",
        "finalizers",
        "ownerReferences",
        "uid",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)
"""What of a Secret is shown. Anything else may be a value at a misspelt key (`stringdata`), or in the wrong place."""
_MAX_ANNOTATION_LENGTH = 64
"""Maximum characters of a Secret's annotation that is shown: a longer one may contain the whole Secret, compressed."""

Redact = Callable[[FieldDrift], FieldDrift]
"""Redacts the values of Secrets in a drift."""


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

    def of(self, desired: Json, live: Json, schema: Schema | None) -> Redact:
        """Redacts drift of one object, whether it is a Secret or contains one."""
        if _is_secret(desired):
            return self._secret_drift
        if not (_contains_secret(desired) or _contains_secret(live)):
            return lambda drift: drift
        sides = (Locator(desired, schema), Locator(live, schema))
        return lambda drift: self._nested_drift(drift, sides)

    def _secret_drift(self, drift: FieldDrift, depth: int = 0) -> FieldDrift:
        """`depth`: where in the field's path the Secret is."""
        path = drift.path[depth:]
        return replace(drift, desired=self._of_secret(drift.desired, path), live=self._of_secret(drift.live, path))

    def _nested_drift(self, drift: FieldDrift, sides: Iterable[Locator]) -> FieldDrift:
        for side in sides:
            for depth in range(1, len(drift.path)):
                parent = side.locate(drift.path[:depth])
                if parent is not None and _is_secret(parent.value):
                    return self._secret_drift(drift, depth)
        return replace(drift, desired=self._nested(drift.desired), live=self._nested(drift.live))

    def _of_secret(self, value: Json, path: FieldPath) -> Json:
        """The redacted form of a value at a path in a Secret, or of all of it."""
        match path:
            case ():
                return {k: self._of_secret(v, (k,)) for k, v in value.items()} if isinstance(value, dict) else value
            case ("metadata",) if isinstance(value, dict):
                return {k: self._of_secret(v, ("metadata", k)) for k, v in value.items()}
            case ("metadata", "annotations", *_):
                return self._annotation(value)
            case ("metadata", name, *_) if name in _SHOWN_METADATA:
                return value
            case (name, *_) if name in _SHOWN_FIELDS:
                return value
        return self._secret_values(value, path)

    def _secret_values(self, value: Json, path: FieldPath) -> Json:
        """The redacted form of a value at or below `data`: the value of each key is hashed as a whole."""
        if len(path) == 1 and isinstance(value, dict):
            return {k: self.value(v if isinstance(v, str) else json.dumps(v)) for k, v in value.items()}
        return None if value is None else self.value(value if isinstance(value, str) else json.dumps(value))

    def _annotation(self, value: Json) -> Json:
        if isinstance(value, dict):
            return {k: self._annotation(v) for k, v in value.items()}
        text = value if isinstance(value, str) else json.dumps(value)
        redact = len(text) > _MAX_ANNOTATION_LENGTH or text.lstrip()[:1] in ("{", "[") or "\n" in text
        return self.value(value) if redact else value

    def _nested(self, value: Json) -> Json:
        """The redacted form of a value that may contain whole Secrets, such as a template or list."""
        if isinstance(value, dict):
            if _is_secret(value):
                return self._of_secret(value, ())
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


def _contains_secret(body: Json) -> bool:
    left = [body]
    while left:
        value = left.pop()
        if _is_secret(value):
            return True
        if isinstance(value, dict | list):
            inner = value.values() if isinstance(value, dict) else value
            left.extend(each for each in inner if isinstance(each, dict | list))
    return False
