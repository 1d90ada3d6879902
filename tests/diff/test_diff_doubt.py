"""Nothing is looked for where nothing can be: the walk says when, and it is never wrong about that."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.diff.normalise import LAST_APPLIED, normalise_live, normalise_manifest
from driftd.diff.schema import Schema
from driftd.diff.undeclared import undeclared_drift
from driftd.diff.walk import walk_declared
from driftd.model.drift import Change, Status
from driftd.model.resource import Manifest, Source
from tests.diff.objects import (
    COMPARISON,
    DEPLOYMENT,
    JsonObject,
    deployed,
    deployment,
    drifts,
    entry,
    fields_of,
    pod_spec,
    schema_of,
    thing,
    verdict,
)
from tests.diff.test_diff_properties import typed

RICH: JsonObject = deployment(
    args=["--a", "--b"],
    ports=[{"containerPort": 80, "name": "http"}, {"containerPort": 53, "protocol": "UDP"}],
    env=[
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "A", "value": "2"},
    ],
    resources={"limits": {"cpu": "0.5"}, "requests": {"cpu": "100m", "memory": "1Gi"}},
    readinessProbe={"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 10},
    volumeMounts=[{"name": "v", "mountPath": "/v"}],
    imagePullPolicy="IfNotPresent",
)
RICH["metadata"] |= {"annotations": {"a": "b"}, "finalizers": ["example.com/a", "example.com/b"]}
RICH["spec"]["template"]["spec"] |= {
    "tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "effect": "NoSchedule", "operator": "Exists"}],
    "nodeSelector": {"a": "b"},
    "volumes": [{"name": "v", "configMap": {"name": "v", "defaultMode": 420}}],
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
}


def _lessened(body: JsonObject, data: st.DataObject) -> JsonObject:
    """The same object without one or two of its fields or items, or with null in the place of one."""
    result = copy.deepcopy(body)
    for _ in range(data.draw(st.integers(1, 2))):
        places = [*_places(result["metadata"].get("labels")), *_places(result["metadata"].get("finalizers"))]
        places += _places(result.get("spec"))
        if not places:
            break
        container, key = data.draw(st.sampled_from(places))
        if isinstance(container, dict) and data.draw(st.integers(0, 4)) == 0:
            container[key] = None
        else:
            del container[key]
    return result


def _places(value: Any) -> list[tuple[Any, Any]]:
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            pairs += [(value, key), *_places(item)]
    return pairs


def _held(body: JsonObject, schema: Schema | None) -> JsonObject:
    kept = {k: v for k, v in body["metadata"].items() if k in ("labels", "finalizers") and v is not None}
    return fields_of({"metadata": kept, "spec": body.get("spec") or {}}, schema)


def _check(body: JsonObject, schema: Schema, data: st.DataObject) -> None:
    """What was declared once is live, and held by who deploys; Git declares less now, or a hand has done it."""
    desired, actual = _lessened(body, data), copy.deepcopy(body)
    apply = data.draw(st.sampled_from(["Apply", "Update"]))
    deploys = entry("flux", _held(body, schema), operation=apply, apiVersion=body["apiVersion"])
    by_hand = entry("kubectl-edit", _held(_lessened(body, data), schema), apiVersion=body["apiVersion"])
    actual["metadata"]["managedFields"] = data.draw(st.sampled_from([[deploys], [deploys, by_hand]]))
    if apply == "Update":
        recorded = json.dumps(data.draw(st.sampled_from([desired, body])))
        actual["metadata"]["annotations"] = {**actual["metadata"].get("annotations", {}), LAST_APPLIED: recorded}
    manifest = Manifest.of(desired, Source("app.yaml", 1))
    wanted = normalise_manifest(manifest.body)
    owned = COMPARISON._ownership(manifest, wanted, actual, schema)
    walk = walk_declared(wanted.body, normalise_live(actual), schema, owned.applied_fields)
    found = undeclared_drift(wanted.body, normalise_live(actual), schema, owned, inconclusive=walk.inconclusive)
    assert found == undeclared_drift(wanted.body, normalise_live(actual), schema, owned, inconclusive=True)


@given(typed(), st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_is_held_and_not_declared_is_looked_for(case: tuple[Schema, Any], data: st.DataObject) -> None:
    """For random types: what Git declares, what is live and what was applied before are each another part of it."""
    schema, value = case
    _check(thing({"v": value}), schema, data)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_of_a_deployment_is_held_and_not_declared_is_looked_for(data: st.DataObject) -> None:
    """The same for a type of Kubernetes' own, with its defaults, its sets, and lists of every sort."""
    body = copy.deepcopy(RICH)
    if data.draw(st.integers(0, 3)):
        del body["spec"]["template"]["spec"]["containers"][0]["env"][2]  # the variable that is there twice
    _check(body, schema_of(*DEPLOYMENT), data)


@pytest.mark.parametrize("operation", ["Apply", "Update"])
def test_what_was_just_deployed_leaves_no_doubt(operation: str) -> None:
    """The search is spared where it matters: for all those objects that are in sync."""
    schema = schema_of(*DEPLOYMENT)
    body = copy.deepcopy(RICH)
    del body["spec"]["template"]["spec"]["containers"][0]["env"][2]
    manifest, actual = Manifest.of(body, Source("app.yaml", 1)), deployed(body, schema, operation=operation)
    container = actual["spec"]["template"]["spec"]["containers"][0]
    container["env"][1]["valueFrom"]["fieldRef"]["apiVersion"] = "v1"
    container["ports"][0]["protocol"] = "TCP"
    container["resources"]["limits"]["cpu"] = "500m"
    container["terminationMessagePath"] = "/dev/termination-log"
    wanted = normalise_manifest(manifest.body)
    owned = COMPARISON._ownership(manifest, wanted, actual, schema)
    assert not walk_declared(wanted.body, normalise_live(actual), schema, owned.applied_fields).inconclusive
    assert verdict(body, actual, schema).status is Status.IN_SYNC


def test_what_is_held_inside_of_what_changed_its_type_is_looked_for() -> None:
    """Git declares a text where it declared a map: that is a change, and the map's fields are of no manifest."""
    actual = deployed(thing({"v": {"a": "1"}}), None)
    found = verdict(thing({"v": "x"}), actual, None).fields
    assert [(drift.path, drift.change) for drift in found] == [
        (("spec", "v"), Change.CHANGED),
        (("spec", "v", "a"), Change.ADDED),
    ]


def test_what_was_put_into_an_item_whose_key_stands_twice_is_looked_for() -> None:
    """The items are told apart by their order alone, and the record of the last apply is looked through."""
    schema = schema_of(*DEPLOYMENT)
    body = deployment(env=[{"name": "A", "value": "1"}, {"name": "A"}])
    actual = deployed(body, schema, "kubectl-client-side-apply", "Update")
    pod_spec(actual)["containers"][0]["env"][1]["value"] = "2"
    actual["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(body)}
    path = "spec.template.spec.containers[name=web].env[name=A].value"
    assert drifts(body, actual, schema) == [(path, "added")]


def test_a_value_in_a_list_that_changed_what_it_is_is_no_equal() -> None:
    """`true` and 1 are equal to Python, and not to Kubernetes: not as a field, and not in a list."""
    body = thing({"a": [1], "b": {"c": 1}})
    other = thing({"a": [True], "b": {"c": True}})
    assert [drift.path for drift in verdict(body, other, None).fields] == [("spec", "a", 0), ("spec", "b", "c")]


def test_items_are_told_apart_by_all_of_their_keys_each_with_its_default() -> None:
    """A port without a protocol is a TCP port, and what is no map has no keys."""
    schema: Schema | None = schema_of(*DEPLOYMENT)
    for part in ("spec", "template", "spec", "containers"):
        schema = schema.child(part) if schema else None
    ports = schema.items.child("ports") if schema and schema.items else None
    assert ports is not None
    found = ports.identities([{"containerPort": 80}, {"containerPort": 80, "protocol": ""}, "x"])
    assert found == [(80, "TCP"), (80, "TCP"), (None, None)]
