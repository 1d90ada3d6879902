"""The manifests for installation: they build, a real API server accepts them, and the pod is restricted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftd.config.loading import load
from tests.deploy.manifests import DEPLOY, build, objects, single, variant
from tests.support.controlplane import ControlPlane

COMPONENTS = (
    "audit", "custom-resources", "discover", "discover/credentials", "heal", "heal-namespaces", "heal-secrets",
    "network-policy", "secrets", "servicemonitor",
)  # fmt: skip
COMBINATIONS = [
    (),
    *((name,) for name in COMPONENTS),
    ("heal", "network-policy", "servicemonitor", "audit"),
    ("heal-secrets", "heal-namespaces", "secrets", "custom-resources"),
]


@pytest.mark.parametrize("components", COMBINATIONS, ids=lambda names: "+".join(names) or "base")
def test_the_base_builds_with_its_components(assets: Path, tmp_path: Path, components: tuple[str, ...]):
    built = objects(variant(assets, tmp_path, components))
    assert {o["kind"] for o in built} >= {"Namespace", "ServiceAccount", "Deployment", "Service", "ConfigMap"}
    for obj in built:
        labels = obj["metadata"].get("labels", {})
        assert labels.get("app.kubernetes.io/part-of") == "driftd", obj["metadata"]["name"]


def test_every_component_is_tested():
    """heal-role is part of the two components for healing."""
    components = DEPLOY / "components"
    there = {file.parent.relative_to(components).as_posix() for file in components.rglob("kustomization.yaml")}
    assert there == {*COMPONENTS, "heal-role"}


def test_every_manifest_is_part_of_a_kustomization():
    """A file that no kustomization names would never be installed."""
    for kustomization in DEPLOY.rglob("kustomization.yaml"):
        text = yaml.safe_load(kustomization.read_text())
        named = {*text.get("resources", ()), "kustomization.yaml"}
        named |= {patch["path"] for patch in text.get("patches", ()) if "path" in patch}
        for generator in text.get("configMapGenerator", ()):
            named |= set(generator.get("files", ()))
        files = {path.name for path in kustomization.parent.iterdir() if path.is_file()}
        assert files <= named, kustomization


@pytest.mark.parametrize("folder", ["base", "overlays/example"])
def test_a_real_cluster_takes_it_and_a_second_apply_changes_nothing(
    control_plane: ControlPlane, assets: Path, folder: str
):
    manifests = build(assets, DEPLOY / folder)
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=manifests)
    again = control_plane.kubectl("diff", "--server-side", "--force-conflicts", "-f", "-", input=manifests, check=False)
    assert again.returncode == 0, again.stdout
    control_plane.kubectl("delete", "--timeout=60s", "-f", "-", input=manifests)


def test_the_servicemonitor_replaces_the_annotations(assets: Path, tmp_path: Path):
    plain = single(variant(assets, tmp_path), "Service")
    assert plain["metadata"]["annotations"]["prometheus.io/scrape"] == "true"
    built = variant(assets, tmp_path, ("servicemonitor",))
    assert not single(built, "Service")["metadata"].get("annotations")
    monitor = single(built, "ServiceMonitor")
    ports = {port["name"] for port in single(built, "Service")["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports


def test_the_alerts_are_those_that_the_documents_show(assets: Path, tmp_path: Path):
    """Tests of the documents hold that their metrics exist."""
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    shown = yaml.safe_load("groups:" + page.partition("```yaml\ngroups:")[2].partition("```")[0])
    rule = single(variant(assets, tmp_path, ("servicemonitor",)), "PrometheusRule")
    assert rule["spec"] == shown


def test_the_probes_lead_to_the_listener_of_the_configuration(assets: Path, tmp_path: Path):
    """In the base and in the example: a port that nobody serves would keep the pod from starting."""
    for folder in ("base", "overlays/example"):
        built = build(assets, DEPLOY / folder)
        file = tmp_path / "driftd.yaml"
        (config,) = [o["data"]["driftd.yaml"] for o in objects(built) if o["kind"] == "ConfigMap"]
        file.write_text(config)
        (container,) = _template(built)["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        web = load(file).web
        assert ports == {"http": web.listen.port, "probes": web.probes.port}


@pytest.mark.parametrize("components", [("audit", "network-policy"), ("network-policy", "audit")])
def test_the_documented_address_for_audit_events_leads_to_the_daemon(
    assets: Path, tmp_path: Path, components: tuple[str, ...]
):
    """From the Service's port to the container's, through the network policy, in whichever order they are listed."""
    built = variant(assets, tmp_path, components)
    service = single(built, "Service")
    (port,) = [port for port in service["spec"]["ports"] if port["name"] == "audit"]
    container = _template(built)["spec"]["containers"][0]
    listening = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert (port["port"], listening[port["targetPort"]]) == (8443, 8443)
    assert {"http", "audit"} <= listening.keys()
    policy = single(built, "NetworkPolicy")
    assert {"ports": [{"port": 8443, "protocol": "TCP"}]} in policy["spec"]["ingress"]
    text = (DEPLOY.parent / "docs/operations.md").read_text()
    assert f"tls-server-name: {service['metadata']['name']}.{service['metadata']['namespace']}.svc" in text


def test_the_pod_is_admitted_where_pod_security_is_restricted(
    control_plane: ControlPlane, assets: Path, namespace: str
):
    """A namespace that enforces "restricted" admits a pod of the template, but not one without its settings."""
    control_plane.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    template = _template(build(assets, DEPLOY / "base"))
    control_plane.kubectl("create", "serviceaccount", "driftd", "-n", namespace)
    control_plane.kubectl("create", "-n", namespace, "-f", "-", input=_pod("driftd", template["spec"]))
    careless = {**template["spec"], "securityContext": {}}
    refused = control_plane.kubectl("create", "-n", namespace, "-f", "-", input=_pod("other", careless), check=False)
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_the_namespace_enforces_restricted(assets: Path):
    labels = single(build(assets, DEPLOY / "base"), "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_container_has_probes_resources_and_a_closed_security_context(assets: Path):
    spec = _template(build(assets, DEPLOY / "base"))["spec"]
    assert spec["securityContext"]["runAsUser"] == 10001
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        ports = {port["name"] for port in container["ports"]}
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"] == {"path": path, "port": "probes"}
            assert container[probe]["httpGet"]["port"] in ports
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_only_one_replica_at_a_time_uses_the_volume(assets: Path):
    """Two pods on one SQLite file would corrupt it, so the old pod is stopped before the new one starts."""
    deployment = single(build(assets, DEPLOY / "base"), "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_everything_that_the_configuration_writes_to_is_a_volume(assets: Path, tmp_path: Path):
    """The root filesystem is read-only: the database and the mirrors are on the claim."""
    built = build(assets, DEPLOY / "base")
    container = _template(built)["spec"]["containers"][0]
    writable = [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]
    assert sorted(writable) == ["/tmp", "/var/lib/driftd"]
    config = load(_config_file(built, tmp_path))
    assert config.store.url.startswith("sqlite:////var/lib/driftd/")
    assert config.cache_dir.is_relative_to("/var/lib/driftd")


@pytest.mark.parametrize("folder", ["base", "overlays/example"])
def test_the_configuration_that_is_installed_is_valid(assets: Path, tmp_path: Path, folder: str):
    """And its web server is the one that probes and Service use."""
    built = build(assets, DEPLOY / folder)
    config = load(_config_file(built, tmp_path))
    container = _template(built)["spec"]["containers"][0]
    assert config.web.listen.port == container["ports"][0]["containerPort"]
    assert config.web.listen.host == "0.0.0.0"
    assert container["args"] == ["run", "--config", "/etc/driftd/driftd.yaml"]


def test_the_examples_secrets_are_keys_of_one_optional_secret(assets: Path, tmp_path: Path):
    """Configuration and credentials are in the same folder, so that relative paths in the configuration work."""
    built = build(assets, DEPLOY / "overlays/example")
    spec = _template(built)["spec"]
    (projected,) = [v["projected"] for v in spec["volumes"] if v["name"] == "config"]
    secret = next(source["secret"] for source in projected["sources"] if "secret" in source)
    assert secret == {"name": "driftd-credentials", "optional": True}
    config = load(_config_file(built, tmp_path))
    assert {key: path.parent for key, path in config.files()} == {key: tmp_path for key, _ in config.files()}


def test_the_network_policy_lets_the_probes_port_in(assets: Path, tmp_path: Path):
    built = variant(assets, tmp_path, ("network-policy",))
    policy, template = single(built, "NetworkPolicy"), _template(built)
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= template["metadata"]["labels"].items()
    rule = policy["spec"]["ingress"][0]
    assert [port["port"] for port in rule["ports"]] == [p["name"] for p in template["spec"]["containers"][0]["ports"]]


def _template(manifests: str) -> dict[str, Any]:
    template: dict[str, Any] = single(manifests, "Deployment")["spec"]["template"]
    return template


def _pod(name: str, spec: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def _config_file(manifests: str, folder: Path) -> Path:
    file = folder / "driftd.yaml"
    file.write_text(single(manifests, "ConfigMap", "driftd-config")["data"]["driftd.yaml"])
    return file
