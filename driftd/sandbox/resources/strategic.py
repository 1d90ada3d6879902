"""Strategic merge patch: a merge patch whose schema defines which lists merge and by which key.

Source: k8s.io/apimachinery/pkg/util/strategicpatch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.sandbox.status import ApiError, bad_request

Schemas = Mapping[str, Mapping[str, Any]]

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_VALUES = "$deleteFromPrimitiveList/"


class _Type:
    """A schema with its references resolved."""

    __slots__ = ("_schema", "_schemas")

    def __init__(self, schemas: Schemas, schema: Mapping[str, Any] | None) -> None:
        self._schemas = schemas
        schema = schema or {}
        while target := schema.get("$ref") or (schema["allOf"][0].get("$ref") if "allOf" in schema else None):
            schema = schemas[target.rsplit("/", 1)[-1]]
        self._schema = schema

    def member(self, key: str) -> tuple[_Type, Mapping[str, Any]]:
        """The type of a field, and the field's schema, which has the patch strategy."""
        member = (self._schema.get("properties") or {}).get(key)
        if member is None:
            additional = self._schema.get("additionalProperties")
            member = additional if isinstance(additional, dict) else {}
        return _Type(self._schemas, member), member

    @property
    def items(self) -> _Type:
        return _Type(self._schemas, self._schema.get("items"))


def strategic_merge(target: dict[str, Any], patch: dict[str, Any], schemas: Schemas, definition: str) -> dict[str, Any]:
    """`patch` merged into `target`. Raises: ApiError (400): the patch is malformed."""
    return _merge_map(target, patch, _Type(schemas, schemas[definition]))


def _merge_map(target: dict[str, Any], patch: dict[str, Any], shape: _Type) -> dict[str, Any]:
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"unknown patch type: {directive}")
    result = dict(target)
    if _RETAIN in patch:
        result = {key: value for key, value in result.items() if key in patch[_RETAIN]}
    for key, value in patch.items():
        if key.startswith(_DELETE_VALUES):
            name = key[len(_DELETE_VALUES) :]
            if name in result:
                result[name] = [item for item in result[name] if item not in value]
        elif value is None:
            result.pop(key, None)
        elif key not in (_DIRECTIVE, _RETAIN) and not key.startswith(_ORDER):
            result[key] = _merge_value(result.get(key), value, *shape.member(key), order=patch.get(_ORDER + key))
    return _reorder(result, patch, shape)


def _reorder(result: dict[str, Any], patch: dict[str, Any], shape: _Type) -> dict[str, Any]:
    """Sorts lists for which the patch has an order but no items."""
    for key, order in patch.items():
        if key.startswith(_ORDER) and (name := key[len(_ORDER) :]) in result and name not in patch:
            member = shape.member(name)[1]
            result[name] = _ordered(result[name], order, result[name], member.get("x-kubernetes-patch-merge-key"))
    return result


def _merge_value(target: Any, patch: Any, shape: _Type, member: Mapping[str, Any], *, order: Any) -> Any:
    strategies = member.get("x-kubernetes-patch-strategy", "").split(",")
    if isinstance(patch, dict):
        if "replace" in strategies or not isinstance(target, dict):
            return _clean(patch)
        return _merge_map(target, patch, shape)
    if isinstance(patch, list) and "merge" in strategies:
        key = member.get("x-kubernetes-patch-merge-key")
        current = target if isinstance(target, list) else []
        merged = _merge_objects(current, patch, key, shape.items) if key else _merge_scalars(current, patch)
        if order is not None:
            _check_order(patch, order, key)
        return _ordered(merged, patch if order is None else order, current, key)
    return _clean(patch)


def _check_order(patch: list[Any], order: list[Any], key: str | None) -> None:
    """Raises: ApiError: the items of the patch are not in the order of its own $setElementOrder."""
    expected = [item[key] if key else item for item in order]
    named = [item.get(key) if key else item for item in patch if not isinstance(item, dict) or _DIRECTIVE not in item]
    positions = [expected.index(name) for name in named if name in expected]
    if positions != sorted(positions) or len(positions) != len(named):
        raise ApiError(
            500, "", f"The order in patch list:\n{named}\n doesn't match $setElementOrder list:\n{expected}\n"
        )


def _merge_scalars(target: list[Any], patch: list[Any]) -> list[Any]:
    return [*target, *(item for item in dict.fromkeys(patch) if item not in target)]


def _merge_objects(target: list[Any], patch: list[Any], key: str, shape: _Type) -> list[Any]:
    if any(isinstance(item, dict) and item.keys() == {_DIRECTIVE} and item[_DIRECTIVE] == "replace" for item in patch):
        return [_clean(item) for item in patch if item.keys() != {_DIRECTIVE}]
    result = list(target)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        index = next((i for i, old in enumerate(result) if old.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            result = [old for old in result if old.get(key) != item[key]]
        elif index is None:
            result.append(_clean(item))
        elif item.get(_DIRECTIVE) == "replace":
            result[index] = _clean(item)
        else:
            result[index] = _merge_map(result[index], item, shape)
    return result


def _ordered(merged: list[Any], order: list[Any], before: list[Any], key: str | None) -> list[Any]:
    """Items in the patch's order; others keep their position relative to their neighbours."""

    def name(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    positions = {name(item): index for index, item in enumerate(order)}
    positions_before = {name(item): index for index, item in enumerate(before)}
    named = sorted((item for item in merged if name(item) in positions), key=lambda item: positions[name(item)])
    others = [item for item in merged if name(item) not in positions]
    result: list[Any] = []
    while named and others:
        named_position, other_position = positions_before.get(name(named[0])), positions_before.get(name(others[0]), -1)
        result.append(others.pop(0) if named_position is not None and other_position < named_position else named.pop(0))
    return [*result, *named, *others]


def _clean(value: Any) -> Any:
    """A new value without directives and nulls."""
    if isinstance(value, dict):
        return {
            key: _clean(child)
            for key, child in value.items()
            if child is not None
            and not key.startswith(_ORDER)
            and key not in (_DIRECTIVE, _RETAIN)
            and not key.startswith(_DELETE_VALUES)
        }
    return [_clean(item) for item in value] if isinstance(value, list) else value
