"""Text from clusters and repositories, made safe to show: what would steer a terminal is written out instead."""

from __future__ import annotations


def visible(text: str) -> str:
    """The text with each unprintable character but line breaks written out: ESC as `\\x1b`, a tab as `⇥   `.

    Unprintable are Unicode's controls, formats (bidi overrides among them), lone surrogates, odd blanks and separators.
    Nothing is dropped: two values that differ in such a character still look different.
    """
    return text if text.isprintable() else "".join(map(_written_out, text))


def one_line(text: str) -> str:
    """As `visible`, with line breaks written out too: `\\n`."""
    return visible(text).replace("\n", "\\n")


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
