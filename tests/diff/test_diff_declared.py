"""What Git declares is looked for in the live object, as the API server would have stored it."""
# ruff: noqa: E501  # one case a line

from __future__ import annotations

import copy
from typing import Any

import pytest

from driftd.model.drift import Change, Status
from driftd.model.path import format_path
from tests.diff.objects import (
    DEPLOYMENT,
    JsonObject,
    changed_manually,
    custom_schema,
    deployed,
    deployment,
    drifts,
    owned,
    pod_spec,
    schema_of,
    thing,
    verdict,
)

CONTAINER = "spec.template.spec.containers[name=web]"


def _served(desired: JsonObject, live: JsonObject) -> list[tuple[str, str]]:
    schema = schema_of(*DEPLOYMENT)
    return drifts(desired, deployed(live, schema, operation="Update"), schema)


@pytest.mark.parametrize(
    ("declared", "live", "expected"),
    [
        ({"image": "nginx:1.25"}, {"image": "nginx:1.26"}, [(f"{CONTAINER}.image", "changed")]),
        ({"args": ["a", "b"]}, {"args": ["b", "a"]}, [(f"{CONTAINER}.args[0]", "changed"), (f"{CONTAINER}.args[1]", "changed")]),
        ({"args": ["a", "b"]}, {"args": ["a"]}, [(f"{CONTAINER}.args", "changed")]),
        ({"args": ["a"]}, {}, [(f"{CONTAINER}.args", "removed")]),
        ({"args": []}, {}, []),
        ({"env": []}, {}, []),
        ({"env": None}, {}, []),
        ({"workingDir": ""}, {}, []),
        ({"stdin": False}, {}, []),
        ({"stdin": True}, {}, [(f"{CONTAINER}.stdin", "removed")]),
        ({"imagePullPolicy": None}, {"imagePullPolicy": "Always"}, []),
        ({"resources": {}}, {"resources": {}}, []),
        ({"resources": {"limits": {}}}, {"resources": {}}, []),
        ({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}, []),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A"}]}, [(f"{CONTAINER}.env[name=A].value", "removed")]),
        ({"env": [{"name": "A", "value": "1"}]}, {}, [(f"{CONTAINER}.env", "removed")]),
        ({"env": [{"name": "A"}, {"name": "B"}]}, {"env": [{"name": "B"}]}, [(f"{CONTAINER}.env[name=A]", "removed")]),
        ({"env": [{"name": "A"}, {"name": "B"}]}, {"env": [{"name": "B"}, {"name": "A"}]}, [(f"{CONTAINER}.env", "changed")]),
        ({"env": [{"name": "A"}, {"name": "B"}]}, {"env": [{"name": "A"}, {"name": "X"}, {"name": "B"}]},
         [(f"{CONTAINER}.env[name=X]", "added")]),
        ({"ports": [{"containerPort": 80}]}, {"ports": [{"containerPort": 80, "protocol": "TCP"}]}, []),
        ({"ports": [{"containerPort": 80, "protocol": ""}]}, {"ports": [{"containerPort": 80, "protocol": "TCP"}]}, []),
        (
            {"ports": [{"containerPort": 80}]},
            {"ports": [{"containerPort": 80, "protocol": "UDP"}]},
            [(f"{CONTAINER}.ports[containerPort=80,protocol=TCP]", "removed"),
             (f"{CONTAINER}.ports[containerPort=80,protocol=UDP]", "added")],
        ),
        ({"imagePullPolicy": "", "terminationMessagePath": ""},
         {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log"}, []),
        ({"livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 0}},
         {"livenessProbe": {"httpGet": {"port": 80, "path": "/"}, "periodSeconds": 10}}, []),
        ({"securityContext": {"readOnlyRootFilesystem": False}}, {"securityContext": {}},
         [(f"{CONTAINER}.securityContext.readOnlyRootFilesystem", "removed")]),
        ({"volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": False}]},
         {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, []),
    ],
)  # fmt: skip
def test_a_container_is_compared_as_kubernetes_reads_it(
    declared: JsonObject, live: JsonObject, expected: list[tuple[str, str]]
) -> None:
    """List keys and their defaults, atomic lists, zero values that Go drops, and those that it keeps."""
    assert _served(deployment(**declared), deployment(**live)) == expected


def test_removing_a_declared_false_that_is_stored_is_drift() -> None:
    """`automountServiceAccountToken: false` is what keeps the token out; gone, the token is in."""
    desired, live = deployment(), deployment()
    pod_spec(desired)["automountServiceAccountToken"] = False
    assert _served(desired, live) == [("spec.template.spec.automountServiceAccountToken", "removed")]


def test_duplicate_keys_are_matched_by_order() -> None:
    """The API server takes a variable twice and keeps both, as it takes two ports of one number."""
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    assert _served(deployment(env=twice), deployment(env=twice)) == []
    other = [{"name": "A", "value": "1"}, {"name": "A", "value": "3"}]
    assert _served(deployment(env=twice), deployment(env=other)) == [(f"{CONTAINER}.env[name=A][1].value", "changed")]
    assert _served(deployment(env=twice), deployment(env=twice[:1])) == [(f"{CONTAINER}.env[name=A][1]", "removed")]
    assert _served(deployment(env=twice[:1]), deployment(env=twice)) == [(f"{CONTAINER}.env[name=A][1]", "added")]


def test_a_missing_object_is_missing() -> None:
    """And not drifted."""
    from driftd.model.resource import Manifest, Source  # noqa: PLC0415
    from tests.diff.objects import COMPARISON  # noqa: PLC0415

    manifest = Manifest.of(deployment(), Source("a.yaml", 1))
    assert COMPARISON.verdict(manifest, None, None).status is Status.MISSING


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"spec": {"replicas": "two"}}, "spec.replicas"),
        ({"spec": {"template": []}}, "spec.template"),
        ({"metadata": {"name": "web", "labels": {"on": True}}}, "metadata.labels.on"),
        ({"metadata": {"name": "web", "labels": {"number": 1}}}, "metadata.labels.number"),
        ({"spec": {"paused": "yes"}}, "spec.paused"),
    ],
)
def test_what_the_api_server_would_refuse_is_unknown(change: JsonObject, at: str) -> None:
    """With the field in the reason: never in sync, and never drift of somebody's."""
    desired = {**deployment(), **change}
    result = verdict(desired, deployment(), schema_of(*DEPLOYMENT))
    assert result.status is Status.UNKNOWN
    assert result.error is not None
    assert result.error.startswith(f"{at}: ")


def test_an_object_too_deep_to_compare_is_unknown() -> None:
    """A walk gives up on that one object, with the reason."""
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    other: Any = "y"
    for _ in range(100_000):
        other = [other]
    result = verdict(thing({"a": deep}), thing({"a": other}), None)
    assert result.status is Status.UNKNOWN
    assert result.error == "the object is nested too deeply to be compared"


def test_string_data_is_compared_as_data() -> None:
    """`stringData` wins over `data`, as in the API server."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    desired = {**secret, "data": {"a": "b2xk", "c": "Yw=="}, "stringData": {"a": "new"}}
    assert drifts(desired, {**secret, "data": {"a": "bmV3", "c": "Yw=="}}, schema_of("v1", "Secret")) == []
    assert drifts(desired, {**secret, "data": {"a": "b2xk", "c": "Yw=="}}, schema_of("v1", "Secret")) == [
        ("data.a", "changed")
    ]
    assert drifts({**secret, "stringData": {"a": "new"}}, secret, schema_of("v1", "Secret")) == [("data", "removed")]


def test_metadata_that_the_server_owns_is_not_compared() -> None:
    """A manifest that was once written with `kubectl get -o yaml` declares nothing with these."""
    desired = copy.deepcopy(deployment())
    desired["metadata"] |= {
        "uid": "x",
        "resourceVersion": "1",
        "creationTimestamp": None,
        "generation": 4,
        "selfLink": "/",
    }
    desired["status"] = {"replicas": 9}
    assert _served(desired, deployment()) == []


def test_a_status_without_a_subresource_is_compared() -> None:
    """Where the server does not own it, it is a field like others."""
    schema = custom_schema({"type": "object"}, status={"type": "object", "properties": {"a": {"type": "string"}}})
    desired, live = {**thing({}), "status": {"a": "b"}}, {**thing({}), "status": {"a": "c"}}
    assert drifts(desired, live, schema, status_is_server_owned=False) == [("status.a", "changed")]
    assert drifts(desired, live, schema) == []


def test_a_status_that_git_leaves_out_is_its_controllers_with_or_without_a_subresource() -> None:
    """Also where a generator writes an empty one; the rest of the object is compared."""
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = custom_schema({"type": "object", "properties": {"a": {"type": "string"}}}, status=status)
    live = deployed(thing({"a": "1"}), schema)
    live["status"] = {"phase": "Ready", "conditions": [{"type": "Ready"}]}
    live = changed_manually(live, owned("f:status", "f:phase"), "thing-controller")
    empty: JsonObject = {"conditions": [], "phase": "", "nested": {}}
    for desired in (thing({"a": "1"}), {**thing({"a": "1"}), "status": empty}):
        assert drifts(desired, live, schema, status_is_server_owned=False) == []
        desired["spec"] = {"a": "2"}
        assert drifts(desired, live, schema, status_is_server_owned=False) == [("spec.a", "changed")]
    # What Git sets is compared; what its controller adds is still its own.
    desired = {**thing({"a": "1"}), "status": {"phase": "New"}}
    assert drifts(desired, live, schema, status_is_server_owned=False) == [("status.phase", "changed")]


def test_a_field_that_the_kind_does_not_have_is_told_as_such() -> None:
    """A typing mistake: the API server drops it, so that applying it again would change nothing."""
    desired = deployment(imagePullpolicy="Always")
    schema = schema_of(*DEPLOYMENT)
    desired["spec"]["stratgy"] = {"type": "Recreate"}
    result = verdict(desired, deployed(deployment(), schema), schema)
    assert [(format_path(f.path), f.change, f.no_such_field) for f in result.fields] == [
        ("spec.template.spec.containers[name=web].imagePullpolicy", Change.REMOVED, True),
        ("spec.stratgy", Change.REMOVED, True),
    ]
    assert [f.at for f in result.fields][1] == ("spec", "stratgy")
    assert verdict(deployment(), deployed(deployment(), schema), schema).fields == ()


CUSTOM: list[tuple[str, JsonObject, Any, Any, list[tuple[str, str]]]] = [
    ("a field that the schema lacks is pruned", {"properties": {"a": {"type": "string"}}}, {"b": 1}, {}, [("spec.b", "removed")]),
    ("an object without fields is pruned whole", {"properties": {"a": {"type": "object"}}}, {"a": {"b": 1}}, {"a": {}}, [("spec.a.b", "removed")]),
    ("unknown fields are preserved", {"x-kubernetes-preserve-unknown-fields": True}, {"b": {"c": 1}}, {"b": {}}, [("spec.b.c", "removed")]),
    ("zero is stored", {"properties": {"a": {"type": "integer"}}}, {"a": 0}, {}, [("spec.a", "removed")]),
    ("an empty list is stored", {"properties": {"a": {"type": "array", "items": {"type": "string"}}}}, {"a": []}, {}, [("spec.a", "removed")]),
    ("a set has no order", {"properties": {"a": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}},
     {"a": ["x", "y"]}, {"a": ["y", "x"]}, []),
    ("a set lacks one", {"properties": {"a": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}},
     {"a": ["x", "y"]}, {"a": ["y"]}, [("spec.a[=x]", "removed")]),
    ("null is unset, also where it is nullable", {"properties": {"a": {"type": "string", "nullable": True}}}, {"a": None}, {"a": None}, []),
    ("null is live for a declared value", {"properties": {"a": {"type": "string", "nullable": True}}}, {"a": "b"}, {"a": None}, [("spec.a", "removed")]),
    ("an int or string keeps its kind", {"properties": {"a": {"x-kubernetes-int-or-string": True}}}, {"a": 1}, {"a": "1"}, [("spec.a", "changed")]),
    ("a quantity by its pattern", {"properties": {"a": {"x-kubernetes-int-or-string": True, "pattern": "^[0-9]+([KMGTPE]i)?$"}}}, {"a": 1024}, {"a": "1Ki"}, []),
    ("base64 by its format", {"properties": {"a": {"type": "string", "format": "byte"}}}, {"a": "YWJj\n"}, {"a": "YWJj"}, []),
    ("a time by its moment", {"properties": {"a": {"type": "string", "format": "date-time"}}}, {"a": "2026-01-01T01:00:00+01:00"}, {"a": "2026-01-01T00:00:00Z"}, []),
    ("an embedded object has metadata", {"properties": {"a": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}}}},
     {"a": {"kind": "X", "metadata": {"name": "n"}, "more": 1}}, {"a": {"kind": "X", "metadata": {"name": "m"}}}, [("spec.a.metadata.name", "changed"), ("spec.a.more", "removed")]),
    ("composite keys", {"properties": {"a": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "l"],
      "items": {"type": "object", "properties": {"k": {"type": "string"}, "l": {"type": "string", "default": "d"}, "v": {"type": "integer"}}}}}},
     {"a": [{"k": "1", "v": 1}, {"k": "1", "l": "e", "v": 2}]}, {"a": [{"k": "1", "l": "d", "v": 1}, {"k": "1", "l": "e", "v": 3}]},
     [("spec.a[k=1,l=e].v", "changed")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "desired", "live", "expected"), [case[1:] for case in CUSTOM], ids=[c[0] for c in CUSTOM]
)
def test_a_custom_resource_is_compared_by_its_own_schema(
    spec: JsonObject, desired: Any, live: Any, expected: list[tuple[str, str]]
) -> None:
    """Only the CRD's schema counts; the rules of Kubernetes' Go types do not apply."""
    assert drifts(thing(desired), thing(live), custom_schema({"type": "object", **spec})) == expected


def test_without_a_schema_objects_are_compared_as_json() -> None:
    """Where the cluster publishes none."""
    assert drifts(thing({"a": [1, {"b": 2}]}), thing({"a": [1, {"b": 3}]}), None) == [("spec.a[1].b", "changed")]


def test_the_server_engine_reports_what_git_declares_and_where() -> None:
    """Other changes by an apply are left out, and a field's position is that in the manifest."""
    desired = deployment(env=[{"name": "B", "value": "2"}])
    live = deployment(env=[{"name": "A"}, {"name": "B", "value": "9"}])
    answer = deployment(env=[{"name": "A"}, {"name": "B", "value": "2"}], imagePullPolicy="Always")
    live = deployed(live, schema_of(*DEPLOYMENT), operation="Update")
    result = verdict(desired, live, schema_of(*DEPLOYMENT), dry_run=answer)
    drift, added = result.fields
    assert (drift.desired, drift.live) == ("2", "9")
    assert drift.at == ("spec", "template", "spec", "containers", 0, "env", 0, "value")
    assert format_path(added.path).endswith("env[name=A]")
