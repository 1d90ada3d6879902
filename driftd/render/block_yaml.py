"""The YAML that most manifests are written in: block maps and lists whose values each stand on one line. Pure.

libyaml makes an object of every token, and most of what reading a repository costs goes there. But the lines of
manifests repeat, in one file and between files: here each line is understood once and remembered. Whatever is not
plainly of this subset (anchors, tags, scalars that go on over lines, tabs, mistakes) is left to libyaml, and of what is
read here both must say the same: `tests/render/test_render_block_yaml.py` holds one against the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from sys import intern
from typing import Any, NamedTuple, cast

from driftd.model.resource import Json
from driftd.render.compose import ComposeError, Places, compose
from driftd.render.scalars import NOT_PLAIN_TEXT, UnreadableScalar, plain_key, plain_value

_DEPTH = 32
"""Deeper nesting, in lines or in brackets, is libyaml's to read, or to refuse."""

_LINES_KNOWN, _LINE_KNOWN = 2048, 256
"""So many lines are remembered, of so many characters at the most: a long one hardly comes twice."""

_OPEN: Any = object()
"""The value stands on the lines that follow, or is null."""
_NOTHING: Any = object()
"""A blank line or a comment."""

_Line = tuple[tuple[tuple[int, int], ...], int, str | None, Any]
"""For each dash its column and that of what it introduces; the column of the key, the key, and the value."""

_START = re.compile(
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
_REST = re.compile(r"(?:\x20+#.*)?")
_BLOCK_SCALARS = ("|", "|-", ">", ">-")
_TOKEN = re.compile(
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


class _Scalar(NamedTuple):
    """The head of a scalar whose text follows: `|`, `|-`, `>` or `>-`."""

    head: str


class _NotThisSubset(Exception):
    """No mistake of anybody's: it is libyaml's to read."""


def read_block(text: str, *, depth: int, places: Places | None = None) -> tuple[Json, int] | None:
    """What `compose` says of a text; None where `compose` is to be asked. What is found must not be edited.

    Of `places` there are those of block maps and lists: what stands in brackets is on the line of its key or item.
    """
    if depth < 2 * _DEPTH or not text.replace("\n", "").isprintable():
        return None
    lines = text.split("\n")
    try:
        return _read(lines, places)
    except _NotThisSubset:
        return None


def _read(  # noqa: C901, PLR0912, PLR0915  # the hot loop
    lines: list[str], places: Places | None
) -> tuple[Json, int] | None:
    # One flat loop: calls and attributes are what it would cost. `container` is the innermost open map or list, `edge`
    # the column of its entries, and `waits` what waits for the lines that follow: a key of the map, or -1, the last
    # item of the list. Until it is there the value is null.
    root: list[Json] = [None]
    container: Any = root
    edge, waits = -1, cast("Any", -1)
    stack: list[tuple[Any, int]] = []
    starts = () if places is None else (0, *accumulate(len(line) + 1 for line in lines))
    first = -1
    number, count = 0, len(lines)
    while number < count:
        line = lines[number]
        items, column, key, value = _remembered(line) if len(line) <= _LINE_KNOWN else _understood(line)
        if value is _NOTHING:
            number += 1
            continue
        if first < 0:
            first = number
        for dash, item in items:
            while edge > dash:
                container, edge = stack.pop()
                waits = None
            if edge < dash or container.__class__ is dict:
                # A list begins; it may stand in the column of the key that it belongs to.
                if waits is None or len(stack) > _DEPTH:
                    raise _NotThisSubset
                stack.append((container, edge))
                container[waits] = container = []
                edge = dash
            if places is not None:
                places.setdefault(id(container), {})[len(container)] = starts[number] + item
            container.append(None)
            waits = -1
        if key is None:
            where: Any = -1
        else:
            where = key
            if edge != column or container.__class__ is list:
                while edge > column:
                    container, edge = stack.pop()
                    waits = None
                if edge == column and container.__class__ is list:
                    container, edge = stack.pop()
                    waits = None
                    if edge != column:
                        raise _NotThisSubset
                if edge < column:
                    if waits is None or len(stack) > _DEPTH:
                        raise _NotThisSubset
                    stack.append((container, edge))
                    container[waits] = container = {}
                    edge = column
            if places is not None:
                places.setdefault(id(container), {})[key] = starts[number] + column
        number += 1
        if value is _OPEN:
            if key is None and places is not None:
                raise _NotThisSubset  # an item is where it starts, and that is another line
            container[where] = None
            waits = where
            continue
        if value.__class__ is _Scalar:
            value, number = _block_scalar(value.head, lines, number, edge)
        container[where] = value
        waits = None
    if first < 0:
        return None
    before = sum(map(len, lines[:first])) + first
    return root[0], before + len(lines[first]) - len(lines[first].lstrip(" "))


def _understood(line: str) -> _Line:
    """What a line says by itself. Raises: _NotThisSubset."""
    content = line.strip(" ")
    if not content or content[0] == "#":
        return (), 0, None, _NOTHING
    indent = len(line) - len(line.lstrip(" "))
    start = _START.match(content)
    assert start is not None  # noqa: S101  # it matches the empty string
    written = start["dashes"]
    dashes = [indent + index for index, character in enumerate(written) if character == "-"]
    column = indent + len(written)
    items = tuple(pairwise([*dashes, column]))
    key = _key(start)
    text = content[start.end() :]
    if key is None and not dashes:
        raise _NotThisSubset
    opens = not text or text[0] == "#"
    return items, column, key, _OPEN if opens else _value(text)


_remembered = lru_cache(_LINES_KNOWN)(_understood)


def _key(start: re.Match[str]) -> str | None:
    if (plain := start["plain"]) is None:
        quoted = start["double"] or start["single"]
        return None if quoted is None else intern(quoted)
    try:
        return intern(plain_key(plain))
    except UnreadableScalar:
        raise _NotThisSubset from None


def _value(text: str) -> Json | _Scalar:
    first = text[:1]
    if first in _PLAIN_START:
        if " #" in text:
            text = text[: text.index(" #")].rstrip(" ")
        if ": " in text or text[-1] == ":" or text[:2] in ("-", "- "):
            raise _NotThisSubset
        return _plain(text)
    if first in "\"'":
        quoted = _QUOTED.match(text)
        if quoted is None or not _REST.fullmatch(text, quoted.end()):
            raise _NotThisSubset
        simple = quoted["double"] if quoted["double"] is not None else quoted["single"]
        return simple if simple is not None else _composed(quoted[0])
    if first in "[{":
        value, end = _in_brackets(text)
        if not _REST.fullmatch(text, end):
            raise _NotThisSubset
        return value
    if text in _BLOCK_SCALARS:
        return _Scalar(text)
    raise _NotThisSubset


def _plain(text: str) -> Json:
    if text[0] not in NOT_PLAIN_TEXT:
        return text
    try:
        return plain_value(text)
    except UnreadableScalar:
        raise _NotThisSubset from None


def _composed(text: str) -> str:
    """A scalar that takes more than a look. Raises: _NotThisSubset."""
    try:
        found = compose(text, depth=1)
    except ComposeError:
        raise _NotThisSubset from None
    if found is None or not isinstance(found[0], str):
        raise _NotThisSubset
    return found[0]


def _in_brackets(text: str) -> tuple[Json, int]:  # noqa: C901, PLR0912  # the cases of one grammar
    """The map or list that a text starts with, and where it ends. Raises: _NotThisSubset."""
    root: list[Any] = []
    stack: list[tuple[Any, str | None]] = []
    container: Any = root
    key: str | None = None
    scalar: re.Match[str] | None = None  # a scalar of a map that is going to be a key
    wants_value, at = True, 0
    while (token := _TOKEN.match(text, at)) is not None:
        at = token.end()
        is_map = container.__class__ is dict
        match token["mark"]:
            case "[" | "{" as mark if wants_value and (not is_map or key is not None) and len(stack) < _DEPTH:
                opened: Any = [] if mark == "[" else {}
                stack.append((container, key))
                container, key = opened, None
            case "]" | "}" as mark if stack and scalar is None and key is None:
                if is_map != (mark == "}") or (wants_value and container):
                    raise _NotThisSubset
                value = container
                container, key = stack.pop()
                if container.__class__ is dict:
                    container[key] = value
                    key = None
                else:
                    container.append(value)
                if not stack:
                    return root[0], at
                wants_value = False
            case "," if stack and not wants_value and scalar is None and key is None:
                wants_value = True
            case ":" if scalar is not None:
                key, scalar = _flow_key(scalar), None
                wants_value = True
            case None if wants_value and stack and scalar is None:
                if is_map and key is None:
                    scalar = token
                elif is_map:
                    container[key], key = _flow_value(token), None
                else:
                    container.append(_flow_value(token))
                wants_value = False
            case _:
                break
    raise _NotThisSubset


def _flow_value(token: re.Match[str]) -> Json:
    if (plain := token["plain"]) is not None:
        return _plain(plain)
    return token["double"] if token["double"] is not None else token["single"]


def _flow_key(token: re.Match[str]) -> str:
    try:
        return intern(plain_key(token["plain"]) if token["plain"] is not None else token["double"] or token["single"])
    except UnreadableScalar:
        raise _NotThisSubset from None


def _block_scalar(head: str, lines: Sequence[str], number: int, column: int) -> tuple[str, int]:
    """The text of a block scalar inside of what stands in `column`, and the number of the line after it."""
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
                    raise _NotThisSubset
                width = indent
            elif indent < width:
                raise _NotThisSubset
        elif width and indent > width:
            raise _NotThisSubset  # spaces of a blank line that are text
        number += 1
    if head[0] == ">":
        return _composed("\n".join([head, *lines[begin:number], ""])), number
    text = "\n".join([line[width:] for line in lines[begin:number]]).rstrip("\n") if width else ""
    return (text + "\n" if text and head == "|" else text), number
