"""What the API server puts in by itself is nobody's drift, and what it would not put in is."""
# ruff: noqa: E501  # one case a line

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.diff.objects import (
    DEPLOYMENT,
    JsonObject,
    by_hand,
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
def test_blanks_and_small_quantities_stand_for_what_the_server_makes_of_them(
    api_version: str, kind: str, declared: JsonObject, live: JsonObject
) -> None:
    """An empty list or text in the place of a default, and a quantity that is rounded up to thousandths."""
    schema = schema_of(api_version, kind)
    there = deployed(_object(api_version, kind, declared), schema, "kubectl-create", "Update")
    there["spec"] = live
    assert drifts(_object(api_version, kind, declared), there, schema) == []


@pytest.mark.parametrize("live", ["2m", "1100u"])
def test_a_quantity_of_other_thousandths_is_drift(live: str) -> None:
    """Rounding hides nothing that the API server would store."""
    schema = schema_of("v1", "ResourceQuota")
    desired = _object("v1", "ResourceQuota", {"hard": {"requests.cpu": "1m"}})
    there = copy.deepcopy(desired)
    there["spec"]["hard"]["requests.cpu"] = live
    assert drifts(desired, there, schema) == [('spec.hard["requests.cpu"]', "changed")]


def test_a_list_that_is_declared_empty_and_was_filled_is_drift() -> None:
    """Only the default may stand in its place."""
    schema = schema_of("networking.k8s.io/v1", "NetworkPolicy")
    desired = _object("networking.k8s.io/v1", "NetworkPolicy", {"podSelector": {}, "policyTypes": []})
    there = deployed(desired, schema)
    there["spec"]["policyTypes"] = ["Ingress", "Egress"]
    assert drifts(desired, there, schema) == [("spec.policyTypes", "changed")]


HELD_WHOLE = [
    ("batch/v1", "Job",
     {"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}},
     {"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}}),
    ("v1", "LimitRange",
     {"limits": [{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "1"}}]},
     {"limits": [{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "1", "memory": "1Gi"}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("api_version", "kind", "declared", "live"), HELD_WHOLE)
def test_defaults_within_a_list_that_its_deployer_applied_as_a_whole(
    api_version: str, kind: str, declared: JsonObject, live: JsonObject
) -> None:
    """Whoever applies an atomic list holds what the API server adds to its items."""
    schema = schema_of(api_version, kind)
    there = deployed(_object(api_version, kind, declared), schema)
    there["spec"] = live
    assert drifts(_object(api_version, kind, declared), there, schema) == []


def test_another_value_than_the_default_in_such_a_list_is_drift() -> None:
    """A limit's default request is made of its default: any other was declared once, or is a hand's."""
    declared = {
        "limits": [{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "1"}}]
    }
    schema = schema_of("v1", "LimitRange")
    desired = _object("v1", "LimitRange", declared)
    there = deployed(desired, schema)
    there["spec"]["limits"][0]["defaultRequest"]["memory"] = "2Gi"
    assert drifts(desired, there, schema) == [("spec.limits[0].defaultRequest.memory", "added")]


def test_a_default_that_is_a_set_is_nobodys() -> None:
    """Whoever created the object holds each item of it."""
    schema = schema_of("storage.k8s.io/v1", "CSIDriver")
    desired = _object("storage.k8s.io/v1", "CSIDriver", {"attachRequired": False})
    there = deployed(desired, schema)
    there["spec"]["volumeLifecycleModes"] = ["Persistent"]
    other = by_hand(there, owned("f:spec", "f:volumeLifecycleModes", 'v:"Persistent"'), "somebody")
    assert drifts(desired, other, schema) == []


IN_TEMPLATES_ONLY = [
    ("enableServiceLinks", True),
    ("priority", 0),
    ("preemptionPolicy", "PreemptLowerPriority"),
    ("serviceAccountName", "default"),
]


@pytest.mark.parametrize(("field", "value"), IN_TEMPLATES_ONLY)
def test_what_a_pod_has_by_default_is_drift_in_a_template(field: str, value: object) -> None:
    """The API server gives these to a Pod, and not to the template of one: there, somebody wrote them."""
    there = by_hand(
        deployed(deployment(), schema_of(*DEPLOYMENT)), owned("f:spec", "f:template", "f:spec", f"f:{field}")
    )
    pod_spec(there)[field] = value
    assert drifts(deployment(), there, schema_of(*DEPLOYMENT)) == [(f"spec.template.spec.{field}", "added")]
    schema = schema_of("v1", "Pod")
    desired = _object("v1", "Pod", {"containers": [{"name": "web", "image": "nginx:1.25"}]})
    pod = by_hand(deployed(desired, schema), owned("f:spec", f"f:{field}"))
    pod["spec"][field] = value
    assert drifts(desired, pod, schema) == []


def test_requests_that_equal_the_limits_are_a_default_in_a_pod_only() -> None:
    """In a template, somebody wrote them."""
    resources: JsonObject = {"limits": {"cpu": "1"}}
    there = by_hand(
        deployed(deployment(resources=resources), schema_of(*DEPLOYMENT)),
        owned(*CONTAINERS, "f:resources", "f:requests", "f:cpu"),
    )
    pod_spec(there)["containers"][0]["resources"]["requests"] = {"cpu": "1"}
    assert drifts(deployment(resources=resources), there, schema_of(*DEPLOYMENT)) == [
        ("spec.template.spec.containers[name=web].resources.requests.cpu", "added")
    ]


def test_what_a_job_has_by_default_is_drift_in_the_template_of_a_cron_job() -> None:
    """The API server defaults Jobs, and not what they are made of."""
    template = {"spec": {"containers": [{"name": "a", "image": "a:1"}], "restartPolicy": "Never"}}
    desired = _object("batch/v1", "CronJob", {"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}})
    schema = schema_of("batch/v1", "CronJob")
    there = by_hand(deployed(desired, schema), owned("f:spec", "f:jobTemplate", "f:spec", "f:backoffLimit"))
    there["spec"]["jobTemplate"]["spec"]["backoffLimit"] = 6
    assert drifts(desired, there, schema) == [("spec.jobTemplate.spec.backoffLimit", "added")]


def test_a_controller_selects_by_the_labels_of_its_template() -> None:
    """A ReplicationController without a selector, created by one and deployed by another."""
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
    desired = _object("v1", "ReplicationController", {"replicas": 1, "template": template})
    schema = schema_of("v1", "ReplicationController")
    there = deployed(desired, schema)
    there["spec"]["selector"] = {"app": "a"}
    there["metadata"]["managedFields"].append(entry("somebody", owned("f:spec", "f:selector"), apiVersion="v1"))
    assert drifts(desired, there, schema) == []


@pytest.mark.parametrize(
    ("live", "drift"), [({"a": 1, "b": "x"}, False), ({"a": 1, "b": "y"}, True), ({"b": "x"}, True)]
)
def test_a_default_is_filled_with_the_defaults_of_what_is_in_it(live: JsonObject, drift: bool) -> None:
    """As the API server does with custom resources, here of one whose managedFields are gone."""
    nested = {
        "type": "object",
        "default": {"a": 1},
        "properties": {"a": {"type": "integer"}, "b": {"type": "string", "default": "x"}},
    }
    schema = custom_schema({"type": "object", "properties": {"nested": nested}})
    there = thing({"nested": live})
    assert drifts(thing({}), there, schema) == ([("spec.nested", "added")] if drift else [])


def test_no_member_of_a_map_or_list_is_there_by_default() -> None:
    """Some versions of Kubernetes say that a label is empty by default: that means its value, and not that it is."""
    text = {"type": "string", "default": ""}
    labels = {"type": "object", "additionalProperties": text}
    names = {"type": "array", "x-kubernetes-list-type": "set", "items": text}
    schema = custom_schema({"type": "object", "properties": {"labels": labels, "names": names}})
    desired = thing({"labels": {"a": "b"}, "names": ["a"]})
    there = by_hand(deployed(desired, schema), owned("f:spec", "f:labels", "f:by-hand"))
    there["spec"]["labels"]["by-hand"] = ""
    other = by_hand(there, owned("f:spec", "f:names", 'v:""'))
    other["spec"]["names"].append("")
    assert drifts(desired, other, schema) == [("spec.labels.by-hand", "added"), ('spec.names[=""]', "added")]
