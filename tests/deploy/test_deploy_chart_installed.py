"""The chart on a real API server, by Helm 3 and by Helm 4: installed, upgraded, at work, uninstalled."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml

from tests.deploy.chart import CHART, Values, template
from tests.deploy.manifests import DEPLOY
from tests.support.controlplane import ControlPlane
from tests.support.driftd_process import Driftd, wait_until
from tests.support.kubelet import Kubelet

_EVERYTHING: Values = {
    "config": {"web": {"audit": {"tokenFile": "t", "certFile": "c", "keyFile": "k", "listen": "0.0.0.0:8443"}}},
    "rbac": {"secrets": True, "customResources": True, "heal": True, "healNamespaces": ["web"], "healSecrets": True},
    "networkPolicy": {"enabled": True},
    "image": {"digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "persistence": {"annotations": {"helm.sh/resource-policy": "keep"}},
    "extraArgs": ["--debug"],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraEnvFrom": [{"secretRef": {"name": "more", "optional": True}}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca", "optional": True}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ssl/own"}],
    "podAnnotations": {"example.com/a": "b"},
    "podLabels": {"team": "platform"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "infra", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "serviceAccount": {"annotations": {"example.com/role": "reader"}},
}
_LEFT = "serviceaccounts,services,configmaps,deployments,persistentvolumeclaims,networkpolicies,rolebindings,pods"

_VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata: {name: data}
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /tmp/driftd-data}
"""
_APPLICATIONS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: applications.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Application, plural: applications, singular: application}
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
_APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: web}
spec:
  project: default
  source: {repoURL: "https://git.example.com/shop/deploy.git", path: apps/web, targetRevision: main}
  destination: {server: "https://kubernetes.default.svc", namespace: web}
"""


@dataclass(frozen=True, slots=True)
class Helm:
    """A Helm, and the cluster that it installs into."""

    program: Path
    cluster: ControlPlane

    def __call__(self, *arguments: str | Path, values: Values | None = None) -> str:
        """Its output. Raises: AssertionError: it failed."""
        given = ("--values", "-") if values is not None else ()
        done = subprocess.run(
            [self.program, *arguments, *given, "--namespace", "driftd"],
            input=json.dumps(values) if values is not None else None,
            env={"KUBECONFIG": str(self.cluster.kubeconfig()), "HOME": str(self.cluster.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def cluster(assets: Path) -> Iterator[ControlPlane]:
    """A separate cluster with a node, since roles are cluster-wide, and a volume for each claim."""
    with ControlPlane(assets) as running, Kubelet(running):
        running.kubectl("create", "namespace", "web")
        yield running


@pytest.fixture(params=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest, cluster: ControlPlane, assets: Path, chart_tools: Path) -> Iterator[Helm]:
    """Each Helm that people have, with no release of another test."""
    found = Helm(assets / "helm" if request.param == "helm4" else chart_tools / "helm3", cluster)
    yield found
    found("uninstall", "driftd", "--ignore-not-found", "--wait", "--timeout", "60s")


def test_it_comes_up_without_a_value_and_leaves_nothing_behind(helm: Helm, cluster: ControlPlane):
    """`--wait` returns once the pod is ready and the claim is bound; the namespace, which is Helm's user's, stays."""
    _volume(cluster)
    said = helm("install", "driftd", CHART, "--create-namespace", "--wait", "--timeout", "60s")
    assert "It finds what argo and flux deploy" in said
    ready = cluster.kubectl("-n", "driftd", "get", "deployment", "driftd", "-o", "jsonpath={.status.readyReplicas}")
    assert ready.stdout == "1"
    helm("upgrade", "driftd", CHART, "--wait", "--timeout", "60s", values=_EVERYTHING)
    args = cluster.kubectl("-n", "driftd", "get", "deployment", "driftd", "-o", "jsonpath={..args}").stdout
    assert "--debug" in args
    assert _cluster_wide(cluster) > {"driftd-heal", "driftd-heal-secrets", "driftd-read-secrets"}
    assert "Rollback was a success" in helm("rollback", "driftd", "1", "--wait", "--timeout", "60s")
    assert _cluster_wide(cluster) == {"driftd-read", "driftd-read-builtin", "driftd-read-discover"}
    helm("uninstall", "driftd", "--wait", "--timeout", "60s")
    assert _cluster_wide(cluster) == set()
    left = cluster.kubectl("get", _LEFT, "--all-namespaces", "-l", "app.kubernetes.io/name=driftd", "-o", "name").stdout
    assert left == ""


def test_the_api_server_knows_every_field_of_every_value(helm: Helm, cluster: ControlPlane):
    """With strict validation, against the schemas that the API server itself has: no others are newer or nearer."""
    cluster.kubectl("create", "namespace", "driftd", check=False)
    _strictly(cluster, template(helm.program, _EVERYTHING))


def test_install_yaml_is_taken_by_kubectl_apply(cluster: ControlPlane):
    """By the client-side apply that people type, and again without a change."""
    file = DEPLOY / "install.yaml"
    cluster.kubectl("apply", "-f", file)
    again = cluster.kubectl("apply", "-f", file).stdout.splitlines()
    assert [line for line in again if not line.endswith("unchanged")] == []
    cluster.kubectl("delete", "-f", file, "--timeout=60s")


def test_it_is_at_rest_without_argo_cd_and_finds_what_that_deploys(helm: Helm, cluster: ControlPlane, tmp_path: Path):
    """With the configuration and the rights of an installation without a value."""
    _volume(cluster)
    helm("install", "driftd", CHART, "--create-namespace")
    daemon = _daemon(cluster, tmp_path)
    try:
        daemon.start()
        wait_until(lambda: _is_ready(daemon), "the daemon to be ready")
        assert _apps(daemon) == {}
        assert [line for line in daemon.lines() if line["level"] in ("warning", "error")] == []
        daemon.stop()
        cluster.kubectl("apply", "--server-side", "-f", "-", input=_APPLICATIONS)
        cluster.kubectl("wait", "--for=condition=Established", "crd/applications.argoproj.io", "--timeout=30s")
        cluster.kubectl("apply", "--server-side", "-f", "-", input=_APPLICATION)
        daemon.start()
        found = wait_until(lambda: _apps(daemon), "an app")
        assert found == {"application/web/shop": "Argo CD has not synced it yet"}
        daemon.stop()
    finally:
        daemon.kill()
        cluster.kubectl("delete", "crd", "applications.argoproj.io", "--ignore-not-found")


def _daemon(cluster: ControlPlane, folder: Path) -> Driftd:
    """driftd as the ServiceAccount of the installation, with its configuration but for folders and ports."""
    token = cluster.kubectl("create", "token", "driftd", "-n", "driftd").stdout.strip()
    kubeconfig = yaml.safe_load(cluster.kubeconfig().read_text())
    kubeconfig["users"][0]["user"] = {"token": token}
    file = folder / "kubeconfig"
    file.write_text(json.dumps(kubeconfig))
    installed = cluster.kubectl("-n", "driftd", "get", "configmap", "driftd-config", "-o", "json").stdout
    config = yaml.safe_load(json.loads(installed)["data"]["driftd.yaml"])
    for name in ("store", "cacheDir", "web"):
        del config[name]
    return Driftd(folder, config, KUBECONFIG=str(file))


def _is_ready(daemon: Driftd) -> bool:
    try:
        with urlopen(f"{daemon.url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


def _apps(daemon: Driftd) -> dict[str, str]:
    done = daemon.command("status", "-o", "json")
    assert done.returncode == 0, done.stderr
    return {app["app"]: app.get("error") for app in json.loads(done.stdout)["apps"]}


def _volume(cluster: ControlPlane) -> None:
    """A fresh volume, for there is no provisioner in this cluster."""
    cluster.kubectl("delete", "pv", "data", "--ignore-not-found", "--timeout=30s")
    cluster.kubectl("apply", "-f", "-", input=_VOLUME)


def _cluster_wide(cluster: ControlPlane) -> set[str]:
    selected = ("-l", "app.kubernetes.io/part-of=driftd", "-o", "jsonpath={.items[*].metadata.name}")
    return set(cluster.kubectl("get", "clusterroles,clusterrolebindings", *selected).stdout.split())


def _strictly(cluster: ControlPlane, manifests: str) -> None:
    """Raises: AssertionError: the API server refuses an object, or does not know one of its fields."""
    cluster.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=manifests)
