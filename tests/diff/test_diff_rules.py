"""Differences that Kubernetes itself causes are no drift; the same differences by manual changes are."""
# ruff: noqa: E501  # one case a line

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.diff.autoscaler import Autoscalers
from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.diff.rules.built_in import BUILT_IN_RULES
from driftd.model.resource import Manifest, ResourceRef, Source
from driftd.policy.decide import left_to
from tests.diff.objects import (
    DEPLOYMENT,
    JsonObject,
    changed_manually,
    deployed,
    deployment,
    drifts,
    fields_of,
    owned,
    schema_of,
    verdict,
)

SCHEMA = schema_of(*DEPLOYMENT)


def test_a_restart_is_no_drift() -> None:
    """`kubectl rollout restart` asks for new pods and changes nothing that Git declares."""
    live = deployed(deployment(), SCHEMA)
    note = {"kubectl.kubernetes.io/restartedAt": "now", "example.com/note": "x"}
    live["spec"]["template"]["metadata"]["annotations"] = note
    fields = {f"f:{key}": {} for key in note}
    after = changed_manually(
        live, {"f:spec": {"f:template": {"f:metadata": {"f:annotations": fields}}}}, "kubectl-rollout"
    )
    assert drifts(deployment(), after, SCHEMA) == [('spec.template.metadata.annotations["example.com/note"]', "added")]


@pytest.mark.parametrize(
    ("manager", "replicas", "autoscaler", "drift"),
    [
        ("kube-controller-manager", 5, None, False),
        ("kubectl", 5, None, True),
        ("kubectl", 5, (1, 6), False),
        ("kubectl", 7, (1, 6), True),
        ("kubectl", 0, (1, 6), True),
        ("kube-controller-manager", 9, (1, 6), True),
    ],
)
def test_replicas_under_an_autoscaler_are_drift_outside_its_range(
    manager: str, replicas: int, autoscaler: tuple[int, int] | None, drift: bool
) -> None:
    """Whoever scaled; if no range is known, the autoscaler's own changes are trusted."""
    live = deployed(deployment(), SCHEMA)
    live["spec"]["replicas"] = replicas
    after = changed_manually(live, owned("f:spec", "f:replicas"), manager, subresource="scale")
    expected = [("spec.replicas", "changed")] if drift else []
    assert drifts(deployment(), after, SCHEMA, autoscaler=autoscaler) == expected


@pytest.mark.parametrize(
    ("manager", "subresource", "replicas", "autoscaler", "left"),
    [
        ("kubectl", "scale", 9, (2, 5), True),  # its maximum was lowered a moment ago
        ("horizontal-pod-autoscaler", "scale", 3, (4, 9), True),  # or its minimum raised
        ("kubectl", "scale", 0, (2, 5), False),  # no autoscaler scales up from zero
        ("watermarkpodautoscaler", "scale", 9, None, True),
        ("manager", "scale", 9, None, True),
        ("manager", "scale", 0, None, True),
        ("keda-operator", None, 9, None, True),
        ("MyScaler", None, 9, None, True),
        ("flagger", None, 0, None, True),
        ("manager", None, 9, None, False),
        ("kubectl", "scale", 9, None, False),
        ("k9s", "scale", 9, None, False),
        ("kubectl-autoscale", None, 9, None, False),
    ],
)
def test_a_number_of_replicas_is_left_to_what_scales(
    manager: str, subresource: str | None, replicas: int, autoscaler: tuple[int, int] | None, left: bool
) -> None:
    """It is drift, and is told: put back, it would take pods from a service that needs them. A person's is put back."""
    live = deployed(deployment(), SCHEMA)
    live["spec"]["replicas"] = replicas
    by_scale = {"subresource": subresource} if subresource is not None else {}
    after = changed_manually(live, owned("f:spec", "f:replicas"), manager, **by_scale)
    (drift,) = verdict(deployment(), after, SCHEMA, autoscaler=autoscaler).fields
    assert (left_to(drift) is not None) is left


def test_an_autoscalers_range_is_found_by_what_it_scales() -> None:
    """In its own namespace, by group, kind and name; a minimum that is left out is 1."""
    body: JsonObject = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": "shop", "name": "h"},
        "spec": {"maxReplicas": 4, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    }
    result = Autoscalers.of([body, {"kind": "HorizontalPodAutoscaler"}])
    assert result.range_of(ResourceRef("apps", "Deployment", "shop", "web")) == (1, 4)
    assert result.range_of(ResourceRef("apps", "Deployment", "other", "web")) is None


def test_the_range_of_a_scaled_object_goes_before_that_of_its_autoscaler() -> None:
    """KEDA scales to zero by itself: the HorizontalPodAutoscaler that it makes knows no zero."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    made: JsonObject = {"kind": "HorizontalPodAutoscaler", "metadata": {"namespace": "shop", "name": "keda-hpa-web"},
                        "spec": {"minReplicas": 1, "maxReplicas": 5, "scaleTargetRef": target}}  # fmt: skip
    scaled: JsonObject = {"kind": "ScaledObject", "metadata": {"namespace": "shop", "name": "web"},
                          "spec": {"maxReplicaCount": 5, "scaleTargetRef": {"name": "web"}}}  # fmt: skip
    assert Autoscalers.of([scaled, made]).range_of(ResourceRef("apps", "Deployment", "shop", "web")) == (0, 5)


def test_an_autoscaler_whose_limits_are_no_numbers_scales_nothing():
    """A custom resource may hold anything; it spoils no other object."""
    spec = {"scaleTargetRef": {"name": "web"}, "minReplicaCount": "x", "maxReplicaCount": "y"}
    metadata = {"name": "web", "namespace": "shop"}
    scaled = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}
    assert Autoscalers.of([scaled]).range_of(ResourceRef("apps", "Deployment", "shop", "web")) is None


def _service(**spec: Any) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"},
            "spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "protocol": "TCP"}], **spec}}  # fmt: skip


def test_what_the_server_allocates_to_a_service_is_no_drift() -> None:
    """Whether Git omits it or declares it empty; a manually changed type is drift, and its allocated port is not."""
    schema = schema_of("v1", "Service")
    for declared in ({}, {"clusterIP": ""}):
        desired = _service(**declared)
        live = deployed(desired, schema)
        live["spec"] |= {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}
        assert drifts(desired, live, schema) == []
    live = deployed(_service(), schema)
    live["spec"]["type"] = "NodePort"
    live["spec"]["ports"][0]["nodePort"] = 30001
    port = owned("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:nodePort")
    both = {"f:spec": {**port["f:spec"], "f:type": {}}}
    assert drifts(_service(), changed_manually(live, both), schema) == [("spec.type", "added")]
    declared = _service(type="NodePort")
    moved = changed_manually(deployed(declared, schema), port)
    moved["spec"]["ports"][0]["nodePort"] = 30002
    assert drifts(declared, moved, schema) == [("spec.ports[port=80,protocol=TCP].nodePort", "added")]


def test_a_manually_changed_affinity_of_a_service_is_drift() -> None:
    """It has a default, and is not allocated."""
    schema = schema_of("v1", "Service")
    live = deployed(_service(), schema)
    live["spec"]["sessionAffinity"] = "ClientIP"
    after = changed_manually(live, owned("f:spec", "f:sessionAffinity"))
    assert drifts(_service(), after, schema) == [("spec.sessionAffinity", "added")]


@pytest.mark.parametrize(
    ("declared", "manager", "drift"),
    [
        (None, "anybody", False),
        ("", "anybody", False),
        ("Cg==", "anybody", False),
        ("cmVhbA==", "cainjector", False),
        ("cmVhbA==", "kubectl-edit", True),
    ],
)
def test_an_injected_certificate_is_no_drift(declared: str | None, manager: str, drift: bool) -> None:
    """Omitted in Git, or a placeholder there; a real one that was replaced manually is drift."""
    schema = schema_of("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
    client: JsonObject = {"url": "https://a.example.com"}
    hook = {"name": "a.b.c", "clientConfig": client, "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    desired = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
               "metadata": {"name": "w"}, "webhooks": [hook]}  # fmt: skip
    if declared is not None:
        client["caBundle"] = declared
    live = deployed(desired, schema)
    live["webhooks"][0]["clientConfig"]["caBundle"] = "aW5qZWN0ZWQ="
    after = changed_manually(live, owned("f:webhooks", 'k:{"name":"a.b.c"}', "f:clientConfig", "f:caBundle"), manager)
    expected = [("webhooks[name=a.b.c].clientConfig.caBundle", "changed")] if drift else []
    assert drifts(desired, after, schema) == expected


@pytest.mark.parametrize(
    ("manager", "key", "drift"),
    [
        ("admissionsenforcer", "kubernetes.azure.com/managedby", False),
        ("admissionsenforcer", "example.com/mine", True),
        ("kubectl-edit", "kubernetes.azure.com/managedby", True),
    ],
)
def test_only_the_platforms_own_condition_of_a_webhook_is_no_drift(manager: str, key: str, drift: bool) -> None:
    """AKS adds it to every webhook, and nobody can take it out. Other conditions under its name are somebody's."""
    hook = {"name": "a.b.c", "clientConfig": {"url": "https://a.example.com"}, "sideEffects": "None",
            "admissionReviewVersions": ["v1"]}  # fmt: skip
    desired = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
               "metadata": {"name": "w"}, "webhooks": [hook]}  # fmt: skip
    schema = schema_of("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
    live = deployed(desired, schema)
    condition = {"key": key, "operator": "NotIn", "values": ["aks"]}
    live["webhooks"][0]["namespaceSelector"] = {"matchExpressions": [condition]}
    fields = owned("f:webhooks", 'k:{"name":"a.b.c"}', "f:namespaceSelector")
    expected = [("webhooks[name=a.b.c].namespaceSelector", "added")] if drift else []
    assert drifts(desired, changed_manually(live, fields, manager), schema) == expected


@pytest.mark.parametrize(("manager", "drift"), [("pilot-discovery", False), ("kubectl-edit", True)])
def test_istio_arms_its_own_webhook(manager: str, drift: bool) -> None:
    """From Ignore to Fail, as soon as it can answer."""
    hook = {"name": "rev.validation.istio.io", "clientConfig": {"url": "https://a.example.com"}, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore"}  # fmt: skip
    desired = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
               "metadata": {"name": "w"}, "webhooks": [hook]}  # fmt: skip
    schema = schema_of("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
    live = deployed(desired, schema)
    live["webhooks"][0]["failurePolicy"] = "Fail"
    fields = owned("f:webhooks", 'k:{"name":"rev.validation.istio.io"}', "f:failurePolicy")
    expected = [("webhooks[name=rev.validation.istio.io].failurePolicy", "changed")] if drift else []
    assert drifts(desired, changed_manually(live, fields, manager), schema) == expected


def test_a_request_to_look_again_is_no_drift() -> None:
    """`flux reconcile` leaves it on the object that it asks for."""
    note = "reconcile.fluxcd.io/requestedAt"
    live = deployed(deployment(), SCHEMA)
    live["metadata"]["annotations"] = {note: "2026-01-01T00:00:00Z"}
    after = changed_manually(live, owned("f:metadata", "f:annotations", f"f:{note}"), "flux")
    assert drifts(deployment(), after, SCHEMA) == []


@pytest.mark.parametrize(("manager", "drift"), [("clusterrole-aggregation-controller", False), ("kubectl-edit", True)])
def test_the_rules_of_an_aggregated_role_belong_to_its_controller(manager: str, drift: bool) -> None:
    """A manual change is drift until the controller reverts it."""
    schema = schema_of("rbac.authorization.k8s.io/v1", "ClusterRole")
    desired = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"},
               "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}, "rules": []}  # fmt: skip
    live = deployed(desired, schema)
    live["rules"] = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
    expected = [("rules", "changed")] if drift else []
    assert drifts(desired, changed_manually(live, owned("f:rules"), manager), schema) == expected


SERVER_MADE: list[tuple[str, str, str, JsonObject, tuple[str, ...], Any, JsonObject]] = [
    ("service-account-secrets", "v1", "ServiceAccount", {}, ("secrets",), [{"name": "t"}], {"f:secrets": {}}),
    ("service-account-token", "v1", "Secret", {"type": "kubernetes.io/service-account-token"}, ("data",), {"token": "dA=="}, {"f:data": {"f:token": {}}}),
    ("volume-binding", "v1", "PersistentVolumeClaim", {"spec": {"accessModes": ["ReadWriteOnce"]}}, ("spec", "volumeName"), "pv-1",
     owned("f:spec", "f:volumeName")),
    ("protection-finalizer", "v1", "PersistentVolumeClaim", {"spec": {}}, ("metadata", "finalizers"), ["kubernetes.io/pvc-protection"],
     owned("f:metadata", "f:finalizers", 'v:"kubernetes.io/pvc-protection"')),
    ("namespace-itself", "v1", "Namespace", {}, ("metadata", "labels"), {"kubernetes.io/metadata.name": "o"},
     owned("f:metadata", "f:labels", "f:kubernetes.io/metadata.name")),
    ("namespace-finalizer", "v1", "Namespace", {}, ("spec",), {"finalizers": ["kubernetes"]}, owned("f:spec", "f:finalizers")),
    ("job-selector", "batch/v1", "Job", {"spec": {"template": {"spec": {}}}}, ("spec", "selector"), {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
     owned("f:spec", "f:selector")),
    ("autoscaler-status", "autoscaling/v1", "HorizontalPodAutoscaler", {"spec": {"maxReplicas": 2}}, ("metadata", "annotations"),
     {"autoscaling.alpha.kubernetes.io/conditions": "[]"}, owned("f:metadata", "f:annotations", "f:autoscaling.alpha.kubernetes.io/conditions")),
    ("deployment-revision", "apps/v1", "Deployment", {"spec": {}}, ("metadata", "annotations"), {"deployment.kubernetes.io/revision": "4"},
     owned("f:metadata", "f:annotations", "f:deployment.kubernetes.io/revision")),
    ("certificate-requester", "certificates.k8s.io/v1", "CertificateSigningRequest", {"spec": {"request": "YQ=="}}, ("spec", "username"), "ann",
     owned("f:spec", "f:username")),
    ("daemonset-generation", "apps/v1", "DaemonSet", {"spec": {}}, ("metadata", "annotations"), {"deprecated.daemonset.template.generation": "4"},
     owned("f:metadata", "f:annotations", "f:deprecated.daemonset.template.generation")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("api_version", "kind", "body", "place", "value", "fields"), [c[1:] for c in SERVER_MADE], ids=[c[0] for c in SERVER_MADE]
)  # fmt: skip
def test_what_the_server_and_its_controllers_set_is_no_drift(
    api_version: str, kind: str, body: JsonObject, place: tuple[str, ...], value: Any, fields: JsonObject
) -> None:
    """Whichever manager owns it, and without managedFields too."""
    schema = schema_of(api_version, kind)
    desired = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "o"}, **body}
    live = deployed(desired, schema)
    holder: Any = live
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = value
    manager = "kube-controller-manager" if kind in ("ServiceAccount", "Secret") else "some-controller"
    assert drifts(desired, changed_manually(live, fields, manager), schema) == []
    del live["metadata"]["managedFields"]
    assert drifts(desired, live, schema) == []


@pytest.mark.parametrize(
    ("seconds", "first", "names", "drift"),
    [
        (300, "mine", ("not-ready", "unreachable"), False),
        (300, "mine", ("unreachable",), False),
        (300, "mine", ("unreachable", "not-ready"), True),
        (600, "mine", ("not-ready", "unreachable"), True),
        (300, "another", ("not-ready", "unreachable"), True),
    ],
)
def test_a_pod_tolerates_more_than_git_declares(seconds: int, first: str, names: tuple[str, ...], drift: bool) -> None:
    """The API server lets every pod stay on a failing node for some minutes; other tolerations are manual changes."""
    schema = schema_of("v1", "Pod")
    tolerations: list[JsonObject] = [{"key": "mine", "operator": "Exists"}]
    containers = [{"name": "a", "image": "a:1"}]
    desired = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
               "spec": {"containers": containers, "tolerations": tolerations}}  # fmt: skip
    live = deployed(desired, schema, "kubectl-create", "Update")
    live["spec"]["tolerations"] = [
        {"key": first, "operator": "Exists"},
        *(
            {
                "key": f"node.kubernetes.io/{name}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": seconds,
            }
            for name in names
        ),
    ]
    assert drifts(desired, live, schema) == ([("spec.tolerations", "changed")] if drift else [])


ADMITTED_TO_A_POD: list[tuple[tuple[str, ...], Any]] = [
    (("spec", "serviceAccountName"), "default"),
    (("spec", "priority"), 0),
    (("spec", "nodeName"), "node-1"),
    (("spec", "imagePullSecrets"), [{"name": "pull"}]),
    (("spec", "volumes"), [{"name": "kube-api-access-x2x8l", "projected": {"sources": []}}]),
    (("spec", "containers", "0", "volumeMounts"),
     [{"name": "kube-api-access-x2x8l", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]),
]  # fmt: skip


@pytest.mark.parametrize("owned_by", ["nobody", "kubectl-create", "kubectl-edit"])
def test_what_the_api_server_puts_into_every_pod_is_no_drift(owned_by: str) -> None:
    """A token, an account, a priority and a node, also where managedFields are gone. A hand's are drift."""
    schema = schema_of("v1", "Pod")
    desired = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
               "spec": {"containers": [{"name": "a", "image": "a:1"}]}}  # fmt: skip
    live = deployed(desired, schema, "kubectl-create", "Update")
    for place, value in ADMITTED_TO_A_POD:
        holder: Any = live
        for part in place[:-1]:
            holder = holder[int(part) if part.isdigit() else part]
        holder[place[-1]] = value
    fields = fields_of({"spec": {k: v for k, v in live["spec"].items() if k != "containers"}}, schema)
    if owned_by == "kubectl-edit":
        live = changed_manually(live, fields)
    elif owned_by == "kubectl-create":
        live["metadata"]["managedFields"][0]["fieldsV1"] = fields_of({"spec": live["spec"]}, schema)
    else:
        del live["metadata"]["managedFields"]
    assert (drifts(desired, live, schema) == []) == (owned_by != "kubectl-edit")


@pytest.mark.parametrize("limited", [True, False])
def test_resources_that_a_limit_range_gave_to_a_pod_are_no_drift(limited: bool) -> None:
    """The annotation of the LimitRanger tells."""
    schema = schema_of("v1", "Pod")
    desired = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
               "spec": {"containers": [{"name": "a", "image": "a:1"}]}}  # fmt: skip
    live = deployed(desired, schema, "kubectl-create", "Update")
    live["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "1"}}
    if limited:
        live["metadata"]["annotations"] = {"kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu limit"}
    del live["metadata"]["managedFields"]
    assert (drifts(desired, live, schema) == []) == limited


@pytest.mark.parametrize(
    ("kind", "api_version", "spec", "chosen"),
    [
        ("PersistentVolumeClaim", "v1", {"accessModes": ["ReadWriteOnce"]}, "storageClassName"),
        ("Ingress", "networking.k8s.io/v1", {"defaultBackend": {"service": {"name": "a"}}}, "ingressClassName"),
    ],
)
def test_a_class_that_the_api_server_chose_is_no_drift(
    kind: str, api_version: str, spec: JsonObject, chosen: str
) -> None:
    """Where Git leaves it out. Whoever chose another one is told."""
    schema = schema_of(api_version, kind)
    desired = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "o", "namespace": "n"}, "spec": spec}
    live = deployed(desired, schema, "kubectl", "Apply")
    live["spec"][chosen] = "standard"
    assert drifts(desired, live, schema) == []
    by_hand = changed_manually(live, owned("f:spec", f"f:{chosen}"))
    assert drifts(desired, by_hand, schema) == [(f"spec.{chosen}", "added")]


@pytest.mark.parametrize("operation", ["Apply", "Update"])
@pytest.mark.parametrize(
    ("image", "hand", "admission", "drift"),
    [
        ("mirror.example.com/library/nginx:1.25", False, True, False),
        ("nginx:1.25@sha256:0123", False, True, False),
        ("mirror.example.com/nginx:1.26", False, True, True),
        ("mirror.example.com/nginx-evil:1.25", False, True, True),
        ("mirror.example.com/nginx:1.25", True, True, True),
        ("mirror.example.com/nginx:1.25", False, False, True),
    ],
)
def test_the_same_image_of_another_registry_is_no_drift_where_admission_may_choose_it(
    image: str, hand: bool, admission: bool, drift: bool, operation: str
) -> None:
    """A policy rewrites what the deployer sends, and the field stays the deployer's. Another image or tag, or a hand,
    is drift."""
    live = deployed(deployment(), SCHEMA, "kustomize-controller", operation)
    live["spec"]["template"]["spec"]["containers"][0]["image"] = image
    if hand:
        fields = owned("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"web"}', "f:image")
        live = changed_manually(live, fields, "kubectl-set")
    expected = [("spec.template.spec.containers[name=web].image", "changed")] if drift else []
    assert drifts(deployment(), live, SCHEMA, admission=admission) == expected


@pytest.mark.parametrize(("manager", "drift"), [("kube-controller-manager", False), ("kubectl-annotate", True)])
def test_a_revision_that_was_exported_to_git_is_counted_anew(manager: str, drift: bool) -> None:
    """Manifests that were copied out of a cluster declare what the Deployment controller counts."""
    note = "deployment.kubernetes.io/revision"
    desired = deployment()
    desired["metadata"]["annotations"] = {note: "3"}
    live = deployed(desired, SCHEMA)
    live["metadata"]["annotations"][note] = "1"
    after = changed_manually(live, owned("f:metadata", "f:annotations", f"f:{note}"), manager)
    assert drifts(desired, after, SCHEMA) == ([(f'metadata.annotations["{note}"]', "changed")] if drift else [])


@pytest.mark.parametrize(
    ("live", "drift"), [('[{"value":1,"type":"Pods"}]', False), ('[{"value":2,"type":"Pods"}]', True), ("[", True)]
)
def test_fields_that_an_old_autoscaler_keeps_in_annotations_are_compared_as_json(live: str, drift: bool) -> None:
    """The API server rewrites them: in its order, without nulls."""
    note = "autoscaling.alpha.kubernetes.io/metrics"
    schema = schema_of("autoscaling/v1", "HorizontalPodAutoscaler")
    desired = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 2},
               "metadata": {"name": "h", "annotations": {note: '[{"type": "Pods", "value": 1, "other": null}]'}}}  # fmt: skip
    actual = deployed(desired, schema)
    actual["metadata"]["annotations"][note] = live
    assert drifts(desired, actual, schema) == ([(f'metadata.annotations["{note}"]', "changed")] if drift else [])


@pytest.mark.parametrize(("window", "drift"), [(0, False), (30, True)])
def test_defaults_that_the_server_fills_into_such_an_annotation_are_no_drift(window: int, drift: bool) -> None:
    """Other values are manual changes."""
    note = "autoscaling.alpha.kubernetes.io/behavior"
    schema = schema_of("autoscaling/v1", "HorizontalPodAutoscaler")
    desired = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 2},
               "metadata": {"name": "h", "annotations": {note: '{"ScaleUp": {"SelectPolicy": "Max"}}'}}}  # fmt: skip
    policies = [
        {"Type": "Pods", "Value": 4, "PeriodSeconds": 15},
        {"Type": "Percent", "Value": 100, "PeriodSeconds": 15},
    ]
    actual = deployed(desired, schema)
    filled = {"ScaleUp": {"StabilizationWindowSeconds": window, "SelectPolicy": "Max", "Policies": policies}}
    actual["metadata"]["annotations"][note] = json.dumps(
        {**filled, "ScaleDown": {"SelectPolicy": "Max", "Policies": policies[1:]}}
    )
    assert drifts(desired, actual, schema) == ([(f'metadata.annotations["{note}"]', "changed")] if drift else [])


def test_every_rule_can_be_taken_away() -> None:
    """Without it, what it covers is drift."""
    live = deployed(deployment(), SCHEMA)
    live["spec"]["replicas"] = 5
    after = changed_manually(live, owned("f:spec", "f:replicas"), "kube-controller-manager", subresource="scale")
    rules = tuple(rule for rule in BUILT_IN_RULES if rule.name != "autoscaler-replicas")
    comparison = Comparison(Redactor(b"k" * 32), rules=rules)
    result = comparison.verdict(Manifest.of(deployment(), Source("a.yaml", 1)), after, SCHEMA)
    assert len(result.fields) == 1
