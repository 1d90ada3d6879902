"""A live object with the planned differences put right, and the two forms in which that is written."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.typed.schema import Schema
from driftd.model.drift import Change, FieldDrift, FieldOwner
from driftd.model.path import FieldPath, ListKey, SetValue
from driftd.repair.apply_configuration import apply_configuration
from driftd.repair.object_patch import object_patch
from driftd.repair.restored_object import restored_object
from driftd.sandbox.patch import json_patch
from tests.diff.objects import DEPLOYMENT, custom_schema, deployed, deployment, entry, schema_of, thing, verdict

TYPE = schema_of(*DEPLOYMENT)
CONTAINER: FieldPath = ("spec", "template", "spec", "containers", ListKey((("name", "web"),)))


def field(*path: Any, change: Change = Change.CHANGED, live: Any = None) -> FieldDrift:
    return FieldDrift(path, change, None, live, ())


def restored(declared: dict[str, Any], live: dict[str, Any], schema: Schema | None) -> dict[str, Any]:
    """`live` with everything put right that the comparison finds."""
    return restored_object(live, declared, verdict(declared, live, schema).fields, schema)


def test_what_is_planned_is_as_git_says_and_the_rest_is_as_it_was() -> None:
    """Replicas of another value are live, and not planned: they stay."""
    declared = deployment()
    live = deployed(declared, TYPE)
    live["spec"]["replicas"] = 15
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:hotfix"
    result = restored_object(live, declared, [field(*CONTAINER, "image")], TYPE)
    expected = copy.deepcopy(live)
    expected["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:1.25"
    assert result == expected


def test_a_removed_item_comes_back_in_its_place() -> None:
    """After the item that precedes it in Git, and before somebody else's at the end."""
    env = [{"name": name, "value": name} for name in "ABC"]
    declared = deployment(env=env)
    live = deployed(declared, TYPE)
    live["spec"]["template"]["spec"]["containers"][0]["env"] = [env[0], env[2], {"name": "Z", "value": "by hand"}]
    removed = field(*CONTAINER, "env", ListKey((("name", "B"),)), change=Change.REMOVED)
    result = restored_object(live, declared, [removed], TYPE)
    assert [item["name"] for item in result["spec"]["template"]["spec"]["containers"][0]["env"]] == ["A", "B", "C", "Z"]


def test_another_order_is_put_right_without_what_the_items_hold() -> None:
    """Each item keeps its live fields, and one that Git does not have keeps its place."""
    declared = deployment(env=[{"name": name, "value": name} for name in "ABC"])
    live = deployed(declared, TYPE)
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": name.lower()} for name in "CZBA"]
    order = field(*CONTAINER, "env", live=["C", "B", "A"])
    result = restored_object(live, declared, [order], TYPE)
    assert [item["value"] for item in result["spec"]["template"]["spec"]["containers"][0]["env"]] == list("azbc")


def test_items_with_the_same_key_are_put_right_one_by_one() -> None:
    """Only their order tells them apart."""
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    declared = deployment(env=twice)
    live = deployed(declared, TYPE)
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [twice[0], {"name": "A", "value": "by hand"}, {"name": "A", "value": "3"}]
    result = restored(declared, live, TYPE)
    assert result["spec"]["template"]["spec"]["containers"][0]["env"] == twice


def test_a_part_of_an_atomic_list_is_put_right_within_the_live_list() -> None:
    """The other parts stay: one of them may be left to somebody."""
    schema = custom_schema({
        "type": "object",
        "properties": {"route": {"type": "array", "items": {"type": "object", "properties": {
            "host": {"type": "string"}, "weight": {"type": "integer"}}}}},
    })  # fmt: skip
    declared = thing({"route": [{"host": "a", "weight": 100}, {"host": "b", "weight": 0}]})
    live = deployed(thing({"route": [{"host": "a", "weight": 70}, {"host": "x", "weight": 30}]}), schema)
    result = restored_object(live, declared, [field("spec", "route", 1, "host")], schema)
    assert result["spec"]["route"] == [{"host": "a", "weight": 70}, {"host": "b", "weight": 30}]
    wanted = apply_configuration(result, declared, [field("spec", "route", 1, "host")], schema, "driftd")
    assert wanted["spec"]["route"] == result["spec"]["route"], "an atomic list is applied whole"


def test_an_apply_has_what_is_planned_and_what_driftd_owns_and_nothing_else() -> None:
    """An item of a map list comes with its keys; what driftd owns comes with its live value."""
    declared = deployment(ports=[{"containerPort": 80}])
    live = deployed(declared, TYPE, manager="flux")
    live["spec"]["replicas"] = 15
    live["metadata"]["finalizers"] = ["a/b"]
    live["metadata"]["managedFields"].append({
        "manager": "driftd", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}}, "f:metadata": {"f:finalizers": {'v:"a/b"': {}}}},
    })  # fmt: skip
    image = field(*CONTAINER, "image")
    assert apply_configuration(live, declared, [image], TYPE, "driftd") == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "finalizers": ["a/b"]},
        "spec": {"replicas": 15, "template": {"spec": {"containers": [{"name": "web", "image": "nginx:1.25"}]}}},
    }


def test_what_driftd_applied_in_another_version_of_the_kind_is_not_given_up() -> None:
    """Its fields have other names there: so all that Git declares is applied, with its live values."""
    declared = deployment()
    live = deployed(declared, TYPE, manager="driftd")
    live["metadata"]["managedFields"][0]["apiVersion"] = "apps/v1beta2"
    live["spec"]["replicas"] = 15
    wanted = apply_configuration(live, declared, [field(*CONTAINER, "image")], TYPE, "driftd")
    assert wanted["spec"] == {**declared["spec"], "replicas": 15}


def test_a_patch_holds_for_the_version_that_was_judged() -> None:
    """The API server answers with a conflict to a patch that sets another version; no difference is no patch."""
    live = {"metadata": {"name": "a", "resourceVersion": "7", "labels": {"a/b~c": "x"}}, "spec": {"on": True}}
    after = {"metadata": {"name": "a", "resourceVersion": "7", "labels": {}}, "spec": {"on": 1}}
    assert object_patch(live, after) == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/metadata/labels/a~1b~0c"},
        {"op": "replace", "path": "/spec/on", "value": 1},
    ]
    assert object_patch(live, copy.deepcopy(live)) == []


values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a/b", "~"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["a", "a/b", "c~"]), below, max_size=3),
    max_leaves=8,
)


@given(values, values)
def test_a_patch_makes_the_one_into_the_other(before: Any, after: Any) -> None:
    """Whatever they hold; and only what differs is in it."""
    metadata = {"name": "a", "resourceVersion": "7"}
    old, new = {"metadata": metadata, "spec": before}, {"metadata": metadata, "spec": after}
    operations = object_patch(old, new)
    assert json_patch(old, operations) == new
    assert not operations or repr(before) != repr(after)


env = st.lists(st.sampled_from("ABCD"), unique=True, max_size=4).map(
    lambda names: [{"name": name, "value": f"git-{name}"} for name in names]
)


@given(env, env, st.lists(st.sampled_from("wxyz"), unique=True, max_size=3), st.randoms())
def test_whatever_hands_do_all_of_it_is_put_right_and_nothing_else(
    declared_env: Any, live_env: Any, others: Any, chance: Any
) -> None:
    """A list of items in any state is as in Git again, a set too, and the finalizers of others stay."""
    declared = deployment(env=declared_env)
    declared["metadata"]["annotations"] = {"a": "1"}
    live = deployed(declared, TYPE)
    chance.shuffle(live_env)
    live["spec"]["template"]["spec"]["containers"][0]["env"] = live_env
    live["metadata"]["finalizers"] = others
    result = restored(declared, live, TYPE)
    kept = [item for item in result["spec"]["template"]["spec"]["containers"][0]["env"] if item in declared_env]
    assert kept == declared_env
    assert result["metadata"] == live["metadata"]


def test_a_set_value_comes_back_in_its_place() -> None:
    """A set has no order of its own; it is as before all the same."""
    schema = custom_schema({"type": "object", "properties": {"tags": {
        "type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}})  # fmt: skip
    declared = thing({"tags": ["a", "b", "c"]})
    live = deployed(thing({"tags": ["a", "c", "by-controller"]}), schema)
    removed = field("spec", "tags", SetValue("b"), change=Change.REMOVED)
    assert restored_object(live, declared, [removed], schema)["spec"]["tags"] == ["a", "b", "c", "by-controller"]


def test_a_map_that_came_with_an_added_field_goes_with_it_unless_it_is_somebody_elses() -> None:
    """An empty map in a custom resource would stay for ever."""
    schema = custom_schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    declared = thing({"deep": {"a": 1}})
    live = deployed(thing({"deep": {"a": 1, "more": {"x": 1}}}), schema)
    own: dict[str, Any] = {"f:spec": {"f:deep": {"f:more": {".": {}, "f:x": {}}}}}
    live["metadata"]["managedFields"] = [entry("kubectl-edit", own)]
    added = FieldDrift(
        ("spec", "deep", "more", "x"), Change.ADDED, None, 1, (), FieldOwner("kubectl-edit", "Update")
    )  # fmt: skip
    assert restored_object(live, declared, [added], schema)["spec"] == {"deep": {"a": 1}}
    live["metadata"]["managedFields"].append(entry("controller", {"f:spec": {"f:deep": {"f:more": {".": {}}}}}))
    assert restored_object(live, declared, [added], schema)["spec"] == {"deep": {"a": 1, "more": {}}}


def test_an_item_that_is_back_already_is_not_put_in_twice() -> None:
    """A patch has put it back, and the apply that follows it makes it driftd's."""
    declared = deployment(ports=[{"containerPort": 80}])
    live = deployed(declared, TYPE, manager="flux")
    port = field(*CONTAINER, "ports", ListKey((("containerPort", 80), ("protocol", "TCP"))), change=Change.REMOVED)
    result = restored_object(live, declared, [port], TYPE)
    assert result["spec"]["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80}]


def test_ten_thousand_items_of_a_list_are_put_back_in_one_reading_of_it() -> None:
    """Where each item costs a reading of the list, this takes minutes."""
    names = [f"K{number}" for number in range(10_000)]
    env = [{"name": name, "value": "1"} for name in names]
    declared = deployment(env=env)
    live = deployed(declared, TYPE)
    foreign = [{"name": f"Z{number}", "value": "by hand"} for number in range(3)]
    live["spec"]["template"]["spec"]["containers"][0]["env"] = [*env[5000::3], *foreign]
    gone = [name for number, name in enumerate(names) if number < 5000 or (number - 5000) % 3]
    removed = [field(*CONTAINER, "env", ListKey((("name", name),)), change=Change.REMOVED) for name in gone]
    result = restored_object(live, declared, removed, TYPE)
    assert result["spec"]["template"]["spec"]["containers"][0]["env"] == [*env, *foreign]
