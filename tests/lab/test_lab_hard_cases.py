"""Cases that are hard to get right, each on the real API server."""
# ruff: noqa: E501  # one case a line

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driftd.diff.typed.go_fields import DEFAULTS, KEPT, KUBERNETES
from driftd.model.drift import Status, Verdict
from driftd.model.path import format_path
from driftd.model.resource import Manifest, Source
from driftd.render.manifests import read_manifests
from tests.lab.api import JSON_PATCH, MERGE_PATCH, Api, JsonObject, Refused
from tests.lab.deployment import WAYS, deploy
from tests.lab.lab import Lab
from tests.support.controlplane import ControlPlane
from tools.zero_values.__main__ import documents as all_documents
from tools.zero_values.__main__ import probe, read_seeds
from tools.zero_values.server import Server
from tools.zero_values.types import Types

HERE = Path(__file__).parent
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Api:
    control_plane.kubectl("apply", "-f", HERE / "trick_crd.yaml")
    control_plane.kubectl("wait", "--for=condition=Established", "crd/tricks.lab.example.com", "--timeout=30s")
    result = Api(control_plane)
    deadline = time.monotonic() + 30
    while True:
        try:
            result.resource("lab.example.com/v1", "Trick")
            if result.schema("lab.example.com/v1", "Trick") is not None:
                return result
        except Refused:
            pass
        assert time.monotonic() < deadline
        result = Api(control_plane)
        time.sleep(0.1)


@pytest.fixture
def lab(api: Api) -> Lab:
    return Lab(api, [], "", 1)


def _tricky() -> list[Manifest]:
    return list(read_manifests((HERE / "tricky.yaml").read_bytes(), "tricky.yaml").manifests)


@pytest.mark.parametrize("way", WAYS)
def test_another_notation_of_the_same_value_is_no_drift(lab: Lab, namespace: str, way: str) -> None:
    """Zero values, nulls, quantities, defaults of CRDs, folded and pruned fields: in sync for both engines."""
    wrong: list[str] = []
    for manifest in _tricky():
        placed = manifest.in_namespace(namespace)
        deploy(lab.api, placed, way)
        live = lab.api.get(placed)
        wrong += [
            f"{manifest.ref}: {_fields(verdict) if verdict else 'refused'}"
            for verdict in (lab.client(placed, live), lab.server(placed, live))
            if verdict is None or verdict.status is not Status.IN_SYNC
        ]
    assert wrong == []


def _fields(verdict: Verdict) -> Any:
    return verdict.error or [
        (format_path(d.path), str(d.change), d.desired, d.live, d.by.manager if d.by else None) for d in verdict.fields
    ]


def _manifest(namespace: str, kind: str, api_version: str = "v1", **body: Any) -> Manifest:
    metadata = {"name": "it", "namespace": namespace, **body.pop("metadata", {})}
    return Manifest.of({"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}, Source("it.yaml", 1))


def _deployment(namespace: str, **container: Any) -> Manifest:
    pod = {"containers": [{"name": "web", "image": "nginx:1.25", **container}]}
    template = {"metadata": {"labels": {"app": "it"}}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "it"}}, "template": template}
    return _manifest(namespace, "Deployment", "apps/v1", spec=spec)


def _both(lab: Lab, manifest: Manifest, *, admission: bool = False) -> list[tuple[str, str, str | None]]:
    """`(path, change, manager)` of each drift; both engines have to agree."""
    live = lab.api.get(manifest)
    client, server = lab.client(manifest, live, admission=admission), lab.server(manifest, live, admission=admission)
    assert client.error is None
    reported = [(format_path(d.path), str(d.change), d.by.manager if d.by else None) for d in client.fields]
    if server is not None:
        assert [(format_path(d.path), str(d.change), d.by.manager if d.by else None) for d in server.fields] == reported
    return reported


@pytest.fixture
def file(tmp_path: Path) -> Callable[[Manifest], Path]:
    def write(manifest: Manifest) -> Path:
        path = tmp_path / "it.json"
        path.write_text(json.dumps(manifest.body))
        return path

    return write


@pytest.fixture(params=["create", "apply", "apply --server-side", "create, then apply", "apply, then --server-side"])
def deployed(
    request: pytest.FixtureRequest, lab: Lab, kubectl: Kubectl, namespace: str, file: Callable[[Manifest], Path]
) -> Manifest:
    """A Deployment, deployed by the real kubectl."""
    manifest = _deployment(namespace)
    path = file(manifest)
    commands = {
        "create": [["create"]],
        "apply": [["apply"]],
        "apply --server-side": [["apply", "--server-side"]],
        "create, then apply": [["create"], ["apply"]],
        "apply, then --server-side": [["apply"], ["apply", "--server-side"]],
    }
    for command in commands[request.param]:
        kubectl(*command, "-f", path)
    assert _both(lab, manifest) == []
    return manifest


def test_changes_of_a_deployment_by_kubectl_are_drift(lab: Lab, kubectl: Kubectl, deployed: Manifest) -> None:
    """Scaling, setting, labelling and annotating are drift with a manager; a rollout restart is not drift."""
    on = ("--namespace", str(deployed.ref.namespace), "deployment/it")
    kubectl("rollout", "restart", *on)
    assert _both(lab, deployed) == []
    kubectl("scale", "--replicas=3", *on)
    kubectl("set", "env", *on, "DEBUG=1")
    kubectl("label", *on, "team=x")
    kubectl("annotate", *on, "note=y")
    assert sorted(_both(lab, deployed)) == [
        ("metadata.annotations.note", "added", "kubectl-annotate"),
        ("metadata.labels.team", "added", "kubectl-label"),
        ("spec.replicas", "changed", "kubectl"),
        ("spec.template.spec.containers[name=web].env[name=DEBUG]", "added", "kubectl-set"),
    ]


def test_a_manually_applied_manifest_is_drift(
    lab: Lab, kubectl: Kubectl, deployed: Manifest, file: Callable[[Manifest], Path]
) -> None:
    """Another version of the manifest, applied under the deployer's field manager."""
    other = _deployment(str(deployed.ref.namespace), image="nginx:1.26", env=[{"name": "DEBUG", "value": "1"}])
    kubectl("apply", "-f", file(other))
    paths = [path for path, _, _ in _both(lab, deployed)]
    assert sorted(paths) == [
        "spec.template.spec.containers[name=web].env[name=DEBUG]",
        "spec.template.spec.containers[name=web].image",
    ]


def test_a_replaced_object_drifts_only_in_its_changes(
    lab: Lab, kubectl: Kubectl, deployed: Manifest, file: Callable[[Manifest], Path]
) -> None:
    """`kubectl replace` with other content: its changes are reported, its defaults are not."""
    other = _deployment(str(deployed.ref.namespace), image="nginx:1.26", stdin=True)
    kubectl("replace", "-f", file(other))
    assert sorted(_both(lab, deployed)) == [
        ("spec.template.spec.containers[name=web].image", "changed", "kubectl-replace"),
        ("spec.template.spec.containers[name=web].stdin", "added", "kubectl-replace"),
    ]


def test_a_removed_and_restored_container_is_no_drift(lab: Lab, deployed: Manifest) -> None:
    """Its defaults are then owned by the manager that restored it, which is no drift."""
    path = lab.api.path(deployed)
    other = [{"name": "other", "image": "x"}]
    original = lab.api.get(deployed)["spec"]["template"]["spec"]["containers"]
    for containers in (other, [{"name": "web", "image": "nginx:1.25"}]):
        pointer = "/spec/template/spec/containers"
        patch = [{"op": "replace", "path": pointer, "value": containers}]
        lab.api.request("PATCH", path, patch, JSON_PATCH, fieldManager="night-shift")
    assert lab.api.get(deployed)["spec"]["template"]["spec"]["containers"] == original
    assert _both(lab, deployed) == []


def test_an_edit_with_cleared_managed_fields_is_drift(lab: Lab, deployed: Manifest) -> None:
    """It is reported with an unknown manager."""
    path = lab.api.path(deployed)
    patch = [{"op": "add", "path": "/spec/template/spec/hostPID", "value": True}]
    lab.api.request("PATCH", path, patch, JSON_PATCH, fieldManager="night-shift")
    lab.api.request("PATCH", path, {"metadata": {"managedFields": [{}]}}, MERGE_PATCH, fieldManager="x")
    assert lab.api.get(deployed)["metadata"].get("managedFields") is None
    assert _both(lab, deployed) == [("spec.template.spec.hostPID", "added", None)]


def test_removing_a_declared_false_is_drift_only_if_false_is_stored(lab: Lab, namespace: str) -> None:
    """`automountServiceAccountToken: false` is stored, so that its removal is drift; `readOnly: false` is not."""
    mount = {"name": "v", "mountPath": "/v", "readOnly": False}
    manifest = _deployment(namespace, volumeMounts=[mount])
    pod = manifest.body["spec"]["template"]["spec"]
    pod |= {"automountServiceAccountToken": False, "volumes": [{"name": "v", "emptyDir": {}}]}
    deploy(lab.api, manifest, "create")
    assert _both(lab, manifest) == []
    patch = [{"op": "remove", "path": "/spec/template/spec/automountServiceAccountToken"}]
    lab.api.request("PATCH", lab.api.path(manifest), patch, JSON_PATCH, fieldManager="night-shift")
    assert _both(lab, manifest) == [("spec.template.spec.automountServiceAccountToken", "removed", None)]


def test_an_edit_of_items_with_the_same_key_is_drift(lab: Lab, namespace: str) -> None:
    """A variable twice, and one port under two names: the API server accepts both, and an edit of one is reported."""
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    ports = [{"containerPort": 80, "name": "a"}, {"containerPort": 80, "name": "b"}]
    manifest = _deployment(namespace, env=env, ports=ports)
    deploy(lab.api, manifest, "create")
    assert lab.client(manifest, lab.api.get(manifest)).status is Status.IN_SYNC
    with pytest.raises(Refused, match="duplicate entries for key"):  # by which the server engine recognizes it
        lab.api.dry_run(manifest)
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/env/1/value", "value": "3"}]
    lab.api.request("PATCH", lab.api.path(manifest), patch, JSON_PATCH, fieldManager="night-shift")
    verdict = lab.client(manifest, lab.api.get(manifest))
    assert [format_path(d.path) for d in verdict.fields] == [
        "spec.template.spec.containers[name=web].env[name=A][1].value"
    ]


def test_an_old_autoscalers_behavior_in_an_annotation_is_no_drift(lab: Lab, namespace: str) -> None:
    """The API server adds the fields that Git does not declare."""
    behavior = '{"ScaleUp": {"Policies": [{"Type": "Pods", "Value": 4, "PeriodSeconds": 60}]}}'
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    manifest = Manifest.of(
        {
            "apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {
                "name": "it",
                "namespace": namespace,
                "annotations": {"autoscaling.alpha.kubernetes.io/behavior": behavior},
            },
            "spec": {"maxReplicas": 3, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 70},
        },
        Source("it.yaml", 1),
    )
    deploy(lab.api, manifest, "apply")
    live = lab.api.get(manifest)
    assert live["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"] != behavior
    assert lab.client(manifest, live).status is Status.IN_SYNC


def test_an_edit_of_an_autoscaler_in_another_version_is_drift(lab: Lab, namespace: str) -> None:
    """Git declares autoscaling/v1, the edit is in v2 (as with `kubectl edit`)."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"maxReplicas": 3, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 70}
    manifest = _manifest(namespace, "HorizontalPodAutoscaler", "autoscaling/v1", spec=spec)
    deploy(lab.api, manifest, "apply")
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/it"
    memory = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 5}},
    }
    patch = [{"op": "add", "path": "/spec/metrics/-", "value": memory}, {"op": "replace", "path": "/spec/maxReplicas", "value": 9}]  # fmt: skip
    lab.api.request("PATCH", path, patch, JSON_PATCH, fieldManager="kubectl-edit")
    assert _both(lab, manifest) == [
        ("spec.maxReplicas", "changed", "kubectl-edit"),
        ('metadata.annotations["autoscaling.alpha.kubernetes.io/metrics"]', "added", "kubectl-edit"),
    ]


@pytest.mark.parametrize("way", ["server-side apply", "flux", "create", "helm", "apply"])
def test_fields_set_by_admission_at_deployment_are_no_drift(lab: Lab, namespace: str, way: str) -> None:
    """A mutating policy labels every ConfigMap of the namespace."""
    name = f"label-{namespace}"
    group = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    match = {"resourceRules": [rule], "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    expression = 'Object{metadata: Object.metadata{labels: {"injected": "yes"}}}'
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    spec = {"matchConstraints": match, "reinvocationPolicy": "Never", "failurePolicy": "Fail", "mutations": [mutation]}
    policy = {"apiVersion": group, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}
    binding = {"apiVersion": group, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {"policyName": name}}  # fmt: skip
    for body in (policy, binding):
        deploy(lab.api, Manifest.of(body, Source("x", 1)), "create")
    try:
        manifest = _manifest(namespace, "ConfigMap", data={"a": "1"})
        _until_injected(lab.api, manifest, way)
        assert _both(lab, manifest, admission=True) == []
    finally:
        for kind in ("mutatingadmissionpolicybindings", "mutatingadmissionpolicies"):
            lab.api.request("DELETE", f"/apis/{group}/{kind}/{name}")


def _until_injected(api: Api, manifest: Manifest, way: str) -> None:
    """A policy takes a moment to become effective: deploy until it is."""
    deadline = time.monotonic() + 30
    while True:
        deploy(api, manifest, way)
        if api.get(manifest)["metadata"].get("labels"):
            return
        assert time.monotonic() < deadline
        api.request("DELETE", api.path(manifest))
        time.sleep(0.2)


def test_an_edit_of_a_custom_resource_is_drift(lab: Lab, namespace: str) -> None:
    """Edits are reported at their fields, for lists, sets and fields without a schema."""
    manifest = next(m for m in _tricky() if m.ref.kind == "Trick").in_namespace(namespace)
    deploy(lab.api, manifest, "create")
    patch = [
        {"op": "replace", "path": "/spec/items/1/value", "value": 7},
        {"op": "add", "path": "/spec/set/-", "value": "c"},
        {"op": "replace", "path": "/spec/open/anything", "value": 1},
        {"op": "replace", "path": "/spec/defaulted", "value": "hand"},
        {"op": "replace", "path": "/spec/nested/inner", "value": 6},
        {"op": "remove", "path": "/spec/zero"},
        {"op": "replace", "path": "/status/mine", "value": False},
    ]
    lab.api.request("PATCH", lab.api.path(manifest), patch, JSON_PATCH, fieldManager="night-shift")
    assert sorted(path for path, _, _ in _both(lab, manifest)) == [
        "spec.defaulted", "spec.items[key=a,group=other].value", "spec.nested.inner", "spec.open.anything",
        "spec.set[=c]", "spec.zero", "status.mine",
    ]  # fmt: skip


def test_the_table_of_zero_values_matches_the_server(control_plane: ControlPlane, assets: Path) -> None:
    """A sample of the table; `python -m tools.zero_values` probes all of it."""
    with Server(str(assets / "kubectl"), str(control_plane.kubeconfig())) as server:
        assert server.get("/version")["gitVersion"] == KUBERNETES
        sample = [s for s in read_seeds() if s["kind"] in ("ServiceAccount", "ConfigMap", "RoleBinding", "StorageClass", "Ingress", "PodDisruptionBudget")]  # fmt: skip
        findings = probe(server, Types(all_documents(server)), sample)
    assert ("io.k8s.api.core.v1.ServiceAccount", "automountServiceAccountToken") in findings.kept
    scalars = {at for at in findings.dropped if at[1] in KEPT.get(at[0], ())}
    assert scalars == set()
    for (struct, name), values in findings.defaults.items():
        assert set(map(json.dumps, values)) <= set(map(json.dumps, DEFAULTS[struct][name])), (struct, name)


def test_a_deployed_object_is_in_sync(api: Api, namespace: str) -> None:
    """With the lab's own client: a deployed object equals its manifest."""
    manifest = _manifest(namespace, "ConfigMap", data={"a": "1"})
    deploy(api, manifest, "create")
    body: JsonObject = api.get(manifest)
    assert body["data"] == {"a": "1"}
