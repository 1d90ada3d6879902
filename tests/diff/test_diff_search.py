"""The search for undeclared fields is skipped only if a walk proves that nothing was added."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.diff.normalise import LAST_APPLIED, normalise_live, normalise_manifest
from driftd.diff.typed.schema import Schema
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


def _reduced(body: JsonObject, data: st.DataObject) -> JsonObject:
    """The same object without one or two of its fields or items, or with null in place of one."""
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


def _owned(body: JsonObject, schema: Schema | None) -> JsonObject:
    kept = {k: v for k, v in body["metadata"].items() if k in ("labels", "finalizers") and v is not None}
    return fields_of({"metadata": kept, "spec": body.get("spec") or {}}, schema)


def _check(body: JsonObject, schema: Schema, data: st.DataObject) -> None:
    """Formerly declared fields are live and owned by the deployer; Git declares less now, or somebody removed some."""
    desired, actual = _reduced(body, data), copy.deepcopy(body)
    apply = data.draw(st.sampled_from(["Apply", "Update"]))
    deploys = entry("flux", _owned(body, schema), operation=apply, apiVersion=body["apiVersion"])
    changed_manually = entry("kubectl-edit", _owned(_reduced(body, data), schema), apiVersion=body["apiVersion"])
    actual["metadata"]["managedFields"] = data.draw(st.sampled_from([[deploys], [deploys, changed_manually]]))
    if apply == "Update":
        recorded = json.dumps(data.draw(st.sampled_from([desired, body])))
        actual["metadata"]["annotations"] = {**actual["metadata"].get("annotations", {}), LAST_APPLIED: recorded}
    manifest = Manifest.of(desired, Source("app.yaml", 1))
    wanted = normalise_manifest(manifest.body)
    if not walk_declared(wanted.body, normalise_live(actual), schema).undeclared:
        owned = COMPARISON._ownership(manifest, wanted, actual, schema)
        assert undeclared_drift(wanted.body, normalise_live(actual), schema, owned) == []


@given(typed(), st.data())
@settings(max_examples=300, deadline=None)
def test_every_owned_undeclared_field_is_searched_for(case: tuple[Schema, Any], data: st.DataObject) -> None:
    """For random types: desired, live and formerly applied state are different parts of one object."""
    schema, value = case
    _check(thing({"v": value}), schema, data)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_every_owned_undeclared_field_of_a_deployment_is_searched_for(data: st.DataObject) -> None:
    """The same for a type of Kubernetes' own, with its defaults, its sets, and lists of every sort."""
    body = copy.deepcopy(RICH)
    if data.draw(st.integers(0, 3)):
        del body["spec"]["template"]["spec"]["containers"][0]["env"][2]  # the variable that is there twice
    _check(body, schema_of(*DEPLOYMENT), data)


@pytest.mark.parametrize("operation", ["Apply", "Update"])
def test_what_was_just_deployed_needs_no_search(operation: str) -> None:
    """The search is skipped for objects that are in sync, which are most."""
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
    assert not walk_declared(wanted.body, normalise_live(actual), schema).undeclared
    assert verdict(body, actual, schema).status is Status.IN_SYNC


def test_owned_fields_of_a_value_that_changed_its_type_are_searched_for() -> None:
    """Git declares a string instead of a map: that is a change, and the map's fields are undeclared."""
    actual = deployed(thing({"v": {"a": "1"}}), None)
    result = verdict(thing({"v": "x"}), actual, None).fields
    assert [(drift.path, drift.change) for drift in result] == [
        (("spec", "v"), Change.CHANGED),
        (("spec", "v", "a"), Change.ADDED),
    ]


def test_fields_added_to_an_item_with_a_duplicate_key_are_searched_for() -> None:
    """Only their order distinguishes the items, and the record of the last apply is searched."""
    schema = schema_of(*DEPLOYMENT)
    body = deployment(env=[{"name": "A", "value": "1"}, {"name": "A"}])
    actual = deployed(body, schema, "kubectl-client-side-apply", "Update")
    pod_spec(actual)["containers"][0]["env"][1]["value"] = "2"
    actual["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(body)}
    path = "spec.template.spec.containers[name=web].env[name=A].value"
    assert drifts(body, actual, schema) == [(path, "added")]


def test_true_and_one_differ_in_a_list_too() -> None:
    """`true` and 1 are equal in Python and not in Kubernetes: neither as fields nor in lists."""
    body = thing({"a": [1], "b": {"c": 1}})
    other = thing({"a": [True], "b": {"c": True}})
    assert [drift.path for drift in verdict(body, other, None).fields] == [("spec", "a", 0), ("spec", "b", "c")]


def test_items_are_identified_by_all_of_their_keys_with_defaults() -> None:
    """A port without a protocol is a TCP port; an item that is no map has no keys."""
    schema: Schema | None = schema_of(*DEPLOYMENT)
    for part in ("spec", "template", "spec", "containers"):
        schema = schema.child(part) if schema else None
    ports = schema.items.child("ports") if schema and schema.items else None
    assert ports is not None
    result = ports.identities([{"containerPort": 80}, {"containerPort": 80, "protocol": ""}, "x"])
    assert result == [(80, "TCP"), (80, "TCP"), (None, None)]
