"""Patterns in which `*` matches any run of characters, and nothing else is special.

Patterns come from repositories, too: they are matched without a regular expression, whose backtracking takes
exponential time for some. Each part between two stars is looked for once, from left to right.
"""

from __future__ import annotations

from collections.abc import Iterable


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern matches the whole text."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    last = rest.pop()
    at = _after(first, rest, text)
    return at is not None and at <= len(text) - len(last) and text.endswith(last)


def matches_any(patterns: Iterable[str], text: str) -> bool:
    return any(matches(pattern, text) for pattern in patterns)


def covers(pattern: str, path: str) -> bool:
    """Whether the pattern matches the path or one of its parents: `spec.template` covers all of the template."""
    first, *rest = pattern.split("*")
    if not rest:
        return path.startswith(first) and _is_boundary(path, len(first))
    last = rest.pop()
    at = _after(first, rest, path)
    if at is None or not last:
        return at is not None
    while (at := path.find(last, at)) >= 0:
        if _is_boundary(path, at + len(last)):
            return True
        at += 1
    return False


def _after(first: str, parts: Iterable[str], text: str) -> int | None:
    """The index after `first` at the start of a text and, wherever they follow, these parts; None if they do not."""
    if not text.startswith(first):
        return None
    at = len(first)
    for part in parts:
        found = text.find(part, at)
        if found < 0:
            return None
        at = found + len(part)
    return at


def _is_boundary(path: str, index: int) -> bool:
    return index == len(path) or path[index] in ".["
