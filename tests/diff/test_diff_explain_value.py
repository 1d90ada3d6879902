"""Two lists or maps that differ are explained line by line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.explain_value import explain_value

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def test_a_dropped_item_is_one_line_and_not_a_shift_of_all_that_follow() -> None:
    """Somebody takes the first argument away."""
    assert explain_value(["--host=1", "--port=8", "x"], ["--port=8", "x"]) == ('- [0]: "--host=1"',)


def test_changes_deep_inside_are_named_by_their_path() -> None:
    """A rule gets another verb, and a further resource."""
    desired = [{"verbs": ["get", "list"], "resources": ["pods"]}]
    live = [{"verbs": ["get", "watch"], "resources": ["pods", "secrets"]}]
    assert explain_value(desired, live) == ('+ [0].resources[1]: "secrets"', '~ [0].verbs[1]: "list" → "watch"')


def test_scalars_and_values_of_two_kinds_have_no_inside() -> None:
    """The two values are explanation enough."""
    assert explain_value("a", "b") == ()
    assert explain_value(["a"], {"a": 1}) == ()


def test_a_long_explanation_is_cut_and_says_by_how_much() -> None:
    """Forty changes are listed as twenty and a number."""
    lines = explain_value({f"k{n}": 1 for n in range(40)}, {f"k{n}": 2 for n in range(40)})
    assert len(lines) == 21
    assert lines[-1].strip() == "… and 20 more"


def _nested(depth: int) -> object:
    value: object = "a"
    for _ in range(depth):
        value = {"k": value}
    return value


def test_what_would_take_minutes_is_not_explained() -> None:
    """Wherever in the value the many items are, and however deep it is. That it differs is told all the same."""
    assert explain_value({"x": list(range(3000))}, {"x": list(range(1, 3000))}) == ()
    assert explain_value([[n] * 50 for n in range(50)], [[n + 1] * 50 for n in range(50)]) == ()
    assert explain_value(_nested(400), _nested(401)) == ()


@given(_JSON, _JSON)
def test_whatever_the_values_the_explanation_never_fails(desired: object, live: object) -> None:
    """An explanation must not break its verdict."""
    assert all(isinstance(line, str) for line in explain_value(desired, live))
