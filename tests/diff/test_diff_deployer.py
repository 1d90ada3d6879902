"""The deployer is found without counting fields if the top levels of an entry suffice."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.deployer import _surely_owns, count_owned
from driftd.diff.ownership import ManagedFieldsEntry
from driftd.model.drift import FieldOwner

_NAMES = st.sampled_from(["a", "b", "c"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(0, 1) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=12,
)
_FIELDS: st.SearchStrategy[Any] = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(_NAMES.map("f:{}".format) | st.just("."), inner, max_size=3),
    max_leaves=12,
)


@given(
    fields=st.dictionaries(_NAMES.map("f:{}".format), _FIELDS, max_size=3),
    declared=st.dictionaries(_NAMES, _VALUES, max_size=3),
)
def test_what_is_surely_owned_is_owned(fields: dict[str, Any], declared: dict[str, Any]) -> None:
    """An entry that is accepted by its top levels also owns fields by count."""
    entry = ManagedFieldsEntry(FieldOwner("kubectl", "Apply"), "v1", fields)
    if _surely_owns(entry, declared):
        assert count_owned(fields, declared, None) > 0
