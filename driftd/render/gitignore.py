"""Patterns of `.gitignore`, matched in time proportional to the lengths of pattern and path. Pure.

They come from repositories: a regular expression, whose backtracking takes exponential time for some patterns, would
stop the daemon. Here the last star is the only one that is ever tried again, which is enough for stars that match
anything. Source: gitignore(5), and `wildmatch.c` of Git.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

MAX_PATTERN_LENGTH = 1024

_ANY_FOLDERS = None
"""The segment `**`."""

_TOKEN = re.compile(r"\\(.)|(\*+)|(\?)|\[([!^]?)(\]?(?:\[:\w+:\]|\\.|[^\]\\])*)\]|(.)", re.DOTALL)
_CLASS_MEMBER = re.compile(r"\[:(\w+):\]|\\?(.)(?:-(?!$)\\?(.))?", re.DOTALL)
_CLASSES: dict[str, Callable[[str], bool]] = {
    "alnum": lambda c: c.isascii() and c.isalnum(),
    "alpha": lambda c: c.isascii() and c.isalpha(),
    "blank": lambda c: c in " \t",
    "cntrl": lambda c: c < " " or c == "\x7f",
    "digit": lambda c: c.isascii() and c.isdigit(),
    "graph": lambda c: "!" <= c <= "~",
    "lower": lambda c: c.isascii() and c.islower(),
    "print": lambda c: " " <= c <= "~",
    "punct": lambda c: "!" <= c <= "~" and not c.isalnum(),
    "space": lambda c: c in " \t\n\r\v\f",
    "upper": lambda c: c.isascii() and c.isupper(),
    "xdigit": lambda c: c in "0123456789abcdefABCDEF",
}

A = TypeVar("A")
B = TypeVar("B")


class TooMuchWork(ValueError):
    """Matching these patterns takes too long."""


@dataclass(slots=True)
class Effort:
    """What matching may still cost, in comparisons of a character or a name."""

    left: int

    def spend(self, steps: int) -> None:
        """Raises: TooMuchWork."""
        self.left -= steps
        if self.left < 0:
            raise TooMuchWork


_Matcher = Callable[[str], bool]
"""Whether one character matches; None, beside it, stands for a star."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file. `includes` is that of a line with `!`."""

    segments: tuple[Segment | None, ...]
    includes: bool
    folders_only: bool

    @classmethod
    def parse(cls, line: str) -> Pattern | None:
        """The pattern of a line; None for a blank line or a comment.

        Raises: ValueError: it is longer than `MAX_PATTERN_LENGTH`.
        """
        if len(line) > MAX_PATTERN_LENGTH:
            raise ValueError(f"a pattern is longer than {MAX_PATTERN_LENGTH} characters")
        text = _without_trailing_blanks(line)
        if not text or text.startswith("#"):
            return None
        includes = text.startswith("!")
        text = text[includes:]
        folders_only = text.endswith("/")
        text = text.rstrip("/") if folders_only else text
        if not text:
            return None
        parts = text.lstrip("/").split("/")
        if "/" not in text:
            parts = ["**", *parts]  # at any depth
        if parts[-1] == "**":
            parts = [*parts, "*"]  # all that is in a folder, not the folder itself
        segments = tuple(_ANY_FOLDERS if part == "**" else Segment.parse(part) for part in parts)
        return cls(segments, includes, folders_only)

    def matches(self, path: Sequence[str], effort: Effort, *, is_folder: bool) -> bool:
        """Whether it matches a path, given in its steps from the ignore file's folder. Raises: TooMuchWork."""
        if self.folders_only and not is_folder:
            return False
        return _match(self.segments, path, lambda segment, name: segment.matches(name, effort), effort)


@dataclass(frozen=True, slots=True)
class Segment:
    """A pattern of one name: `text` if it is literal, else a matcher for each character, None for a star."""

    text: str | None
    tokens: tuple[_Matcher | None, ...] = ()

    @classmethod
    def parse(cls, part: str) -> Segment:
        literal: list[str] = []
        tokens: list[_Matcher | None] = []
        for token in _TOKEN.finditer(part):
            escaped, stars, question, negation, members, plain = token.groups()
            if stars:
                tokens.append(None)
            elif question:
                tokens.append(_any_character)
            elif members is not None:
                tokens.append(_class_matcher(members, negated=bool(negation)))
            else:
                literal.append(escaped or plain)
                tokens.append((escaped or plain).__eq__)
        if len(literal) == len(tokens):
            return cls("".join(literal))
        return cls(None, tuple(tokens))

    def matches(self, name: str, effort: Effort) -> bool:
        return name == self.text if self.text is not None else _match(self.tokens, name, _call, effort)


def _match(pattern: Sequence[A | None], items: Sequence[B], matches: Callable[[A, B], bool], effort: Effort) -> bool:
    """Whether the pattern matches all items in turn; None in it matches any number of them."""
    at = place = steps = 0
    star, resumed = -1, 0
    while at < len(items):
        steps += 1
        wanted = pattern[place] if place < len(pattern) else ...
        if wanted is None:
            star, resumed = place, at
            place += 1
        elif wanted is not ... and matches(wanted, items[at]):
            at += 1
            place += 1
        elif star >= 0:
            resumed += 1
            at, place = resumed, star + 1
        else:
            effort.spend(steps)
            return False
    effort.spend(steps)
    return all(each is None for each in pattern[place:])


def _any_character(_character: str) -> bool:
    return True


def _call(matcher: _Matcher, character: str) -> bool:
    return matcher(character)


def _class_matcher(members: str, *, negated: bool) -> _Matcher:
    ranges: list[tuple[str, str]] = []
    named: list[_Matcher] = []
    for member in _CLASS_MEMBER.finditer(members):
        name, low, high = member.groups()
        if name:
            named.append(_CLASSES.get(name, lambda _: False))
        else:
            ranges.append((low, high or low))

    def matches(character: str) -> bool:
        found = any(low <= character <= high for low, high in ranges) or any(each(character) for each in named)
        return found != negated

    return matches


def _without_trailing_blanks(line: str) -> str:
    text = line.rstrip(" ")
    escapes = len(text) - len(text.rstrip("\\"))
    return text + " " if escapes % 2 and len(text) < len(line) else text
