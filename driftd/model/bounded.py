"""Bounds on documents that are sent or answered: receivers refuse what is too large, and a message would be lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from driftd.model.json_text import encode_json
from driftd.model.resource import Json

MAX_OBJECT_FIELDS = 100
"""Of one object, so that one of thousands of fields leaves room for others."""

MAX_FIELDS = 1_000
"""Of all objects of a document."""

MAX_FIELD_BYTES = 384 * 1024
"""Of the fields of all objects of a document, as JSON: web servers mostly take a body of 1 MiB."""

MAX_TEXT = 4_096
"""Characters of one value or text."""


def bounded(objects: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The documents of objects, with no more fields and no longer values than one document should have.

    An object with fewer fields than it has says how many others there are (`more_fields`), and a field whose values
    are not whole says so (`shortened`). Whole ones stay as they are.
    """
    bounds = _Bounds()
    return [bounds.object(document) for document in objects]


def without_fields(objects: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same documents without any of their fields, which are only counted."""
    return [_with(document, ()) for document in objects]


class _Bounds:
    """What is left for the fields of the objects that follow."""

    def __init__(self) -> None:
        self._fields = MAX_FIELDS
        self._bytes = MAX_FIELD_BYTES

    def object(self, document: Mapping[str, Any]) -> dict[str, Any]:
        taken: list[dict[str, Any]] = []
        for field in document["fields"][: min(MAX_OBJECT_FIELDS, self._fields)]:
            short = _short(field)
            size = len(encode_json(short))
            if size > self._bytes:
                self._fields = 0  # the next one may be shorter, but a gap would look like the end
                break
            self._bytes -= size
            self._fields -= 1
            taken.append(short)
        return _with(document, taken)


def _with(document: Mapping[str, Any], fields: Sequence[dict[str, Any]]) -> dict[str, Any]:
    texts = {key: _cut(document[key]) for key in ("error", "refused", "left_to") if isinstance(document.get(key), str)}
    hidden = len(document["fields"]) + document.get("more_fields", 0) - len(fields)
    return {**document, **texts, "fields": list(fields), **({"more_fields": hidden} if hidden else {})}


def _short(field: dict[str, Any]) -> dict[str, Any]:
    sides = {key: _short_value(field[key]) for key in ("desired", "live")}
    path = _cut(field["path"])
    if path == field["path"] and all(short is field[key] for key, short in sides.items()):
        return field
    return {**field, **sides, "path": path, "shortened": True}


def _short_value(value: Json) -> Json:
    """The value, or where it is too long the beginning of its text (of its JSON, where it is no text)."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else _cut(value)
    if not isinstance(value, dict | list):
        return value
    text = encode_json(value).decode(errors="replace")
    return value if len(text) <= MAX_TEXT else _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
