"""Mistakes in the configuration, as validation errors for users."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic_core import PydanticCustomError

MISTAKE = "driftd"
"""The pydantic error type of messages that are for users as they are."""


def mistake(text: str) -> PydanticCustomError:
    """A validation error whose text is shown to users as it is."""
    return PydanticCustomError(MISTAKE, "{text}", {"text": text})


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`; did you mean "heal"?`; empty when no candidate is close."""
    by_lower = {name.lower(): name for name in candidates}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""
