"""Sets of field paths obey the laws of sets, and round-trip through FieldsV1."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driftd.sandbox.fields.comparing import compare
from driftd.sandbox.fields.fieldset import FieldSet, item, path_of, path_text
from driftd.sandbox.fields.merging import merge, remove
from driftd.sandbox.fields.typed import field_set
from driftd.sandbox.resources.catalog import builtin

_ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"', "i:0"])
_SETS = st.lists(st.lists(_ELEMENTS, min_size=1, max_size=4).map(tuple)).map(lambda paths: FieldSet.of(*paths))


@given(_SETS)
def test_a_set_round_trips_through_fields_v1(fields: FieldSet) -> None:
    """Encoding and decoding give an equal set."""
    assert FieldSet.from_fields_v1(fields.to_fields_v1()) == fields


@given(_SETS, _SETS)
def test_union_intersection_and_difference_are_those_of_paths(left: FieldSet, right: FieldSet) -> None:
    """The trie behaves like a set of paths."""
    a, b = set(left.paths()), set(right.paths())
    assert set(left.union(right).paths()) == a | b
    assert set(left.intersection(right).paths()) == a & b
    assert set(left.difference(right).paths()) == a - b
    below = {path for path in a if not any(path[: len(other)] == other for other in b)}
    assert set(left.recursive_difference(right).paths()) == below


_NAMES = st.sampled_from(["a", "b", "c", "d"])
_CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": _NAMES}, optional={"image": _NAMES, "args": st.lists(_NAMES, max_size=2)}),
    max_size=4, unique_by=lambda container: container["name"],
)  # fmt: skip
_PODS = st.fixed_dictionaries(
    {
        "spec": st.fixed_dictionaries(
            {"containers": _CONTAINERS}, optional={"nodeSelector": st.dictionaries(_NAMES, _NAMES)}
        )
    }
)
_POD = builtin().types.ref("io.k8s.api.core.v1.Pod")


@given(_PODS)
def test_an_object_does_not_differ_from_itself(pod: dict[str, object]) -> None:
    """Nor from a copy of it, and merging it into itself changes nothing."""
    comparison = compare(pod, {**pod}, _POD)
    assert not comparison.added
    assert not comparison.modified
    assert not comparison.removed
    assert merge(pod, pod, _POD) == pod


@given(_PODS, _PODS)
def test_a_merged_object_has_all_that_was_declared(live: dict[str, object], config: dict[str, object]) -> None:
    """All fields of the configuration are in the result, and all fields of live, except in atomic values."""
    merged = merge(live, config, _POD)
    comparison = compare(config, merged, _POD)
    assert not comparison.removed
    assert not comparison.modified
    assert not set(field_set(live, _POD).paths()) - set(field_set(merged, _POD).paths())


@given(_PODS)
def test_removing_a_containers_fields_removes_the_container(pod: dict[str, object]) -> None:
    """That container, and no other."""
    containers = pod["spec"]["containers"]  # type: ignore[index]
    if not containers:
        return
    path = (*path_of("spec", "containers"), item({"name": containers[0]["name"]}))
    remaining = remove(pod, FieldSet.of(path), _POD) or {}
    names = [container["name"] for container in (remaining.get("spec") or {}).get("containers") or ()]
    assert names == [container["name"] for container in containers[1:]]


def test_a_path_is_formatted_as_by_the_api_server() -> None:
    """Fields with dots, items with their keys."""
    path = (*path_of("spec", "containers"), item({"name": "web"}), "f:image")
    assert path_text(path) == '.spec.containers[name="web"].image'
    assert path_text(('v:"x"',)) == '[="x"]'
