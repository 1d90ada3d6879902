"""Patterns of formatted field paths: `*` matches any run of characters, and nothing else is special."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def matches(pattern: str, path: str) -> bool:
    """Whether the pattern matches the whole path."""
    return _exact(pattern).fullmatch(path) is not None


def matches_any(patterns: Iterable[str], path: str) -> bool:
    return any(matches(pattern, path) for pattern in patterns)


def covers(pattern: str, path: str) -> bool:
    """Whether the pattern matches the path or one of its parents: `spec.template` covers all of the template."""
    return _subtree(pattern).fullmatch(path) is not None


@lru_cache(maxsize=1024)
def _exact(pattern: str) -> re.Pattern[str]:
    return re.compile(_regex(pattern), re.DOTALL)


@lru_cache(maxsize=1024)
def _subtree(pattern: str) -> re.Pattern[str]:
    return re.compile(_regex(pattern) + r"(?:[.\[].*)?", re.DOTALL)


def _regex(pattern: str) -> str:
    return ".*".join(re.escape(part) for part in pattern.split("*"))
