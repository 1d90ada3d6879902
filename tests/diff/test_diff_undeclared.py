"""Undeclared fields are drift if somebody set them, by managedFields, for every way to deploy."""
# ruff: noqa: E501  # one case a line

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from driftd.diff.normalise import LAST_APPLIED
from driftd.diff.rules.field_managers import Controller, WrittenFields, built_in_managers
from driftd.model.drift import Status
from driftd.model.path import format_path
from driftd.model.resource import Manifest, Source
from tests.diff.objects import (
    COMPARISON,
    CREATED,
    DEPLOYMENT,
    LATER,
    JsonObject,
    changed_manually,
    custom_schema,
    deployed,
    deployment,
    drifts,
    entry,
    fields_of,
    merged,
    owned,
    pod_spec,
    schema_of,
    thing,
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
    """A Deployment, deployed in one of these ways."""
    manager, operation = request.param
    return deployed(deployment(), SCHEMA, manager, operation)


def test_what_was_deployed_is_in_sync(live: JsonObject) -> None:
    """Including the server's defaults, which the deployer's update owns."""
    pod_spec(live)["dnsPolicy"] = "ClusterFirst"
    if live["metadata"]["managedFields"][0]["operation"] == "Update":
        fields = live["metadata"]["managedFields"][0]["fieldsV1"]
        fields["f:spec"]["f:template"]["f:spec"]["f:dnsPolicy"] = {}
    assert drifts(deployment(), live, SCHEMA) == []


@pytest.mark.parametrize("manager", ["kubectl-edit", "night-shift", "OpenAPI-Generator", "node-fetch"])
def test_an_added_variable_is_drift_with_its_manager_named(live: JsonObject, manager: str) -> None:
    """Argo CD and Flux call this in sync."""
    pod_spec(live)["containers"][0]["env"] = [{"name": "DEBUG", "value": "1"}]
    fields = owned(*CONTAINER, "f:env")
    held = {".": {}, "f:name": {}, "f:value": {}}
    after = changed_manually(live, merged(fields, owned(*CONTAINER, "f:env", ".")), manager)
    after["metadata"]["managedFields"][-1]["fieldsV1"] = merged(
        fields, {"f:spec": {"f:template": {"f:spec": {"f:containers": {CONTAINER[-1]: {
            "f:env": {".": {}, 'k:{"name":"DEBUG"}': held}}}}}}})  # fmt: skip
    (drift,) = verdict(deployment(), after, SCHEMA).fields
    assert format_path(drift.path) == f"{PATH}.env[name=DEBUG]"
    assert drift.by is not None
    assert drift.by.manager == manager


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
def test_every_manual_addition_is_drift(
    live: JsonObject, place: tuple[str, ...], fields: tuple[str, ...], value: JsonObject, path: str
) -> None:
    """At the topmost field that Git does not declare."""
    holder: Any = live
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = value[""]
    (drift,) = verdict(deployment(), changed_manually(live, owned(*fields)), SCHEMA).fields
    assert (format_path(drift.path), str(drift.change)) == (path, "added")
    assert drift.by is not None
    assert drift.by.manager == "kubectl-edit"


def test_a_default_that_was_set_manually_is_no_drift(live: JsonObject) -> None:
    """The object is the same with it and without it."""
    pod_spec(live)["containers"][0] |= {"imagePullPolicy": "IfNotPresent", "terminationMessagePolicy": "File"}
    after = changed_manually(
        live, merged(owned(*CONTAINER, "f:imagePullPolicy"), owned(*CONTAINER, "f:terminationMessagePolicy"))
    )
    assert drifts(deployment(), after, SCHEMA) == []
    pod_spec(after)["containers"][0]["imagePullPolicy"] = "Always"
    assert drifts(deployment(), after, SCHEMA) == [(f"{PATH}.imagePullPolicy", "added")]


@pytest.mark.parametrize(
    "manager", ["controller", "manager", "source-controller", "Go-http-client", "OpenAPI-Generator"]
)
def test_a_finalizer_of_a_program_is_no_drift(live: JsonObject, manager: str) -> None:
    """Controllers have all sorts of names, and a finalizer is what its controller waits for. A person's is drift."""
    live["metadata"]["finalizers"] = ["ingress.k8s.aws/resources"]
    fields = owned("f:metadata", "f:finalizers", 'v:"ingress.k8s.aws/resources"')
    assert drifts(deployment(), changed_manually(live, fields, manager), SCHEMA) == []
    by_hand = changed_manually(live, fields, "kubectl-patch")
    assert drifts(deployment(), by_hand, SCHEMA) == [("metadata.finalizers[=ingress.k8s.aws/resources]", "added")]


CLAIMED = (
    "kubelet", "kube-controller-manager", "kube-scheduler", "kube-apiserver", "cloud-controller-manager", "kubeadm",
    "k3s", "rke2", "istiod", "linkerd-proxy-injector", "cert-manager-cainjector", "keda-operator", "vpa-updater",
    "PrometheusOperator", "crossplane", "Reloader", "external-secrets", "argo-rollouts", "deployment-controller",
    "horizontal-pod-autoscaler", "manager", "some-operator", "flagger", "provider-aws", "csi-provisioner",
)  # fmt: skip


@pytest.mark.parametrize("manager", CLAIMED)
def test_a_name_that_anybody_may_choose_hides_nothing_of_a_pods_template(manager: str) -> None:
    """`kubectl patch --field-manager=kubelet` with hostPID and a privileged container."""
    live = deployed(deployment(), SCHEMA)
    pod_spec(live)["hostPID"] = True
    pod_spec(live)["containers"][0]["securityContext"] = {"privileged": True}
    pod_spec(live)["containers"][0]["env"] = [{"name": "MINER", "value": "on"}]
    live["spec"]["template"]["metadata"]["annotations"] = {"example.com/a": "b"}
    template = merged(
        owned("f:spec", "f:hostPID"),
        owned("f:spec", "f:containers", CONTAINER[-1], "f:securityContext", "f:privileged"),
        owned("f:spec", "f:containers", CONTAINER[-1], "f:env", 'k:{"name":"MINER"}', "f:value"),
        owned("f:metadata", "f:annotations", "f:example.com/a"),
    )
    after = changed_manually(live, {"f:spec": {"f:template": template}}, manager)
    assert {path for path, _ in drifts(deployment(), after, SCHEMA)} == {
        f"{PATH}.env[name=MINER].value", f"{PATH}.securityContext.privileged", "spec.template.spec.hostPID",
        'spec.template.metadata.annotations["example.com/a"]',
    }  # fmt: skip


def test_a_controller_is_trusted_with_its_own_fields_only(live: JsonObject) -> None:
    """cert-manager annotates; a new image is not what it does."""
    live["metadata"]["annotations"] = {"cert-manager.io/x": "y"}
    noted = changed_manually(
        live, owned("f:metadata", "f:annotations", "f:cert-manager.io/x"), "cert-manager-cainjector"
    )
    assert drifts(deployment(), noted, SCHEMA) == []
    pod_spec(noted)["hostPID"] = True
    after = changed_manually(noted, owned("f:spec", "f:template", "f:spec", "f:hostPID"), "cert-manager-cainjector")
    assert drifts(deployment(), after, SCHEMA) == [("spec.template.spec.hostPID", "added")]


def test_a_controller_that_the_configuration_names_is_trusted() -> None:
    """By a pattern of its name, with every field."""
    live = deployed(deployment(), SCHEMA)
    pod_spec(live)["hostPID"] = True
    after = changed_manually(live, owned("f:spec", "f:template", "f:spec", "f:hostPID"), "our-operator-7")
    manifest = Manifest.of(deployment(), Source("a.yaml", 1))
    trusted = (Controller(("our-operator-*",), WrittenFields()),)
    trusting = replace(COMPARISON, managers=built_in_managers().extended(controllers=trusted))
    assert COMPARISON.verdict(manifest, after, SCHEMA).status is Status.DRIFTED
    assert trusting.verdict(manifest, after, SCHEMA).status is Status.IN_SYNC


@pytest.mark.parametrize("manager", ["kubectl", "kustomize-controller", "Terraform"])
def test_what_admission_adds_to_an_apply_is_no_drift(manager: str) -> None:
    """The API server records it as an update by the same manager, at the same time. Where nothing in the cluster could
    have added it, somebody used that name."""
    live = deployed(deployment(), SCHEMA, manager, "Apply")
    own = live["metadata"]["managedFields"][0]
    live["metadata"]["labels"]["injected"] = "true"
    fields = owned("f:metadata", "f:labels", "f:injected")
    admitted = copy.deepcopy(live)
    admitted["metadata"]["managedFields"].append(entry(own["manager"], fields, time=CREATED, apiVersion="apps/v1"))
    assert drifts(deployment(), admitted, SCHEMA, admission=True) == []
    assert drifts(deployment(), admitted, SCHEMA) == [("metadata.labels.injected", "added")]


@pytest.mark.parametrize("manager", ["helm", "kubectl-create", "kubectl-client-side-apply", "kustomize-controller"])
def test_no_admission_gives_a_pod_more_of_its_node(manager: str) -> None:
    """`kubectl patch --field-manager=helm` with hostPID: told although the cluster has admission that changes objects."""
    live = deployed(deployment(), SCHEMA, manager, "Update")
    pod_spec(live)["hostPID"] = True
    pod_spec(live)["containers"][0]["securityContext"] = {"privileged": True, "runAsGroup": 7}
    spec = live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]
    spec["f:hostPID"] = {}
    spec["f:containers"][CONTAINER[-1]]["f:securityContext"] = {"f:privileged": {}, "f:runAsGroup": {}}
    assert sorted(drifts(deployment(), live, SCHEMA, admission=True)) == [
        (f"{PATH}.securityContext.privileged", "added"),
        ("spec.template.spec.hostPID", "added"),
    ]


@pytest.mark.parametrize("manager", ["helm", "kubectl-create", "kubectl-replace", "deploy.sh"])
def test_what_a_deployer_without_a_record_added_is_drift(manager: str) -> None:
    """`helm upgrade --set`, or `kubectl create` with a manifest of one's own: all of it stands in one entry."""
    env = [{"name": "DEBUG", "value": "1"}]
    tolerant = deployment(env=env)
    tolerant["spec"]["template"]["metadata"]["annotations"] = {"a": "b"}
    pod_spec(tolerant)["tolerations"] = [{"key": "spot", "operator": "Exists"}]
    live = deployed(tolerant, SCHEMA, manager, "Update")
    assert sorted(drifts(deployment(), live, SCHEMA)) == [
        ("spec.template.metadata.annotations.a", "added"),
        (f"{PATH}.env[name=DEBUG]", "added"),
        ("spec.template.spec.tolerations", "added"),
    ]


def test_what_admission_set_at_the_creation_nobody_owns_and_a_size_is_looked_at_all_the_same() -> None:
    """A mutating policy labels each object; somebody has scaled it to none."""
    declared = deployment()
    del declared["spec"]["replicas"]
    live = deployed(declared, SCHEMA)
    live["metadata"]["labels"] = {**live["metadata"].get("labels", {}), "injected": "yes"}
    live["spec"]["replicas"] = 0
    assert drifts(declared, live, SCHEMA, admission=True) == [("spec.replicas", "added")]
    assert sorted(drifts(declared, live, SCHEMA)) == [("metadata.labels.injected", "added"), ("spec.replicas", "added")]


@pytest.mark.parametrize("time", [CREATED, LATER])
@pytest.mark.parametrize("deployer", ["helm", "kustomize-controller"])
def test_what_came_with_the_deployers_request_stays_no_drift_after_a_repair_of_all_that_is_declared(
    deployer: str, time: str
) -> None:
    """driftd owns by then what Git declares, and the deployer what admission added: else the next repair took it out."""
    declared = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "web", "namespace": "n"},
        "data": {"a": "1"},
    }
    live = copy.deepcopy(declared)
    live["metadata"] |= {"creationTimestamp": CREATED, "labels": {"injected": "yes"}}
    live["metadata"]["managedFields"] = [
        entry(deployer, owned("f:metadata", "f:labels", "f:injected"), time=time, apiVersion="v1"),
        entry("driftd", owned("f:data", "f:a"), operation="Apply", time=LATER, apiVersion="v1"),
    ]
    schema = schema_of("v1", "ConfigMap")
    assert drifts(declared, live, schema, admission=True) == []
    assert drifts(declared, live, schema) == [("metadata.labels.injected", "added")]
    by_hand = copy.deepcopy(live)
    by_hand["metadata"]["managedFields"][0]["manager"] = "kubectl-edit"
    assert drifts(declared, by_hand, schema, admission=True) == [("metadata.labels.injected", "added")]


@pytest.mark.parametrize(("name", "expected"), [("web", []), ("root", ["spec.template.spec.serviceAccountName"])])
def test_the_twin_of_a_service_account_is_no_drift_and_another_account_is(name: str, expected: list[str]) -> None:
    """The API server keeps the old name and the new one equal; the deployer's update owns both."""
    declared = deployment()
    pod_spec(declared)["serviceAccount"] = "web"
    both = deployment()
    pod_spec(both).update(serviceAccount="web", serviceAccountName=name)
    live = deployed(both, SCHEMA, "kubectl-create", "Update")
    assert [path for path, _ in drifts(declared, live, SCHEMA)] == expected


@pytest.mark.parametrize("manager", ["kubectl", "helm"])
def test_a_value_that_nobody_owns_is_drift_unless_it_is_the_default(manager: str) -> None:
    """`kubectl scale --replicas=0` leaves no owner, and neither does who takes his entry out of managedFields."""
    declared = deployment()
    del declared["spec"]["replicas"]
    live = deployed(declared, SCHEMA, manager, "Apply" if manager == "kubectl" else "Update")
    live["spec"] |= {"replicas": 1, "revisionHistoryLimit": 10}
    assert drifts(declared, live, SCHEMA) == []
    live["spec"]["replicas"] = 0
    pod_spec(live)["hostPID"] = True
    live["metadata"]["labels"]["team"] = "x"
    (replicas, host, team) = verdict(declared, live, SCHEMA).fields
    assert {format_path(d.path) for d in (replicas, host, team)} == {
        "spec.replicas",
        "spec.template.spec.hostPID",
        "metadata.labels.team",
    }
    assert {d.by for d in (replicas, host, team)} == {None}


def test_a_field_of_another_version_of_the_kind_is_no_drift_without_an_owner() -> None:
    """A custom resource that is stored in another version shows that version's defaults: this one's type lacks them."""
    schema = custom_schema({"type": "object", "properties": {"size": {"type": "integer"}, "note": {"type": "string"}}})
    live = deployed(thing({"size": 1}), schema, "kustomize-controller")
    live["spec"]["mode"] = "auto"
    assert drifts(thing({"size": 1}), live, schema) == []
    live["spec"]["note"] = "by hand"
    assert drifts(thing({"size": 1}), live, schema) == [("spec.note", "added")]


def test_a_later_update_in_the_name_of_an_interactive_tool_is_drift() -> None:
    """An update by the manager that applies, but at another time than the apply, is not from admission."""
    live = deployed(deployment(), SCHEMA, "kubectl", "Apply")
    live["metadata"]["labels"]["team"] = "x"
    after = changed_manually(live, owned("f:metadata", "f:labels", "f:team"), "kubectl")
    assert drifts(deployment(), after, SCHEMA) == [("metadata.labels.team", "added")]


MARKS = [
    ("argocd-controller", 'metadata.annotations["argocd.argoproj.io/tracking-id"]'),
    ("argocd-controller", 'metadata.labels["app.kubernetes.io/instance"]'),
    ("kustomize-controller", 'metadata.labels["kustomize.toolkit.fluxcd.io/name"]'),
    ("helm-controller", 'metadata.labels["helm.toolkit.fluxcd.io/namespace"]'),
    ("helm", 'metadata.annotations["meta.helm.sh/release-name"]'),
    ("kapp", 'metadata.labels["kapp.k14s.io/app"]'),
    ("kubectl", 'metadata.labels["applyset.kubernetes.io/part-of"]'),
    ("configsync.gke.io", 'metadata.annotations["configsync.gke.io/resource-id"]'),
    ("kluctl", 'metadata.labels["kluctl.io/discriminator"]'),
    ("argocd-controller", 'metadata.annotations["argocd.argoproj.io/installation-id"]'),
    ("argocd-controller", 'metadata.labels["argocd.argoproj.io/managed-by"]'),
    ("fleetagent", 'metadata.annotations["objectset.rio.cattle.io/id"]'),
    ("fleetagent", 'metadata.labels["objectset.rio.cattle.io/hash"]'),
    ("pulumi-kubernetes-a1b2c3", 'metadata.annotations["pulumi.com/patchForce"]'),
    ("werf", 'metadata.annotations["werf.io/version"]'),
    ("addon-controller", 'metadata.annotations["projectsveltos.io/owner-name"]'),
    ("kubectl-client-side-apply", 'metadata.labels["pipecd.dev/managed-by"]'),
    ("piped", 'metadata.labels["pipecd.dev/application"]'),
    ("kubectl-client-side-apply", 'metadata.labels["Octopus.Deployment.Id"]'),
    ("kubectl-client-side-apply", 'metadata.annotations["moniker.spinnaker.io/application"]'),
    ("kubectl-client-side-apply", 'metadata.labels["skaffold.dev/run-id"]'),
    ("tilt", 'metadata.labels["app.kubernetes.io/managed-by"]'),
    ("vela-core", 'metadata.labels["app.oam.dev/name"]'),
    ("vela-core", 'metadata.annotations["app.oam.dev/last-applied-configuration"]'),
    ("kpt", 'metadata.annotations["config.k8s.io/owning-inventory"]'),
]


@pytest.mark.parametrize("recorded", [False, True], ids=["server-side apply", "with a record"])
@pytest.mark.parametrize(("manager", "mark"), MARKS)
def test_a_deployers_own_mark_is_nobodys_drift(manager: str, mark: str, recorded: bool) -> None:
    """It stands in no file of Git, and on every object. Set by anybody else, it is drift."""
    place, key = mark.removesuffix('"]').removeprefix("metadata.").split('["')
    marked = deployment()
    marked["metadata"].setdefault(place, {})[key] = "x"
    live = deployed(marked, SCHEMA, manager, "Update" if recorded and manager != "kubectl" else "Apply")
    if recorded:
        live["metadata"].setdefault("annotations", {})[LAST_APPLIED] = json.dumps(marked)
    assert drifts(deployment(), live, SCHEMA) == []
    by_hand = deployed(deployment(), SCHEMA, manager)
    by_hand["metadata"].setdefault(place, {})[key] = "x"
    after = changed_manually(by_hand, owned("f:metadata", f"f:{place}", f"f:{key}"), "kubectl-label")
    assert drifts(deployment(), after, SCHEMA) == [(mark, "added")]


@pytest.mark.parametrize(
    ("manager", "finalizer"),
    [
        ("helm-controller", "finalizers.fluxcd.io"),
        ("gotk-helm-controller", "finalizers.fluxcd.io"),
        ("kustomize-controller", "finalizers.fluxcd.io"),
        ("argocd-applicationset-controller", "resources-finalizer.argocd.argoproj.io"),
        ("kapp-controller", "finalizers.kapp-ctrl.k14s.io/delete"),
        ("kluctl-controller", "finalizers.gitops.kluctl.io"),
        ("fleetcontroller", "fleet.cattle.io/bundle-finalizer"),
        ("addon-controller", "clusterprofilefinalizer.projectsveltos.io"),
        ("vela-core", "app.oam.dev/resource-tracker-finalizer"),
    ],
)
def test_a_deployers_finalizer_of_its_own_kinds_is_no_drift(manager: str, finalizer: str) -> None:
    """Git declares a HelmRelease, which another deployer applies. A person's finalizer is drift, and so is any other."""
    live = deployed(deployment(), SCHEMA, "argocd-controller", "Apply")
    live["metadata"]["finalizers"] = [finalizer]
    fields = owned("f:metadata", "f:finalizers", f'v:"{finalizer}"')
    assert drifts(deployment(), changed_manually(live, fields, manager), SCHEMA) == []
    path = f"metadata.finalizers[={finalizer}]"
    assert drifts(deployment(), changed_manually(live, fields, "kubectl-edit"), SCHEMA) == [(path, "added")]
    live["metadata"]["finalizers"] = ["example.com/another"]
    other = changed_manually(live, owned("f:metadata", "f:finalizers", 'v:"example.com/another"'), manager)
    assert drifts(deployment(), other, SCHEMA) == [("metadata.finalizers[=example.com/another]", "added")]


def test_what_an_apply_owns_and_git_no_longer_declares_is_drift() -> None:
    """Removed from Git, and still live."""
    before = deployment(env=[{"name": "OLD", "value": "1"}])
    live = deployed(before, SCHEMA, "kustomize-controller", "Apply")
    assert drifts(deployment(), live, SCHEMA) == [(f"{PATH}.env[name=OLD]", "added")]


def test_what_kubectl_recorded_and_git_no_longer_declares_is_drift() -> None:
    """By the last-applied annotation; recorded fields that have their default are none."""
    before = deployment(env=[{"name": "OLD", "value": "1"}], terminationMessagePolicy="File")
    before["metadata"]["labels"]["old"] = "1"
    live = deployed(before, SCHEMA, "kubectl-client-side-apply", "Update")
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(before)}
    live["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:annotations"] = {f"f:{LAST_APPLIED}": {}}
    assert sorted(drifts(deployment(), live, SCHEMA)) == [
        ("metadata.labels.old", "added"),
        (f"{PATH}.env[name=OLD]", "added"),
    ]


def test_what_kubectl_recorded_is_drift_though_another_applies_now() -> None:
    """Flux took the object over from kubectl, and Git dropped a field in between: nobody took it out."""
    live = deployed(deployment(), SCHEMA, "kustomize-controller", "Apply")
    recorded = deployment()
    recorded["spec"]["minReadySeconds"] = 5
    live["spec"]["minReadySeconds"] = 5
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(recorded)}
    fields = merged(owned("f:metadata", "f:annotations", f"f:{LAST_APPLIED}"), owned("f:spec", "f:minReadySeconds"))
    live["metadata"]["managedFields"].insert(0, entry("kubectl-client-side-apply", fields, apiVersion="apps/v1"))
    assert drifts(deployment(), live, SCHEMA) == [("spec.minReadySeconds", "added")]


def test_a_manager_that_changed_everything_is_not_the_deployer(live: JsonObject) -> None:
    """A ConfigMap whose only key was overwritten manually: other manual additions are drift too."""
    schema = schema_of("v1", "ConfigMap")
    own = live["metadata"]["managedFields"][0]
    desired = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    config = deployed(desired, schema, own["manager"], own["operation"])
    config["data"] = {"a": "2", "b": "3"}
    after = changed_manually(config, merged(owned("f:data", "f:a"), owned("f:data", "f:b")), "night-shift")
    result = verdict(desired, after, schema)
    assert [(format_path(d.path), str(d.change), d.by.manager if d.by else None) for d in result.fields] == [
        ("data.a", "changed", "night-shift"),
        ("data.b", "added", "night-shift"),
    ]


def test_a_manager_that_took_over_a_small_object_is_not_its_deployer() -> None:
    """A role is a single list: once another client has changed it, its deployer has no entry any more."""
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
    result = verdict(desired, changed_manually(live, fields, "some-client"), schema)
    assert [format_path(d.path) for d in result.fields] == ["rules[0].verbs[0]", "metadata.labels.by"]
    assert {d.by.manager for d in result.fields if d.by} == {"some-client"}
    created = changed_manually(live, fields, "some-client")
    created["metadata"]["managedFields"][0]["time"] = CREATED
    created["rules"] = rules
    assert drifts(desired, created, schema) == [("metadata.labels.by", "added")]
    assert drifts(desired, created, schema, admission=True) == []


def test_additions_to_an_object_that_is_only_a_name_are_drift() -> None:
    """Its deployer owns nothing of it."""
    schema = schema_of("v1", "ServiceAccount")
    desired = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "n"}}
    live = deployed(desired, schema)
    live["metadata"] |= {"labels": {"by": "hand"}, "managedFields": []}
    after = changed_manually(live, owned("f:metadata", "f:labels", "f:by"), "some-client")
    assert drifts(desired, after, schema) == [("metadata.labels.by", "added")]


def test_the_owner_of_a_map_does_not_own_its_members() -> None:
    """After another manager has taken over all keys, the entry is `f:data: {}`."""
    schema = schema_of("v1", "ConfigMap")
    desired = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    live = deployed(desired, schema, "kustomize-controller", "Apply")
    live["metadata"]["managedFields"].insert(0, entry("kubectl-create", {"f:data": {}}, apiVersion="v1"))
    live["data"]["b"] = "2"
    after = changed_manually(live, owned("f:data", "f:b"), "night-shift")
    (drift,) = verdict(desired, after, schema).fields
    assert drift.by is not None
    assert drift.by.manager == "night-shift"


def test_an_object_that_was_created_by_one_and_is_deployed_by_another() -> None:
    """kubectl create, then Flux: what the creation left behind is drift as well as later manual additions."""
    live = deployed(deployment(), SCHEMA, "kustomize-controller", "Apply")
    live["metadata"]["managedFields"][0]["time"] = LATER
    created = fields_of({k: v for k, v in deployment().items() if k == "spec"}, SCHEMA)
    created["f:spec"]["f:template"]["f:spec"]["f:hostNetwork"] = {}
    pod_spec(live)["hostNetwork"] = True
    live["metadata"]["managedFields"].insert(0, entry("kubectl-create", created, apiVersion="apps/v1"))
    assert drifts(deployment(), live, SCHEMA) == [("spec.template.spec.hostNetwork", "added")]
    live["spec"]["paused"] = True
    assert sorted(drifts(deployment(), changed_manually(live, owned("f:spec", "f:paused")), SCHEMA)) == [
        ("spec.paused", "added"),
        ("spec.template.spec.hostNetwork", "added"),
    ]


def test_a_manual_change_in_the_first_second_is_drift() -> None:
    """Times have whole seconds: an edit right after the creation is not part of it."""
    live = deployed(deployment(), SCHEMA, "helm", "Update")
    live["metadata"]["labels"]["quick"] = "1"
    fields = owned("f:metadata", "f:labels", "f:quick")
    live["metadata"]["managedFields"].append(entry("night-shift", fields, time=CREATED, apiVersion="apps/v1"))
    assert drifts(deployment(), live, SCHEMA) == [("metadata.labels.quick", "added")]


def test_without_managed_fields_what_is_no_default_is_drift_without_an_owner() -> None:
    """Clearing managedFields does not hide a manual change."""
    live = deployment(imagePullPolicy="IfNotPresent", terminationMessagePath="/dev/termination-log")
    assert drifts(deployment(), live, SCHEMA) == []
    pod_spec(live)["hostPID"] = True
    (drift,) = verdict(deployment(), live, SCHEMA).fields
    assert format_path(drift.path) == "spec.template.spec.hostPID"
    assert drift.by is None


def test_an_autoscaler_that_was_edited_in_another_version() -> None:
    """Git declares v1, and the manual change is in v2: the metrics of v2 are an annotation in v1."""
    schema = schema_of("autoscaling/v1", "HorizontalPodAutoscaler")
    desired = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"}},
    }
    live = deployed(desired, schema, "kubectl", "Apply")
    live["metadata"]["annotations"] = {"autoscaling.alpha.kubernetes.io/metrics": "[…]"}
    after = changed_manually(live, owned("f:spec", "f:metrics"), "kubectl-edit", apiVersion="autoscaling/v2")
    result = verdict(desired, after, schema)
    assert [format_path(d.path) for d in result.fields] == [
        'metadata.annotations["autoscaling.alpha.kubernetes.io/metrics"]'
    ]
    assert result.fields[0].by is not None
    assert result.fields[0].by.manager == "kubectl-edit"


def test_a_changed_order_has_no_owner(live: JsonObject) -> None:
    """managedFields do not record who reordered a list: no owner is reported."""
    desired = deployment(env=[{"name": "A"}, {"name": "B"}])
    own = live["metadata"]["managedFields"][0]
    after = deployed(deployment(env=[{"name": "B"}, {"name": "A"}]), SCHEMA, own["manager"], own["operation"])
    (drift,) = verdict(desired, after, SCHEMA).fields
    assert (format_path(drift.path), drift.by) == (f"{PATH}.env", None)


def test_of_several_owners_the_last_is_named() -> None:
    """And the deployer only if there is no other."""
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
