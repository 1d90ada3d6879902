"""JSON as kubectl reads it from a file: one value after another, without a separator."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from driftd.model.resource import Json
from driftd.render.scalars import json_integer, json_number

Places = dict[int, dict[Any, int]]
"""As in `compose`: by the `id()` of a map or list, where each of its entries starts."""

_BLANK = re.compile(r"[ \t\r\n]*")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|[^\s\[\]{}:,"]+')
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """The text is not JSON. `index` is that of the character where it was noticed.

    `is_syntax` is false for what is JSON, but cannot be held: then it is no use to try it as YAML.
    """

    def __init__(self, message: str, index: int, *, is_syntax: bool = True) -> None:
        self.index = index
        self.is_syntax = is_syntax
        super().__init__(message)


def skeleton(text: str) -> tuple[Json, Places]:
    """The maps and lists of one JSON value, its scalars left out, and where their entries stand.

    The text is one that `next_value` has read.
    """
    places: Places = {}
    root: list[Json] = []
    stack: list[Any] = [root]
    key: str | None = None
    for token in _TOKEN.finditer(text):
        first, inner = token[0][0], stack[-1]
        if first in "]}":
            stack.pop()
        elif isinstance(inner, dict) and key is None:
            key = json.loads(token[0])
            places[id(inner)][key] = token.start()
        else:
            value: Any = {"{": dict, "[": list}.get(first, lambda: None)()
            if isinstance(inner, dict):
                inner[key], key = value, None
            else:
                places.setdefault(id(inner), {})[len(inner)] = token.start()
                inner.append(value)
            if value is not None:
                places[id(value)] = {}
                stack.append(value)
    return root[0], places


class _OutOfRange(ValueError):
    """A number that no 64-bit float can hold."""


def next_value(text: str, index: int, *, depth: int) -> tuple[Json, int, int] | None:
    """The value at or after `index`, where it starts and where it ends; None where only blanks are left.

    Numbers become what Kubernetes makes of them; the last of two equal keys wins.

    Raises: JsonError.
    """
    start = _BLANK.match(text, index).end()  # type: ignore[union-attr]  # it matches the empty string
    if start == len(text):
        return None
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise JsonError(error.msg, error.pos) from error
    except RecursionError as error:
        raise JsonError(f"nested deeper than {depth} levels", start, is_syntax=False) from error
    except _OutOfRange as error:
        raise JsonError(str(error), start, is_syntax=False) from error
    except ValueError as error:
        raise JsonError(str(error), start) from error
    if _deeper_than(value, depth):
        raise JsonError(f"nested deeper than {depth} levels", start, is_syntax=False)
    if _SURROGATE_ESCAPE.search(text, start, end):
        value = _without_lone_surrogates(value)
    return value, start, end


def _integer(digits: str) -> int:
    if len(digits) > 400:
        raise _OutOfRange("a number is out of range")
    return json_integer(int(digits))


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _OutOfRange(f"the number {digits[:30]} is out of range")
    return json_number(value)


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=_constant)


def _deeper_than(value: Json, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def _without_lone_surrogates(value: Json) -> Json:
    """Half of a pair is no character: Go puts U+FFFD in its place."""
    match value:
        case str():
            return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
        case dict():
            return {_without_lone_surrogates(k): _without_lone_surrogates(v) for k, v in value.items()}
        case list():
            return [_without_lone_surrogates(item) for item in value]
        case _:
            return value
