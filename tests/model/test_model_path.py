"""Paths of fields."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driftd.model.path import FieldPath, PathSet

_PATHS: st.SearchStrategy[FieldPath] = st.lists(st.sampled_from(["a", "b", 0]), max_size=3).map(tuple)


@given(st.lists(_PATHS, max_size=4), _PATHS)
def test_a_path_overlaps_those_within_it_and_those_that_it_is_within(paths: list[FieldPath], path: FieldPath) -> None:
    """Asked of a set of paths, it is the same as asked of each."""
    expected = any(one[: len(path)] == path[: len(one)] for one in paths)
    assert PathSet(paths).overlaps(path) == expected
