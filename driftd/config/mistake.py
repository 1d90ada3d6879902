"""How a mistake in the configuration is said."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic_core import PydanticCustomError

MISTAKE = "driftd"
"""The error type of every message that is already one of ours."""


def mistake(text: str) -> PydanticCustomError:
    """A validation error whose text is shown to the user as it is."""
    return PydanticCustomError(MISTAKE, "{text}", {"text": text})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "heal"?`, or nothing when no known word is close."""
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""
