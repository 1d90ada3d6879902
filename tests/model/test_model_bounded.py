"""Documents that are sent or answered have bounds, and say what they leave out."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from driftd.model.bounded import (
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_OBJECT_FIELDS,
    MAX_TEXT,
    bounded,
    without_fields,
)


def field(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"path": f"data.key{number}", "change": "changed", "desired": "a", "live": "b", "by": None, **more}


def described(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "ConfigMap", "name": "web", "fields": list(fields), "error": None, **more}


def test_what_is_small_enough_stays_as_it_is() -> None:
    """No new key, no other value."""
    document = described(field(1), field(2, desired={"a": ["x" * 1_000]}), error="short")
    assert bounded([document]) == [document]


def test_one_object_of_many_fields_leaves_room_for_others() -> None:
    """It says how many more it has; an object after it has all of its own."""
    large, small = bounded([described(*map(field, range(20_000))), described(field())])
    assert (len(large["fields"]), large["more_fields"]) == (MAX_OBJECT_FIELDS, 20_000 - MAX_OBJECT_FIELDS)
    assert large["fields"] == [field(number) for number in range(MAX_OBJECT_FIELDS)]
    assert small == described(field())


def test_many_objects_share_one_bound() -> None:
    """The last ones are there, with the number of their fields."""
    objects = bounded([described(*map(field, range(50))) for _ in range(100)])
    assert sum(len(each["fields"]) for each in objects) == MAX_FIELDS
    assert all(len(each["fields"]) + each.get("more_fields", 0) == 50 for each in objects)


def test_a_long_value_is_shortened_and_says_so() -> None:
    """Of a text its beginning, of anything else the beginning of its JSON. The original is as it was."""
    text, value = "x" * 2_000_000, {"a": list(range(100_000))}
    original = described(field(desired=text, live=value, path=f"data[{'k' * 9_000}]"), error="e" * 9_000)
    [short] = bounded([original])
    [of_it] = short["fields"]
    assert of_it["desired"] == "x" * MAX_TEXT + "…"
    assert of_it["live"].startswith('{"a":[0,1,2,')
    assert of_it["shortened"] is True
    assert max(len(of_it["live"]), len(of_it["path"]), len(short["error"])) == MAX_TEXT + 1
    assert original["fields"][0]["desired"] is text


def test_without_fields_only_their_number_is_left() -> None:
    """Of all, also of those that were left out before."""
    [document] = without_fields(bounded([described(*map(field, range(150)))]))
    assert (document["fields"], document["more_fields"]) == ([], 150)


_VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=6_000), lambda below: st.lists(below, max_size=20), max_leaves=20
)


@given(st.lists(st.lists(st.builds(field, desired=_VALUES, live=_VALUES), max_size=30), max_size=30))
def test_no_document_is_larger_than_its_bounds(objects: list[list[dict[str, Any]]]) -> None:
    """Whatever differs; and no field is lost without being counted."""
    documents = bounded([described(*fields) for fields in objects])
    assert sum(len(json.dumps(each["fields"])) for each in documents) < 2 * MAX_FIELD_BYTES
    counted = [len(each["fields"]) + each.get("more_fields", 0) for each in documents]
    assert counted == [len(fields) for fields in objects]
