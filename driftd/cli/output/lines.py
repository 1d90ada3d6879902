"""Terminal lines with a hanging indent, and an ASCII form for terminals without Unicode."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from shutil import get_terminal_size
from typing import TextIO

from rich.console import Console
from rich.text import Text

MIN_WIDTH = 40
"""Minimum width of the layout, in columns."""

UNLIMITED = 1 << 16
"""The width where nobody looks at columns: nothing is cut, and hardly anything wrapped."""

_BATCH_SIZE = 100
"""Lines per print, each of which has an overhead."""

_ASCII_FORMS: dict[int, str] = str.maketrans(
    {"→": "->", "…": "~", "·": "-", "“": '"', "”": '"', "⇥": ">", "✓": "OK", "✗": "!!"}
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line. A longer one than the width is wrapped, its rest indented by `hang`; or truncated, if `cut`."""

    text: Text
    indent: int = 0
    hang: int = 0
    cut: bool = False


def console_for(stream: TextIO) -> Console:
    """A console as wide as the terminal. A pipe or a file has as many columns as it takes, unless COLUMNS says so."""
    limited = stream.isatty() or os.environ.get("COLUMNS", "").strip("0").isdecimal()
    return Console(file=stream, highlight=False, width=get_terminal_size().columns if limited else UNLIMITED)


def print_lines(console: Console, lines: Iterable[Line]) -> None:
    """Prints each line within the console's width; in ASCII where its encoding is."""
    width = max(console.width, MIN_WIDTH)
    ascii_only = console.options.ascii_only
    wrapped = (text for line in lines for text in _wrapped(console, line, width))
    while batch := list(islice(wrapped, _BATCH_SIZE)):
        text = Text("\n").join(batch)
        console.print(_ascii(text) if ascii_only else text, soft_wrap=True, highlight=False)


def _wrapped(console: Console, line: Line, width: int) -> list[Text]:
    text = line.text.copy()
    if line.cut:
        text.truncate(width - line.indent, overflow="ellipsis")
    if text.cell_len + line.indent <= width:
        return [_indented(text, line.indent)]
    first, *rest = text.wrap(console, width - line.indent, overflow="fold")
    if rest and line.hang != line.indent:
        rest_text = text[len(first.plain) :]
        while rest_text.plain[:1] == " ":
            rest_text = rest_text[1:]
        rest = list(rest_text.wrap(console, width - line.hang, overflow="fold"))
    return [_indented(first, line.indent), *(_indented(part, line.hang) for part in rest)]


def _indented(text: Text, indent: int) -> Text:
    text.rstrip()
    return Text(" " * indent).append_text(text) if indent else text


def _ascii(text: Text) -> Text:
    """The ASCII form, without colours, which such terminals seldom have."""
    return Text(text.plain.translate(_ASCII_FORMS).encode("ascii", "backslashreplace").decode("ascii"))
