"""Patterns with stars, which repositories choose, mean what a regular expression would and never take long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.rules.globs import covers, matches
from driftd.diff.rules.ignore import annotation_rules

PATTERNS = st.text("ab.[*", max_size=8)
PATHS = st.text("ab.[", max_size=12)


@given(pattern=PATTERNS, path=PATHS)
def test_a_star_is_any_run_of_characters(pattern: str, path: str) -> None:
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert matches(pattern, path) == bool(re.fullmatch(expression, path))
    assert covers(pattern, path) == bool(re.fullmatch(expression + r"(?:[.\[].*)?", path))


@pytest.mark.parametrize("pattern", ["*a*a*a*a*ab", "*a" * 400 + "b", "a*" * 400 + "b"])
def test_no_pattern_takes_long(pattern: str) -> None:
    started = time.process_time()
    assert not matches(pattern, "a" * 5000)
    assert not covers(pattern, "a" * 5000)
    assert time.process_time() - started < 5


def test_an_annotation_has_room_for_a_hundred_paths() -> None:
    """Those beyond, and endless ones, ignore nothing: their differences are shown."""
    text = ",".join([*(f"spec.a{number}" for number in range(300)), "b" * 2000])
    [rule] = annotation_rules({"metadata": {"annotations": {"driftd.io/ignore": f"{'c' * 2000} {text}"}}})
    assert rule.paths == tuple(f"spec.a{number}" for number in range(100))
