"""Argo CD's patterns of paths."""

from __future__ import annotations

import re
from functools import cache

from driftd.model.errors import RenderError

_MAX_LENGTH, _MAX_STARS = 500, 5
"""Matching takes the length of a path to the power of the stars at worst."""
_PART = re.compile(r"\*+|\?|\[!?[^\]]+\]|[{},]|\\.|[^*?\[{},\\]+|.", re.DOTALL)


@cache
def glob_pattern(pattern: str) -> re.Pattern[str]:
    """A regular expression of the paths that a pattern of Argo CD matches: `{apps/*,*.yaml}`; `*` matches `/`, too.

    Source: gobwas/glob, as Argo CD compiles it, without separators. Raises: RenderError.
    """
    if len(pattern) > _MAX_LENGTH or len(re.findall(r"\*+", pattern)) > _MAX_STARS:
        raise RenderError(f"the pattern {pattern[:80]!r} is too long, or has too many stars", file=".")
    depth, pieces = 0, []
    for part in _PART.findall(pattern):
        pieces.append(_translated(part, in_braces=depth > 0))
        depth += {"{": 1, "}": -1}.get(part, 0)
        if depth < 0:
            break
    if depth:
        raise RenderError(f"the braces of the pattern {pattern!r} do not fit together", file=".")
    return re.compile("".join(pieces), re.DOTALL)


def _translated(part: str, *, in_braces: bool) -> str:
    match part[0]:
        case "*":
            return ".*"
        case "?":
            return "."
        case "{":
            return "(?:"
        case "}":
            return ")"
        case "," if in_braces:
            return "|"
        case "[" if len(part) > 1:
            negated = part[1] == "!"
            characters = re.sub(r"([\\\[\]^&~|])", r"\\\1", part[1 + negated : -1])
            return f"[{'^' if negated else ''}{characters}]"
        case "\\" if len(part) > 1:
            return re.escape(part[1])
    return re.escape(part)
