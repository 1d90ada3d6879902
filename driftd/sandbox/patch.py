"""JSON patch and JSON merge patch. Source: RFC 6902, RFC 7386; the errors are those of evanphx/json-patch."""

from __future__ import annotations

import copy
from typing import Any

from driftd.sandbox.fields.comparing import same
from driftd.sandbox.status import ApiError, bad_request


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Any, operations: Any) -> Any:
    """RFC 6902. Raises: ApiError: 400 for a malformed patch, 422 for one that does not apply to the object."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    result = copy.deepcopy(target)
    for operation in operations:
        result = _apply_operation(result, operation)
    return result


def _apply_operation(target: Any, operation: dict[str, Any]) -> Any:
    verb, path = operation.get("op"), operation.get("path", "")
    if verb == "test":
        if not same(_get(target, path), operation.get("value")):
            raise _rejected(f"testing value {path} failed: test failed")
        return target
    if verb == "remove":
        return _remove(target, path)
    if verb == "add":
        return _add(target, path, copy.deepcopy(operation.get("value")))
    if verb == "replace":
        _get(target, path)
        return _add(_remove(target, path), path, copy.deepcopy(operation.get("value")))
    if verb in ("move", "copy"):
        value = copy.deepcopy(_get(target, operation["from"]))
        return _add(_remove(target, operation["from"]) if verb == "move" else target, path, value)
    raise _rejected(f"Unexpected kind: {verb}")


def _parts(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise _rejected(f"invalid path: {path}")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _get(target: Any, path: str) -> Any:
    for part in _parts(path):
        if isinstance(target, list):
            target = target[_index(part, len(target) - 1, path)]
        elif isinstance(target, dict) and part in target:
            target = target[part]
        else:
            raise _rejected(f"nonexistent path: {path}")
    return target


def _add(target: Any, path: str, value: Any) -> Any:
    parts = _parts(path)
    if not parts:
        return value
    parent = _get(target, path.rsplit("/", 1)[0])
    if isinstance(parent, list):
        position = len(parent) if parts[-1] == "-" else _index(parts[-1], len(parent), path)
        parent.insert(position, value)
    elif isinstance(parent, dict):
        parent[parts[-1]] = value
    else:
        raise _rejected(f"nonexistent path: {path}")
    return target


def _remove(target: Any, path: str) -> Any:
    parts = _parts(path)
    parent = _get(target, path.rsplit("/", 1)[0])
    if isinstance(parent, list):
        del parent[_index(parts[-1], len(parent) - 1, path)]
    elif isinstance(parent, dict) and parts[-1] in parent:
        del parent[parts[-1]]
    else:
        raise _rejected(f"remove operation does not apply: doc is missing path: {path}: missing value")
    return target


def _index(part: str, limit: int, path: str) -> int:
    if not part.isdigit() or int(part) > limit:
        raise _rejected(f"invalid index in path: {path}")
    return int(part)


def _rejected(_message: str) -> ApiError:
    """The API server does not report the reason."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", details={})
