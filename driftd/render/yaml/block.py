"""A fast reader of the YAML of most manifests: block maps and lists with each value on one line. Pure.

libyaml creates an object per token, which is most of the cost of reading a repository. But lines repeat within and
between manifests: this reader parses a line once and caches the result. Everything outside of the subset (anchors,
tags, multi-line plain or quoted scalars, tabs, syntax errors) is left to libyaml. What this reader accepts it must read
exactly as libyaml does: `tests/render/test_render_block_yaml.py` compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from sys import intern
from typing import Any, NamedTuple, cast

from driftd.model.resource import Json
from driftd.render.yaml.compose import ComposeError, compose
from driftd.render.yaml.positions import Positions
from driftd.render.yaml.scalars import NOT_PLAIN_TEXT, UnreadableScalar, plain_key, plain_value

_MAX_DEPTH = 32
"""Deeper nesting, in lines or in brackets, is left to libyaml."""

_LINE_CACHE_SIZE, _MAX_CACHED_LENGTH = 2048, 256
"""Number of cached lines, and their maximum length in characters: long lines rarely repeat."""

_MAX_FLOW = 64 * 1024
"""Characters. What is longer in brackets or quotes is left to libyaml, which takes it piece by piece."""

_ON_NEXT_LINES: Any = object()
"""The value is on the next lines, or null."""
_BLANK: Any = object()
"""A blank line or a comment."""

_ParsedLine = tuple[tuple[tuple[int, int], ...], int, str | None, Any]
"""For each dash, its column and its item's column; then the column of the key, the key, and the value."""

_LINE_START = re.compile(
    r"""
    (?P<dashes>(?:-(?:\x20+|$))*)
    (?:
        (?: (?P<plain>[\w./$][\w./$-]{0,200}) | "(?P<double>[^"\\]{1,200})" | '(?P<single>[^']{1,200})' )
        :(?:\x20+|$)
    )?
    """,
    re.VERBOSE | re.ASCII,
)
_PLAIN_START = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./~+$(=;<\\^-")
_QUOTED = re.compile(
    r"""
    "(?P<double>[^"\\]*)" | '(?P<single>[^']*)'(?!') | "(?:[^"\\]|\\.)*" | '(?:[^']|'')*'
    """,
    re.VERBOSE,
)
_COMMENT = re.compile(r"(?:\x20+#.*)?")
_BLOCK_SCALAR_HEADERS = ("|", "|-", ">", ">-")
_FLOW_TOKEN = re.compile(
    r"""
    \x20*
    (?:
        (?P<mark> [\[\]{},] | :(?=\x20) )
      | "(?P<double>[^"\\]*)" | '(?P<single>[^']*)'
      | (?P<plain> (?:[\w./~+$]|-(?=[a-zA-Z0-9])) (?:[\w./~+$@=%^-]|\x20(?=[\w./])|:(?=[a-zA-Z0-9/]))* )
    )
    """,
    re.VERBOSE | re.ASCII,
)


class _BlockScalar(NamedTuple):
    """The header of a block scalar, `|`, `|-`, `>` or `>-`: its text is on the next lines."""

    header: str


class _Unsupported(Exception):
    """The text is outside of the subset: libyaml has to read it."""


def read_block(text: str, *, depth: int, positions: Positions | None = None) -> tuple[Json, int] | None:
    """The same as `compose`, or None where the text is outside of the subset. The value must not be edited.

    `positions` has only block maps and lists: an entry in brackets is on the line of their key or item.
    """
    if depth < 2 * _MAX_DEPTH or not text.replace("\n", "").isprintable():
        return None
    lines = text.split("\n")
    try:
        return _read_lines(lines, positions)
    except _Unsupported:
        return None


def _read_lines(  # noqa: C901, PLR0912, PLR0915  # the hot loop
    lines: list[str], positions: Positions | None
) -> tuple[Json, int] | None:
    # One flat loop: calls and attribute lookups would dominate its cost. `container` is the innermost open map or list,
    # `indent` the column of its entries, and `pending` the entry whose value may follow on the next lines: a key of the
    # map, or -1 for the last item of the list. Until then the value is null.
    root: list[Json] = [None]
    container: Any = root
    indent, pending = -1, cast("Any", -1)
    stack: list[tuple[Any, int]] = []
    starts = () if positions is None else (0, *accumulate(len(line) + 1 for line in lines))
    first = -1
    number, count = 0, len(lines)
    while number < count:
        line = lines[number]
        items, column, key, value = _parse_line_cached(line) if len(line) <= _MAX_CACHED_LENGTH else _parse_line(line)
        if value is _BLANK:
            number += 1
            continue
        if first < 0:
            first = number
        for dash, item in items:
            while indent > dash:
                container, indent = stack.pop()
                pending = None
            if indent < dash or container.__class__ is dict:
                # A list begins, possibly in the column of the key that it belongs to.
                if pending is None or len(stack) > _MAX_DEPTH:
                    raise _Unsupported
                stack.append((container, indent))
                container[pending] = container = []
                indent = dash
            if positions is not None:
                positions.setdefault(id(container), {})[len(container)] = starts[number] + item
            container.append(None)
            pending = -1
        if key is None:
            slot: Any = -1
        else:
            slot = key
            if indent != column or container.__class__ is list:
                while indent > column:
                    container, indent = stack.pop()
                    pending = None
                if indent == column and container.__class__ is list:
                    container, indent = stack.pop()
                    pending = None
                    if indent != column:
                        raise _Unsupported
                if indent < column:
                    if pending is None or len(stack) > _MAX_DEPTH:
                        raise _Unsupported
                    stack.append((container, indent))
                    container[pending] = container = {}
                    indent = column
            if positions is not None:
                positions.setdefault(id(container), {})[key] = starts[number] + column
        number += 1
        if value is _ON_NEXT_LINES:
            if key is None and positions is not None:
                raise _Unsupported  # the item starts on a later line
            container[slot] = None
            pending = slot
            continue
        if value.__class__ is _BlockScalar:
            value, number = _block_scalar(value.header, lines, number, indent)
        container[slot] = value
        pending = None
    if first < 0:
        return None
    skipped = sum(map(len, lines[:first])) + first
    return root[0], skipped + len(lines[first]) - len(lines[first].lstrip(" "))


def _parse_line(line: str) -> _ParsedLine:
    """Parses a line by itself. Raises: _Unsupported."""
    content = line.strip(" ")
    if not content or content[0] == "#":
        return (), 0, None, _BLANK
    indent = len(line) - len(line.lstrip(" "))
    start = _LINE_START.match(content)
    assert start is not None  # noqa: S101  # it matches the empty string
    prefix = start["dashes"]
    dashes = [indent + index for index, character in enumerate(prefix) if character == "-"]
    column = indent + len(prefix)
    items = tuple(pairwise([*dashes, column]))
    key = _parse_key(start)
    text = content[start.end() :]
    if key is None and not dashes:
        raise _Unsupported
    is_empty = not text or text[0] == "#"
    return items, column, key, _ON_NEXT_LINES if is_empty else _parse_value(text)


_parse_line_cached = lru_cache(_LINE_CACHE_SIZE)(_parse_line)


def _parse_key(start: re.Match[str]) -> str | None:
    if (plain := start["plain"]) is None:
        quoted = start["double"] or start["single"]
        return None if quoted is None else intern(quoted)
    try:
        return intern(plain_key(plain))
    except UnreadableScalar:
        raise _Unsupported from None


def _parse_value(text: str) -> Json | _BlockScalar:
    first = text[:1]
    if first in _PLAIN_START:
        if " #" in text:
            text = text[: text.index(" #")].rstrip(" ")
        if ": " in text or text[-1] == ":" or text[:2] in ("-", "- "):
            raise _Unsupported
        return _plain_scalar(text)
    if len(text) > _MAX_FLOW:
        raise _Unsupported
    if first in "\"'":
        quoted = _QUOTED.match(text)
        if quoted is None or not _COMMENT.fullmatch(text, quoted.end()):
            raise _Unsupported
        simple = quoted["double"] if quoted["double"] is not None else quoted["single"]
        return simple if simple is not None else _compose_scalar(quoted[0])
    if first in "[{":
        value, end = _flow_collection(text)
        if not _COMMENT.fullmatch(text, end):
            raise _Unsupported
        return value
    if text in _BLOCK_SCALAR_HEADERS:
        return _BlockScalar(text)
    raise _Unsupported


def _plain_scalar(text: str) -> Json:
    if text[0] not in NOT_PLAIN_TEXT:
        return text
    try:
        return plain_value(text)
    except UnreadableScalar:
        raise _Unsupported from None


def _compose_scalar(text: str) -> str:
    """A scalar with escapes or folded lines. Raises: _Unsupported."""
    try:
        composed = compose(text, depth=1)
    except ComposeError:
        raise _Unsupported from None
    if composed is None or not isinstance(composed[0], str):
        raise _Unsupported
    return composed[0]


def _flow_collection(text: str) -> tuple[Json, int]:  # noqa: C901, PLR0912  # the cases of one grammar
    """The map or list in brackets at the start of a text, and its end. Raises: _Unsupported."""
    root: list[Any] = []
    stack: list[tuple[Any, str | None]] = []
    container: Any = root
    key: str | None = None
    scalar: re.Match[str] | None = None  # in a map: the scalar that will be the next key
    expects_value, at = True, 0
    while (token := _FLOW_TOKEN.match(text, at)) is not None:
        at = token.end()
        is_map = container.__class__ is dict
        match token["mark"]:
            case "[" | "{" as mark if expects_value and (not is_map or key is not None) and len(stack) < _MAX_DEPTH:
                opened: Any = [] if mark == "[" else {}
                stack.append((container, key))
                container, key = opened, None
            case "]" | "}" as mark if stack and scalar is None and key is None:
                if is_map != (mark == "}") or (expects_value and container):
                    raise _Unsupported
                value = container
                container, key = stack.pop()
                if container.__class__ is dict:
                    container[key] = value
                    key = None
                else:
                    container.append(value)
                if not stack:
                    return root[0], at
                expects_value = False
            case "," if stack and not expects_value and scalar is None and key is None:
                expects_value = True
            case ":" if scalar is not None:
                key, scalar = _flow_key(scalar), None
                expects_value = True
            case None if expects_value and stack and scalar is None:
                if is_map and key is None:
                    scalar = token
                elif is_map:
                    container[key], key = _flow_value(token), None
                else:
                    container.append(_flow_value(token))
                expects_value = False
            case _:
                break
    raise _Unsupported


def _flow_value(token: re.Match[str]) -> Json:
    if (plain := token["plain"]) is not None:
        return _plain_scalar(plain)
    return token["double"] if token["double"] is not None else token["single"]


def _flow_key(token: re.Match[str]) -> str:
    try:
        return intern(plain_key(token["plain"]) if token["plain"] is not None else token["double"] or token["single"])
    except UnreadableScalar:
        raise _Unsupported from None


def _block_scalar(header: str, lines: Sequence[str], number: int, column: int) -> tuple[str, int]:
    """The text of a block scalar in an entry at `column`, and the index of the line after it."""
    width = 0
    begin = number
    while number < len(lines):
        line = lines[number]
        indent = len(line) - len(line.lstrip(" "))
        if indent < len(line):
            if indent <= column:
                break
            if not width:
                if any(len(blank) > indent for blank in lines[begin:number]):
                    raise _Unsupported
                width = indent
            elif indent < width:
                raise _Unsupported
        elif width and indent > width:
            raise _Unsupported  # the spaces of this blank line are text
        number += 1
    if header[0] == ">":
        return _compose_scalar("\n".join([header, *lines[begin:number], ""])), number
    text = "\n".join([line[width:] for line in lines[begin:number]]).rstrip("\n") if width else ""
    return (text + "\n" if text and header == "|" else text), number
