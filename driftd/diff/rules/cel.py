"""Conditions in CEL, the Common Expression Language of Kubernetes' own policies.

Source: https://github.com/google/cel-spec. Pure: an expression reads only its variables.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from driftd.model.drift import FieldDrift
from driftd.model.errors import DriftdError
from driftd.model.path import format_path
from driftd.model.resource import Json, JsonObject

MAX_LENGTH = 4096
"""Of an expression, in characters."""

MAX_STEPS = 100_000
"""How often the innermost part of nested macros may be evaluated: a fraction of a second."""

_STRING = r"""[rRbB]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
_MACRO = r"\.\s*(?:all|exists|exists_one|existsOne|map|filter)\s*\(\s*(?P<bound>[A-Za-z_]\w*)\s*,"
_TOKEN = re.compile(rf"{_STRING}|(?P<macro>{_MACRO})|(?P<open>[(\[{{])|(?P<close>[)\]}}])", re.DOTALL)


_PARSE_ERROR = re.compile(r"ERROR: <input>:\d+:(?P<column>\d+): (?P<text>.*)")
_INNER_ERROR = re.compile(r'msg: "([^"]*)"')
_MAX_MESSAGE = 160


class _Macros(NamedTuple):
    """The variables that the macros of an expression bind, and how many macros are in each other at most."""

    bound: frozenset[str]
    depth: int


def validate(expression: str) -> str:
    """Returns the expression. Raises: DriftdError: it does not parse, is too long, or uses an unknown variable."""
    if not expression.strip():
        raise DriftdError("CEL: an expression must not be empty")
    if len(expression) > MAX_LENGTH:
        raise DriftdError(f"CEL: an expression may have {MAX_LENGTH} characters")
    try:
        program = _program(expression)
    except ValueError as error:
        raise DriftdError(f"not a CEL expression: {_explain(str(error))}") from error
    unknown = sorted(set(program.variables()) - {"object", "field"} - _macros(expression).bound)
    if unknown:
        raise DriftdError(f"CEL: there is no {unknown[0]}; an expression may use object and field")
    return expression


def _explain(error: str) -> str:
    """The library's error without the expression, which it repeats."""
    found = _PARSE_ERROR.search(error)
    text = f"at character {int(found['column']) + 1}: {found['text']}" if found else error.rpartition("': ")[2]
    inner = _INNER_ERROR.search(text)
    return (inner[1] if inner else text.splitlines()[0])[:_MAX_MESSAGE]


def evaluate(expression: str, declared: JsonObject, drift: FieldDrift) -> bool:
    """Whether an expression is true of a difference.

    Its variables are `object`, the manifest in Git, and `field`, with `path`, `change`, `desired`, `live` and `manager`
    (empty if the field has no owner). An expression that fails, by a missing key or a value of another type, is false,
    and so is one whose macros would take more than `MAX_STEPS` for an object as large as this one.
    """
    field = {
        "path": format_path(drift.path),
        "change": str(drift.change),
        "desired": drift.desired,
        "live": drift.live,
        "manager": drift.by.manager if drift.by else "",
    }
    depth = _macros(expression).depth
    if depth and max(_largest(declared), _largest(field), expression.count(",")) ** depth > MAX_STEPS:
        return False
    try:
        return _program(expression).execute({"object": dict(declared), "field": field}) is True
    except Exception:  # noqa: BLE001  # the library raises various exceptions for a value of another type
        return False


@lru_cache(maxsize=256)
def _program(expression: str) -> Any:
    import cel  # noqa: PLC0415  # slow to import, and rarely used

    return cel.compile(expression)


@lru_cache(maxsize=256)
def _macros(expression: str) -> _Macros:
    bound: set[str] = set()
    brackets: list[bool] = []
    depth = 0
    for token in _TOKEN.finditer(expression):
        if token["macro"]:
            bound.add(token["bound"])
        if token["macro"] or token["open"]:
            brackets.append(bool(token["macro"]))
            depth = max(depth, sum(brackets))
        elif token["close"] and brackets:
            brackets.pop()
    return _Macros(frozenset(bound), depth)


def _largest(value: Json) -> int:
    """The number of entries of the largest map or list in a value."""
    largest, open_values = 0, [value]
    while open_values:
        each = open_values.pop()
        if isinstance(each, dict | list):
            largest = max(largest, len(each))
            open_values.extend(each.values() if isinstance(each, dict) else each)
    return largest
