"""JSON values in a file, as kubectl reads them: one after another, without a separator."""

from __future__ import annotations

import json
import math
import re
from itertools import islice
from typing import Any

from driftd.model.resource import Json
from driftd.render.yaml.positions import Positions
from driftd.render.yaml.scalars import json_integer, json_number

_BLANK = re.compile(r"[ \t\r\n]*")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|[^\s\[\]{}:,"]+')
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """The text is not valid JSON. `index` is that of the character at the error.

    `is_syntax` is false for JSON beyond a limit: trying it as YAML would not help.
    """

    def __init__(self, message: str, index: int, *, is_syntax: bool = True) -> None:
        self.index = index
        self.is_syntax = is_syntax
        super().__init__(message)


def has_more_tokens(text: str, limit: int) -> bool:
    """Whether a text has more brackets, keys and scalars than that: a decoder would make an object of each."""
    return next(islice(_TOKEN.finditer(text), limit, None), None) is not None


def skeleton(text: str) -> tuple[Json, Positions]:
    """The maps and lists of one JSON value without its scalars, and the positions of their entries.

    `text` has been read by `next_value`.
    """
    positions: Positions = {}
    root: list[Json] = []
    stack: list[Any] = [root]
    key: str | None = None
    for token in _TOKEN.finditer(text):
        first, inner = token[0][0], stack[-1]
        if first in "]}":
            stack.pop()
        elif isinstance(inner, dict) and key is None:
            key = json.loads(token[0])
            positions[id(inner)][key] = token.start()
        else:
            value: Any = {"{": dict, "[": list}.get(first, lambda: None)()
            if isinstance(inner, dict):
                inner[key], key = value, None
            else:
                positions.setdefault(id(inner), {})[len(inner)] = token.start()
                inner.append(value)
            if value is not None:
                positions[id(value)] = {}
                stack.append(value)
    return root[0], positions


class _OutOfRange(ValueError):
    """A number outside of the range of 64-bit floats."""


def next_value(text: str, index: int, *, depth: int) -> tuple[Json, int, int] | None:
    """The value at or after `index`, its start and its end; None if only blanks are left.

    Numbers are converted as in Kubernetes; the last of two equal keys wins.

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
    if _is_deeper_than(value, depth):
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
        raise _OutOfRange("a number is out of range")
    return json_number(value)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=_refuse_constant)


def _is_deeper_than(value: Json, depth: int) -> bool:
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
    """A lone surrogate is not a character: as in Go, U+FFFD replaces it."""
    match value:
        case str():
            return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
        case dict():
            return {_without_lone_surrogates(k): _without_lone_surrogates(v) for k, v in value.items()}
        case list():
            return [_without_lone_surrogates(item) for item in value]
        case _:
            return value
