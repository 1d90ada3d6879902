"""What Git does not declare counts when somebody put it there: by managedFields, whoever deploys and however."""
# ruff: noqa: E501  # one case a line

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from driftd.diff.managers import Managers
from driftd.diff.normalise import LAST_APPLIED
from driftd.model.drift import Status
from driftd.model.path import format_path
from driftd.model.resource import Manifest, Source
from tests.diff.objects import (
    COMPARISON,
    CREATED,
    DEPLOYMENT,
    LATER,
    JsonObject,
    by_hand,
    deployed,
    deployment,
    drifts,
    entry,
    fields_of,
    merged,
    owned,
    pod_spec,
    schema_of,
    verdict,
)

SCHEMA = schema_of(*DEPLOYMENT)
CONTAINER = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"web"}')
PATH = "spec.template.spec.containers[name=web]"
DEPLOYERS = [
    ("kubectl", "Apply"), ("kustomize-controller", "Apply"), ("argocd-controller", "Apply"), ("Terraform", "Apply"),
    ("kubectl-create", "Update"), ("helm", "Update"), ("argocd-controller", "Update"), ("Terraform", "Update"),
    ("kubectl-replace", "Update"), ("deploy.sh", "Update"),
]  # fmt: skip


@pytest.fixture(params=DEPLOYERS, ids=lambda p: f"{p[0]} by {p[1]}")
def live(request: pytest.FixtureRequest) -> JsonObject:
    """A Deployment, deployed in one of the ways that there are."""
    manager, operation = request.param
    return deployed(deployment(), SCHEMA, manager, operation)


def test_what_was_deployed_is_in_sync(live: JsonObject) -> None:
    """With the server's defaults in it, which the deployer's update holds."""
    pod_spec(live)["dnsPolicy"] = "ClusterFirst"
    if live["metadata"]["managedFields"][0]["operation"] == "Update":
        fields = live["metadata"]["managedFields"][0]["fieldsV1"]
        fields["f:spec"]["f:template"]["f:spec"]["f:dnsPolicy"] = {}
    assert drifts(deployment(), live, SCHEMA) == []


@pytest.mark.parametrize("hand", ["kubectl-edit", "night-shift", "OpenAPI-Generator", "node-fetch"])
def test_an_added_variable_is_drift_with_the_hand_named(live: JsonObject, hand: str) -> None:
    """Argo CD and Flux call this in sync."""
    pod_spec(live)["containers"][0]["env"] = [{"name": "DEBUG", "value": "1"}]
    fields = owned(*CONTAINER, "f:env")
    held = {".": {}, "f:name": {}, "f:value": {}}
    after = by_hand(live, merged(fields, owned(*CONTAINER, "f:env", ".")), hand)
    after["metadata"]["managedFields"][-1]["fieldsV1"] = merged(
        fields, {"f:spec": {"f:template": {"f:spec": {"f:containers": {CONTAINER[-1]: {
            "f:env": {".": {}, 'k:{"name":"DEBUG"}': held}}}}}}})  # fmt: skip
    (drift,) = verdict(deployment(), after, SCHEMA).fields
    assert format_path(drift.path) == f"{PATH}.env[name=DEBUG]"
    assert drift.by is not None
    assert drift.by.manager == hand


ADDED: list[tuple[str, Any, tuple[str, ...], JsonObject, str]] = [
    ("a label", ("metadata", "labels", "team"), ("f:metadata", "f:labels", "f:team"), {"": "x"}, "metadata.labels.team"),
    ("suspension", ("spec", "paused"), ("f:spec", "f:paused"), {"": True}, "spec.paused"),
    ("a strategy", ("spec", "strategy"), ("f:spec", "f:strategy", "f:type"), {"": {"type": "Recreate"}}, "spec.strategy.type"),
    ("a node name", ("spec", "template", "spec", "nodeName"), ("f:spec", "f:template", "f:spec", "f:nodeName"), {"": "n1"}, "spec.template.spec.nodeName"),
    ("a finalizer", ("metadata", "finalizers"), ("f:metadata", "f:finalizers", 'v:"a/b"'), {"": ["a/b"]}, "metadata.finalizers[=a/b]"),
    ("an owner", ("metadata", "ownerReferences"), ("f:metadata", "f:ownerReferences", 'k:{"uid":"7"}'), {"": [{"uid": "7", "name": "o"}]}, "metadata.ownerReferences[uid=7]"),
    ("a toleration", ("spec", "template", "spec", "tolerations"), ("f:spec", "f:template", "f:spec", "f:tolerations"), {"": [{"operator": "Exists"}]}, "spec.template.spec.tolerations"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "fields", "value", "path"), [case[1:] for case in ADDED], ids=[c[0] for c in ADDED])
def test_whatever_a_hand_adds_is_drift(
    live: JsonObject, place: tuple[str, ...], fields: tuple[str, ...], value: JsonObject, path: str
) -> None:
    """At the topmost field that Git does not declare."""
    holder: Any = live
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = value[""]
    (drift,) = verdict(deployment(), by_hand(live, owned(*fields)), SCHEMA).fields
    assert (format_path(drift.path), str(drift.change)) == (path, "added")
    assert drift.by is not None
    assert drift.by.manager == "kubectl-edit"


def test_a_default_that_a_hand_wrote_out_is_no_drift(live: JsonObject) -> None:
    """The object is the same with it and without it."""
    pod_spec(live)["containers"][0] |= {"imagePullPolicy": "IfNotPresent", "terminationMessagePolicy": "File"}
    after = by_hand(
        live, merged(owned(*CONTAINER, "f:imagePullPolicy"), owned(*CONTAINER, "f:terminationMessagePolicy"))
    )
    assert drifts(deployment(), after, SCHEMA) == []
    pod_spec(after)["containers"][0]["imagePullPolicy"] = "Always"
    assert drifts(deployment(), after, SCHEMA) == [(f"{PATH}.imagePullPolicy", "added")]


@pytest.mark.parametrize("manager", ["kube-controller-manager", "kubelet", "cloud-controller-manager"])
def test_the_work_of_kubernetes_itself_is_nobodys_drift(live: JsonObject, manager: str) -> None:
    """In whatever field."""
    live["metadata"]["finalizers"] = ["service.kubernetes.io/load-balancer-cleanup"]
    fields = owned("f:metadata", "f:finalizers", 'v:"service.kubernetes.io/load-balancer-cleanup"')
    assert drifts(deployment(), by_hand(live, fields, manager), SCHEMA) == []


def test_a_controller_is_trusted_with_its_own_work_only(live: JsonObject) -> None:
    """cert-manager annotates; a new image is not what it does."""
    live["metadata"]["annotations"] = {"cert-manager.io/x": "y"}
    noted = by_hand(live, owned("f:metadata", "f:annotations", "f:cert-manager.io/x"), "cert-manager-cainjector")
    assert drifts(deployment(), noted, SCHEMA) == []
    pod_spec(live)["hostPID"] = True
    after = by_hand(live, owned("f:spec", "f:template", "f:spec", "f:hostPID"), "cert-manager-cainjector")
    assert drifts(deployment(), after, SCHEMA) == [("spec.template.spec.hostPID", "added")]


def test_a_controller_that_the_configuration_names_is_trusted() -> None:
    """By a pattern of its name, with every field."""
    live = deployed(deployment(), SCHEMA)
    pod_spec(live)["hostPID"] = True
    after = by_hand(live, owned("f:spec", "f:template", "f:spec", "f:hostPID"), "our-operator-7")
    manifest = Manifest.of(deployment(), Source("a.yaml", 1))
    trusting = replace(COMPARISON, managers=Managers().extended(controllers=("our-operator-*",)))
    assert COMPARISON.verdict(manifest, after, SCHEMA).status is Status.DRIFTED
    assert trusting.verdict(manifest, after, SCHEMA).status is Status.IN_SYNC


@pytest.mark.parametrize("manager", ["kubectl", "kustomize-controller", "Terraform"])
def test_what_admission_put_in_with_an_apply_is_nobodys(manager: str) -> None:
    """The API server writes it down as an update by the same manager, at the same moment."""
    live = deployed(deployment(), SCHEMA, manager, "Apply")
    own = live["metadata"]["managedFields"][0]
    live["metadata"]["labels"]["injected"] = "true"
    fields = owned("f:metadata", "f:labels", "f:injected")
    admitted = copy.deepcopy(live)
    admitted["metadata"]["managedFields"].append(entry(own["manager"], fields, time=CREATED, apiVersion="apps/v1"))
    assert drifts(deployment(), admitted, SCHEMA) == []


def test_a_hand_that_bears_the_name_of_kubectl_is_a_hand() -> None:
    """An update in the name of the manager that applies, but at another time than the apply, is no admission."""
    live = deployed(deployment(), SCHEMA, "kubectl", "Apply")
    live["metadata"]["labels"]["team"] = "x"
    after = by_hand(live, owned("f:metadata", "f:labels", "f:team"), "kubectl")
    assert drifts(deployment(), after, SCHEMA) == [("metadata.labels.team", "added")]


def test_what_an_apply_holds_and_git_no_longer_declares_is_drift() -> None:
    """Removed from Git, and still live."""
    before = deployment(env=[{"name": "OLD", "value": "1"}])
    live = deployed(before, SCHEMA, "kustomize-controller", "Apply")
    assert drifts(deployment(), live, SCHEMA) == [(f"{PATH}.env[name=OLD]", "added")]


def test_what_kubectl_recorded_and_git_no_longer_declares_is_drift() -> None:
    """By the last-applied annotation; what it records and only the server has since changed is none."""
    before = deployment(env=[{"name": "OLD", "value": "1"}], terminationMessagePolicy="File")
    before["metadata"]["labels"]["old"] = "1"
    live = deployed(before, SCHEMA, "kubectl-client-side-apply", "Update")
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(before)}
    live["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:annotations"] = {f"f:{LAST_APPLIED}": {}}
    assert sorted(drifts(deployment(), live, SCHEMA)) == [
        ("metadata.labels.old", "added"),
        (f"{PATH}.env[name=OLD]", "added"),
    ]


def test_a_stale_record_of_kubectl_does_not_count_once_another_applies() -> None:
    """Flux took the object over; what kubectl wrote down years ago says nothing of Git."""
    live = deployed(deployment(), SCHEMA, "kustomize-controller", "Apply")
    recorded = deployment()
    recorded["spec"]["minReadySeconds"] = 5
    live["spec"]["minReadySeconds"] = 5
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(recorded)}
    fields = merged(owned("f:metadata", "f:annotations", f"f:{LAST_APPLIED}"))
    live["metadata"]["managedFields"].insert(0, entry("kubectl-client-side-apply", fields, apiVersion="apps/v1"))
    assert drifts(deployment(), live, SCHEMA) == []


def test_the_deployer_is_not_whoever_changed_everything(live: JsonObject) -> None:
    """A ConfigMap of one key that a hand has overwritten: what the hand added besides is drift as well."""
    schema = schema_of("v1", "ConfigMap")
    own = live["metadata"]["managedFields"][0]
    desired = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    config = deployed(desired, schema, own["manager"], own["operation"])
    config["data"] = {"a": "2", "b": "3"}
    after = by_hand(config, merged(owned("f:data", "f:a"), owned("f:data", "f:b")), "night-shift")
    found = verdict(desired, after, schema)
    assert [(format_path(d.path), str(d.change), d.by.manager if d.by else None) for d in found.fields] == [
        ("data.a", "changed", "night-shift"),
        ("data.b", "added", "night-shift"),
    ]


def test_whoever_took_over_all_of_a_small_object_does_not_deploy_it() -> None:
    """A role is a single list: once another client has changed it, nothing tells any more who deployed it."""
    schema = schema_of("rbac.authorization.k8s.io/v1", "Role")
    rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
    desired = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": "n"},
        "rules": rules,
    }
    live = deployed(desired, schema)
    live["metadata"] |= {"labels": {"by": "hand"}, "managedFields": []}
    live["rules"] = [{**rules[0], "verbs": ["*"]}]
    fields = merged(owned("f:rules"), owned("f:metadata", "f:labels", "f:by"))
    found = verdict(desired, by_hand(live, fields, "some-client"), schema)
    assert [format_path(d.path) for d in found.fields] == ["rules[0].verbs[0]", "metadata.labels.by"]
    assert {d.by.manager for d in found.fields if d.by} == {"some-client"}
    created = by_hand(live, fields, "some-client")
    created["metadata"]["managedFields"][0]["time"] = CREATED
    created["rules"] = rules
    assert drifts(desired, created, schema) == []


def test_what_anybody_adds_to_an_object_that_is_only_a_name_is_drift() -> None:
    """Whoever deployed it holds nothing of it."""
    schema = schema_of("v1", "ServiceAccount")
    desired = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "n"}}
    live = deployed(desired, schema)
    live["metadata"] |= {"labels": {"by": "hand"}, "managedFields": []}
    after = by_hand(live, owned("f:metadata", "f:labels", "f:by"), "some-client")
    assert drifts(desired, after, schema) == [("metadata.labels.by", "added")]


def test_who_holds_a_map_does_not_hold_its_members() -> None:
    """After all of its keys were taken over, an entry says `f:data: {}`."""
    schema = schema_of("v1", "ConfigMap")
    desired = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    live = deployed(desired, schema, "kustomize-controller", "Apply")
    live["metadata"]["managedFields"].insert(0, entry("kubectl-create", {"f:data": {}}, apiVersion="v1"))
    live["data"]["b"] = "2"
    after = by_hand(live, owned("f:data", "f:b"), "night-shift")
    (drift,) = verdict(desired, after, schema).fields
    assert drift.by is not None
    assert drift.by.manager == "night-shift"


def test_an_object_that_was_created_by_one_and_is_deployed_by_another() -> None:
    """kubectl create, then Flux: what the creation brought is nobody's, what a hand added later is."""
    live = deployed(deployment(), SCHEMA, "kustomize-controller", "Apply")
    live["metadata"]["managedFields"][0]["time"] = LATER
    created = fields_of({k: v for k, v in deployment().items() if k == "spec"}, SCHEMA)
    created["f:spec"]["f:template"]["f:spec"]["f:hostNetwork"] = {}
    pod_spec(live)["hostNetwork"] = True
    live["metadata"]["managedFields"].insert(0, entry("kubectl-create", created, apiVersion="apps/v1"))
    assert drifts(deployment(), live, SCHEMA) == []
    live["spec"]["paused"] = True
    assert drifts(deployment(), by_hand(live, owned("f:spec", "f:paused")), SCHEMA) == [("spec.paused", "added")]


def test_a_hand_in_the_first_second_is_a_hand() -> None:
    """Times have whole seconds: an edit right after the creation is none of the creation."""
    live = deployed(deployment(), SCHEMA, "helm", "Update")
    live["metadata"]["labels"]["quick"] = "1"
    fields = owned("f:metadata", "f:labels", "f:quick")
    live["metadata"]["managedFields"].append(entry("night-shift", fields, time=CREATED, apiVersion="apps/v1"))
    assert drifts(deployment(), live, SCHEMA) == [("metadata.labels.quick", "added")]


def test_without_managed_fields_what_is_no_default_is_drift_of_nobody_known() -> None:
    """Somebody cleared them: a hand can't hide that way."""
    live = deployment(imagePullPolicy="IfNotPresent", terminationMessagePath="/dev/termination-log")
    assert drifts(deployment(), live, SCHEMA) == []
    pod_spec(live)["hostPID"] = True
    (drift,) = verdict(deployment(), live, SCHEMA).fields
    assert format_path(drift.path) == "spec.template.spec.hostPID"
    assert drift.by is None


def test_an_autoscaler_that_was_edited_in_another_version() -> None:
    """Git declares v1, the hand wrote v2: what v2 calls metrics is an annotation in v1."""
    schema = schema_of("autoscaling/v1", "HorizontalPodAutoscaler")
    desired = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"}},
    }
    live = deployed(desired, schema, "kubectl", "Apply")
    live["metadata"]["annotations"] = {"autoscaling.alpha.kubernetes.io/metrics": "[…]"}
    after = by_hand(live, owned("f:spec", "f:metrics"), "kubectl-edit", apiVersion="autoscaling/v2")
    found = verdict(desired, after, schema)
    assert [format_path(d.path) for d in found.fields] == [
        'metadata.annotations["autoscaling.alpha.kubernetes.io/metrics"]'
    ]
    assert found.fields[0].by is not None
    assert found.fields[0].by.manager == "kubectl-edit"


def test_a_changed_order_is_nobodys(live: JsonObject) -> None:
    """managedFields do not tell who put a list into another order: nobody is accused."""
    desired = deployment(env=[{"name": "A"}, {"name": "B"}])
    own = live["metadata"]["managedFields"][0]
    after = deployed(deployment(env=[{"name": "B"}, {"name": "A"}]), SCHEMA, own["manager"], own["operation"])
    (drift,) = verdict(desired, after, SCHEMA).fields
    assert (format_path(drift.path), drift.by) == (f"{PATH}.env", None)


def test_of_several_owners_the_last_is_named() -> None:
    """And rather not the one that deploys."""
    live = deployed(deployment(), SCHEMA, "kustomize-controller", "Apply")
    live["spec"]["replicas"] = 5
    fields = owned("f:spec", "f:replicas")
    live["metadata"]["managedFields"] += [
        entry("first", fields, operation="Apply", time=CREATED, apiVersion="apps/v1"),
        entry("second", fields, operation="Apply", time=LATER, apiVersion="apps/v1"),
    ]
    (drift,) = verdict(deployment(), live, SCHEMA).fields
    assert drift.by is not None
    assert (drift.by.manager, drift.by.operation) == ("second", "Apply")
