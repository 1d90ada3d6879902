"""Removal of fields that Git does not declare."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from driftd.model.path import FieldPath, ListKey, SetValue
from driftd.repair.field_removal import removal_patch


def item(**keys: Any) -> ListKey:
    return ListKey(tuple(keys.items()))


LIVE: dict[str, Any] = {
    "metadata": {"name": "web", "labels": {"app": "web", "a/b~c": "x"}, "finalizers": ["a", "b", "c"]},
    "spec": {
        "containers": [
            {"name": "web", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "args": ["x", "y"]},
            {"name": "sidecar"},
        ],
        "ports": [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}],
    },
}


def patched(live: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """The object after a JSON patch of tests and removals. Raises: AssertionError: a test fails."""
    result = copy.deepcopy(live)
    for operation in operations:
        parts = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        at: Any = result
        for part in parts[:-1]:
            at = at[int(part)] if isinstance(at, list) else at[part]
        last: Any = int(parts[-1]) if isinstance(at, list) else parts[-1]
        if operation["op"] == "test":
            assert at[last] == operation["value"]
        else:
            del at[last]
    return result


def without(*paths: FieldPath) -> dict[str, Any]:
    return patched(LIVE, removal_patch(LIVE, paths, None))


def test_a_key_with_a_slash_or_a_tilde_in_it_is_escaped() -> None:
    """RFC 6901."""
    assert removal_patch(LIVE, [("metadata", "labels", "a/b~c")], None) == [
        {"op": "remove", "path": "/metadata/labels/a~1b~0c"}
    ]


def test_an_item_of_a_map_list_is_found_by_its_keys_and_tested_on_the_way() -> None:
    """Whatever its position: another item may have been inserted before it."""
    path = ("spec", "containers", item(name="web"), "env", item(name="B"))
    assert removal_patch(LIVE, [path], None) == [
        {"op": "test", "path": "/spec/containers/0/name", "value": "web"},
        {"op": "test", "path": "/spec/containers/0/env/1/name", "value": "B"},
        {"op": "remove", "path": "/spec/containers/0/env/1"},
    ]


def test_all_keys_of_an_item_count() -> None:
    """Port 80 exists for TCP and for UDP."""
    left = without(("spec", "ports", item(port=80, protocol="UDP")))
    assert left["spec"]["ports"] == [{"port": 80, "protocol": "TCP"}]


def test_several_items_of_one_list_are_removed_from_the_back() -> None:
    """Removing one does not move the other."""
    left = without(("metadata", "finalizers", SetValue("a")), ("metadata", "finalizers", SetValue("c")))
    assert left["metadata"]["finalizers"] == ["b"]


def test_a_field_inside_an_item_that_is_removed_too_is_no_error() -> None:
    """The container is removed with all of its fields."""
    left = without(("spec", "containers", item(name="web")), ("spec", "containers", item(name="web"), "args"))
    assert [c["name"] for c in left["spec"]["containers"]] == ["sidecar"]


def test_a_field_that_does_not_exist_any_more_is_skipped() -> None:
    """Somebody else has removed it."""
    gone: list[FieldPath] = [
        ("metadata", "annotations", "x"), ("spec", "containers", item(name="other")), ("spec", "ports", SetValue(1)),
        ("metadata", "name", "deeper"), ("metadata", "finalizers", 7),
    ]  # fmt: skip
    assert removal_patch(LIVE, gone, None) == []


def test_an_item_that_was_replaced_in_between_fails_the_test_of_the_patch() -> None:
    """All or nothing: no other item than the one that was read is removed."""
    operations = removal_patch(LIVE, [("metadata", "finalizers", SetValue("b"))], None)
    other = copy.deepcopy(LIVE)
    other["metadata"]["finalizers"] = ["b", "a", "c"]
    try:
        patched(other, operations)
    except AssertionError:
        return
    raise AssertionError("the patch went through")


def leaves(value: Any, path: FieldPath = ()) -> list[FieldPath]:
    """Every path of LIVE, as the comparison names it."""
    paths: list[FieldPath] = [path] if path else []
    if isinstance(value, dict):
        for key, below in value.items():
            paths += leaves(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            if not isinstance(below, dict):
                segment: Any = SetValue(below) if path[-1] == "finalizers" else index
            elif "port" in below:
                segment = item(port=below["port"], protocol=below["protocol"])
            else:
                segment = item(name=below["name"])
            paths += leaves(below, (*path, segment))
    return paths


PATHS = leaves(LIVE)


def pruned(value: Any, gone: set[FieldPath], path: FieldPath = ()) -> Any:
    """LIVE without some paths, by a slow and simple way."""
    if isinstance(value, dict):
        return {k: pruned(v, gone, (*path, k)) for k, v in value.items() if (*path, k) not in gone}
    if isinstance(value, list):
        named = [(leaf[-1], below) for below in value for leaf in [next_path(value, below, path)]]
        return [pruned(below, gone, (*path, name)) for name, below in named if (*path, name) not in gone]
    return value


def next_path(items: list[Any], item: Any, path: FieldPath) -> FieldPath:
    return next(p for p in leaves(items, path) if len(p) == len(path) + 1 and value_at(p) is item)


def value_at(path: FieldPath) -> Any:
    value: Any = LIVE
    for segment in path:
        if isinstance(segment, ListKey):
            value = next(i for i in value if all(i[k] == v for k, v in segment.keys))
        elif isinstance(segment, SetValue):
            value = next(i for i in value if i == segment.value)
        else:
            value = value[segment]
    return value


@given(st.lists(st.sampled_from([p for p in PATHS if p[-1] not in ("name", "port", "protocol")]), max_size=6))
def test_any_fields_are_removed_and_nothing_else(paths: list[FieldPath]) -> None:
    """In any order, doubled or nested; and the tests of the patch hold on the object that was read."""
    assert without(*paths) == pruned(LIVE, set(paths))
