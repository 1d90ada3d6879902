"""Any text in GitHub's and GitLab's Markdown: in code it is no markup, no link and no mention."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from driftd.model.text import one_line

_NOTE = 80
"""Characters of a line that says how much is left out."""


def code(text: str, *, in_table: bool = False) -> str:
    """A code span of any text."""
    text = one_line(text)
    if in_table:
        text = text.replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    # CommonMark strips one blank off both ends when both have one.
    pad = " " if not text or text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text or ' '}{pad}{fence}"


def fenced(lines: Iterable[str], language: str = "") -> str:
    """A fenced code block of any lines: the fence is longer than any in them."""
    body = "\n".join(lines)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", body)), default=0))
    return f"{fence}{language}\n{body}\n{fence}"


def details(summary: str, *names: str, body: str) -> str:
    """A part that is folded up below a line: our own words, then names of any text as code."""
    shown = ", ".join(f"<code>{html.escape(one_line(name))}</code>" for name in names)
    return f"<details><summary>{' '.join(filter(None, (summary, shown)))}</summary>\n\n{body}\n\n</details>"


@dataclass(slots=True)
class Room:
    """The characters that a comment still has."""

    left: int

    def has(self, block: str) -> bool:
        """Whether a block fits, with the blank line after it."""
        return len(block) + 2 <= self.left

    def take(self, block: str) -> bool:
        """Takes the room of a block, if it fits."""
        if not self.has(block):
            return False
        self.left -= len(block) + 2
        return True

    def fill(self, parts: Iterable[str]) -> tuple[list[str], int]:
        """The parts that fit, one after the other, and how many do not. What tells of these has its room then."""
        fitting, left_out = [], 0
        for part in parts:
            if self.take(part):
                fitting.append(part)
            else:
                left_out += 1
        self.left -= _NOTE if left_out else 0
        return fitting, left_out
