"""Defaults that the API server sets are no drift; other values are."""
# ruff: noqa: E501  # one case a line

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.diff.objects import (
    DEPLOYMENT,
    JsonObject,
    changed_manually,
    custom_schema,
    deployed,
    deployment,
    drifts,
    entry,
    owned,
    pod_spec,
    schema_of,
    thing,
)

CONTAINERS = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"web"}')


def _object(api_version: str, kind: str, spec: Any) -> JsonObject:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "it", "namespace": "shop"}, "spec": spec}


SPELLED = [
    ("networking.k8s.io/v1", "NetworkPolicy", {"podSelector": {}, "policyTypes": []}, {"podSelector": {}, "policyTypes": ["Ingress"]}),
    ("autoscaling/v2", "HorizontalPodAutoscaler",
     {"maxReplicas": 2, "minReplicas": 1, "scaleTargetRef": {"kind": "A", "name": "a"}, "metrics": []},
     {"maxReplicas": 2, "minReplicas": 1, "scaleTargetRef": {"kind": "A", "name": "a"},
      "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}),
    ("v1", "PersistentVolume", {"rbd": {"monitors": ["a"], "image": "i", "pool": "", "user": "", "keyring": ""}},
     {"rbd": {"monitors": ["a"], "image": "i", "pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"}}),
    ("v1", "PersistentVolume", {"iscsi": {"targetPortal": "a", "iqn": "b", "lun": 0, "iscsiInterface": ""}},
     {"iscsi": {"targetPortal": "a", "iqn": "b", "lun": 0, "iscsiInterface": "default"}}),
    ("v1", "ResourceQuota", {"hard": {"requests.cpu": 0.0001}}, {"hard": {"requests.cpu": "1m"}}),
]  # fmt: skip


@pytest.mark.parametrize(("api_version", "kind", "declared", "live"), SPELLED)
def test_blanks_and_small_quantities_equal_what_the_server_stores(
    api_version: str, kind: str, declared: JsonObject, live: JsonObject
) -> None:
    """An empty list or text in the place of a default, and a quantity that is rounded up to thousandths."""
    schema = schema_of(api_version, kind)
    actual = deployed(_object(api_version, kind, declared), schema, "kubectl-create", "Update")
    actual["spec"] = live
    assert drifts(_object(api_version, kind, declared), actual, schema) == []


@pytest.mark.parametrize("live", ["2m", "1100u"])
def test_a_quantity_of_other_thousandths_is_drift(live: str) -> None:
    """Rounding hides nothing that the API server would store."""
    schema = schema_of("v1", "ResourceQuota")
    desired = _object("v1", "ResourceQuota", {"hard": {"requests.cpu": "1m"}})
    actual = copy.deepcopy(desired)
    actual["spec"]["hard"]["requests.cpu"] = live
    assert drifts(desired, actual, schema) == [('spec.hard["requests.cpu"]', "changed")]


def test_a_list_that_is_declared_empty_and_was_filled_is_drift() -> None:
    """Only the default may replace it."""
    schema = schema_of("networking.k8s.io/v1", "NetworkPolicy")
    desired = _object("networking.k8s.io/v1", "NetworkPolicy", {"podSelector": {}, "policyTypes": []})
    actual = deployed(desired, schema)
    actual["spec"]["policyTypes"] = ["Ingress", "Egress"]
    assert drifts(desired, actual, schema) == [("spec.policyTypes", "changed")]


HELD_WHOLE = [
    ("batch/v1", "Job",
     {"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}},
     {"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}}),
    ("v1", "LimitRange",
     {"limits": [{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "1"}}]},
     {"limits": [{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "1", "memory": "1Gi"}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("api_version", "kind", "declared", "live"), HELD_WHOLE)
def test_defaults_in_a_list_that_its_deployer_applied_as_a_whole_are_no_drift(
    api_version: str, kind: str, declared: JsonObject, live: JsonObject
) -> None:
    """The manager that applies an atomic list owns what the API server adds to its items."""
    schema = schema_of(api_version, kind)
    actual = deployed(_object(api_version, kind, declared), schema)
    actual["spec"] = live
    assert drifts(_object(api_version, kind, declared), actual, schema) == []


def test_another_value_than_the_default_in_such_a_list_is_drift() -> None:
    """A limit's default request follows from its default: another value was declared before, or is a manual change."""
    declared = {
        "limits": [{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "1"}}]
    }
    schema = schema_of("v1", "LimitRange")
    desired = _object("v1", "LimitRange", declared)
    actual = deployed(desired, schema)
    actual["spec"]["limits"][0]["defaultRequest"]["memory"] = "2Gi"
    assert drifts(desired, actual, schema) == [("spec.limits[0].defaultRequest.memory", "added")]


def test_a_default_that_is_a_set_is_no_drift() -> None:
    """The manager that created the object owns each item of it."""
    schema = schema_of("storage.k8s.io/v1", "CSIDriver")
    desired = _object("storage.k8s.io/v1", "CSIDriver", {"attachRequired": False})
    actual = deployed(desired, schema)
    actual["spec"]["volumeLifecycleModes"] = ["Persistent"]
    other = changed_manually(actual, owned("f:spec", "f:volumeLifecycleModes", 'v:"Persistent"'), "somebody")
    assert drifts(desired, other, schema) == []


IN_TEMPLATES_ONLY = [
    ("enableServiceLinks", True),
    ("priority", 0),
    ("preemptionPolicy", "PreemptLowerPriority"),
    ("serviceAccountName", "default"),
]


@pytest.mark.parametrize(("field", "value"), IN_TEMPLATES_ONLY)
def test_what_a_pod_has_by_default_is_drift_in_a_template(field: str, value: object) -> None:
    """The API server sets these in a Pod and not in a template: in a template, somebody set them."""
    actual = changed_manually(
        deployed(deployment(), schema_of(*DEPLOYMENT)), owned("f:spec", "f:template", "f:spec", f"f:{field}")
    )
    pod_spec(actual)[field] = value
    assert drifts(deployment(), actual, schema_of(*DEPLOYMENT)) == [(f"spec.template.spec.{field}", "added")]
    schema = schema_of("v1", "Pod")
    desired = _object("v1", "Pod", {"containers": [{"name": "web", "image": "nginx:1.25"}]})
    pod = changed_manually(deployed(desired, schema), owned("f:spec", f"f:{field}"))
    pod["spec"][field] = value
    assert drifts(desired, pod, schema) == []


def test_requests_that_equal_the_limits_are_a_default_in_a_pod_only() -> None:
    """In a template, somebody set them."""
    resources: JsonObject = {"limits": {"cpu": "1"}}
    actual = changed_manually(
        deployed(deployment(resources=resources), schema_of(*DEPLOYMENT)),
        owned(*CONTAINERS, "f:resources", "f:requests", "f:cpu"),
    )
    pod_spec(actual)["containers"][0]["resources"]["requests"] = {"cpu": "1"}
    assert drifts(deployment(resources=resources), actual, schema_of(*DEPLOYMENT)) == [
        ("spec.template.spec.containers[name=web].resources.requests.cpu", "added")
    ]


def test_what_a_job_has_by_default_is_drift_in_the_template_of_a_cron_job() -> None:
    """The API server sets defaults of Jobs, and not of job templates."""
    template = {"spec": {"containers": [{"name": "a", "image": "a:1"}], "restartPolicy": "Never"}}
    desired = _object("batch/v1", "CronJob", {"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}})
    schema = schema_of("batch/v1", "CronJob")
    actual = changed_manually(deployed(desired, schema), owned("f:spec", "f:jobTemplate", "f:spec", "f:backoffLimit"))
    actual["spec"]["jobTemplate"]["spec"]["backoffLimit"] = 6
    assert drifts(desired, actual, schema) == [("spec.jobTemplate.spec.backoffLimit", "added")]


def test_a_controller_selects_by_the_labels_of_its_template() -> None:
    """A ReplicationController without a selector, created by one and deployed by another."""
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
    desired = _object("v1", "ReplicationController", {"replicas": 1, "template": template})
    schema = schema_of("v1", "ReplicationController")
    actual = deployed(desired, schema)
    actual["spec"]["selector"] = {"app": "a"}
    actual["metadata"]["managedFields"].append(entry("somebody", owned("f:spec", "f:selector"), apiVersion="v1"))
    assert drifts(desired, actual, schema) == []


@pytest.mark.parametrize(
    ("live", "drift"), [({"a": 1, "b": "x"}, False), ({"a": 1, "b": "y"}, True), ({"b": "x"}, True)]
)
def test_a_default_is_filled_with_the_defaults_of_what_is_in_it(live: JsonObject, drift: bool) -> None:
    """As the API server does with custom resources; this one has no managedFields."""
    nested = {
        "type": "object",
        "default": {"a": 1},
        "properties": {"a": {"type": "integer"}, "b": {"type": "string", "default": "x"}},
    }
    schema = custom_schema({"type": "object", "properties": {"nested": nested}})
    actual = thing({"nested": live})
    assert drifts(thing({}), actual, schema) == ([("spec.nested", "added")] if drift else [])


def test_members_of_maps_and_lists_have_no_defaults() -> None:
    """Some versions of Kubernetes say that a label is empty by default: that means its value, and not that it is."""
    text = {"type": "string", "default": ""}
    labels = {"type": "object", "additionalProperties": text}
    names = {"type": "array", "x-kubernetes-list-type": "set", "items": text}
    schema = custom_schema({"type": "object", "properties": {"labels": labels, "names": names}})
    desired = thing({"labels": {"a": "b"}, "names": ["a"]})
    actual = changed_manually(deployed(desired, schema), owned("f:spec", "f:labels", "f:by-hand"))
    actual["spec"]["labels"]["by-hand"] = ""
    other = changed_manually(actual, owned("f:spec", "f:names", 'v:""'))
    other["spec"]["names"].append("")
    assert drifts(desired, other, schema) == [("spec.labels.by-hand", "added"), ('spec.names[=""]', "added")]
