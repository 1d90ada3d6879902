"""Text for people: safe to show, whatever cluster or repository it is from, and numbers with their nouns."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def visible(text: str) -> str:
    """The text with each unprintable character but line breaks written out: ESC as `\\x1b`, a tab as `⇥   `.

    Unprintable are Unicode's controls, formats (bidi overrides among them), lone surrogates, odd blanks and separators:
    they could steer a terminal, or make a line read as another one. Nothing is dropped: two values that differ in such
    a character still look different.
    """
    return text if text.isprintable() else "".join(map(_written_out, text))


def one_line(text: str) -> str:
    """As `visible`, with line breaks written out too: `\\n`."""
    return visible(text).replace("\n", "\\n")


def has_control_character(text: str) -> bool:
    """Whether an ASCII control character (a line break and a tab are such) is in the text."""
    return _CONTROL.search(text) is not None


def plural(count: int, noun: str) -> str:
    """`1 object`, `2 objects`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _written_out(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    if character == "\t":
        return "⇥   "
    if character == "\r":
        return "\\r"
    point = ord(character)
    if point <= 0xFF:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"
