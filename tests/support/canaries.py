"""Looks for a value in a text in every form that programs give to it: quoted, in base64 or hex, deflated."""

from __future__ import annotations

import ast
import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote_to_bytes

_BYTES_LITERAL = re.compile(r"""b(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}={0,2}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){8,}")
_MAX_DEPTH = 4


def reveals(text: str | bytes, value: str) -> bool:
    """Whether `value` can be had from `text`, by undoing what it takes up to four times."""
    return bool(revealed(text, [value]))


def revealed(text: str | bytes, values: Iterable[str]) -> set[str]:
    """Which of these values can be had from `text`."""
    data = text.encode() if isinstance(text, str) else text
    wanted = {value.encode(): value for value in values}
    found: set[str] = set()
    seen = {data}
    layer = [data]
    for depth in range(_MAX_DEPTH + 1):
        found |= {value for each in layer for form, value in wanted.items() if form in each}
        if depth < _MAX_DEPTH and len(found) < len(wanted):
            layer = list({inner for each in layer for inner in _inside(each)} - seen)
            seen.update(layer)
    return found


def _inside(data: bytes) -> Iterator[bytes]:
    text = data.decode(errors="replace")
    for form in {text, _unescaped(text)}:
        for literal in _BYTES_LITERAL.findall(form):
            try:
                yield ast.literal_eval(literal)
            except (SyntaxError, ValueError):
                continue
    if b"%" in data:
        yield unquote_to_bytes(data)
    for run in _BASE64.findall(data):
        for offset in range(4):
            part = run.rstrip(b"=")[offset:]
            yield from _decoded(base64.b64decode, part + b"=" * (-len(part) % 4))
            yield from _decoded(base64.urlsafe_b64decode, part + b"=" * (-len(part) % 4))
    for run in _HEX.findall(data):
        yield from _decoded(binascii.unhexlify, run)
    for wbits in (zlib.MAX_WBITS, -zlib.MAX_WBITS, zlib.MAX_WBITS | 16):
        try:
            yield zlib.decompressobj(wbits).decompress(data, 1 << 20)
        except zlib.error:
            continue


def _decoded(decode: Callable[[bytes], bytes], data: bytes) -> Iterator[bytes]:
    try:
        yield decode(data)
    except (binascii.Error, ValueError):
        return


def _unescaped(text: str) -> str:
    """A log line in JSON with its escapes undone: bytes in it are written as Python writes them."""
    try:
        return "\n".join(_strings(json.loads(text)))
    except ValueError:
        lines = [line for line in text.splitlines() if line.startswith("{")]
        if not lines or text in lines:
            return text
        return "\n".join(_unescaped(line) for line in lines)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
