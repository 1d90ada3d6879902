"""The JSON document of `check`, as programs that read it rely on it."""

from __future__ import annotations

from typing import Any


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


TEXT, NUMBER = {"type": "string"}, {"type": "integer", "minimum": 0}
STATUSES = ["in_sync", "drifted", "missing", "orphaned", "ignored", "unknown"]
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
SHA = {"type": "string", "pattern": "^[0-9a-f]{40}$"}

BY = _object({"manager": TEXT, "operation": TEXT, "subresource": _or_null(TEXT), "user": _or_null(TEXT),
              "time": _or_null(TIME)})  # fmt: skip
GIT = _object({"file": TEXT, "line": {"type": "integer", "minimum": 1}, "commit": _or_null(SHA),
               "author": _or_null(TEXT), "time": _or_null(TIME), "subject": _or_null(TEXT)})  # fmt: skip
FIELD = _object({"path": TEXT, "change": {"enum": ["changed", "removed", "added"]}, "desired": {}, "live": {},
                 "by": _or_null(BY), "git": _or_null(GIT)})  # fmt: skip
RESOURCE = _object({
    "api_version": TEXT, "kind": TEXT, "namespace": _or_null(TEXT), "name": TEXT, "status": {"enum": STATUSES},
    "source": _or_null(_object({"file": TEXT, "line": {"type": "integer", "minimum": 1}})),
    "fields": {"type": "array", "items": FIELD}, "error": _or_null(TEXT),
})  # fmt: skip
RESOURCE["if"] = {"properties": {"status": {"const": "unknown"}}}
RESOURCE["then"] = {"properties": {"error": TEXT}}
RESOURCE["else"] = {"properties": {"error": {"type": "null"}}}
EFFECTS = ["created", "changed", "conflict", "undone", "adopted", "removed", "standing"]
PREVIEWED = _object({
    "api_version": TEXT, "kind": TEXT, "namespace": _or_null(TEXT), "name": TEXT, "effect": {"enum": [*EFFECTS, None]},
    "source": _or_null(_object({"file": TEXT, "line": {"type": "integer", "minimum": 1}})), "error": _or_null(TEXT),
    "fields": {"type": "array", "items": _object({
        "path": TEXT, "effect": {"enum": EFFECTS}, "before": {}, "live": {}, "after": {}, "by": _or_null(BY),
    })},
}, kept=TEXT)  # fmt: skip
PREVIEW = _object({
    "base": TEXT, "base_revision": _or_null(SHA), "objects": {"type": "array", "items": PREVIEWED},
    "counts": {**_object(dict.fromkeys(EFFECTS, NUMBER)), "additionalProperties": False},
}, error=TEXT)  # fmt: skip
APP = _object({
    "app": TEXT, "revision": _or_null(SHA), "in_sync": {"type": "boolean"},
    "counts": {**_object(dict.fromkeys(STATUSES, NUMBER)), "additionalProperties": False},
    "resources": {"type": "array", "items": RESOURCE},
}, preview=PREVIEW)  # fmt: skip
DOCUMENT = _object({"version": {"const": 1}, "apps": {"type": "array", "items": APP}})
