"""`driftd check` without an argument, in clusters to which Argo CD and Flux deploy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.discovery.objects import application, git_repository, kustomization
from tests.support.certificates import Authority
from tests.support.controlplane import ControlPlane
from tests.support.gitserver import GitRepo, HttpsGitServer

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue, region: "${REGION}"}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx:1.25}]}
"""
FILES = {
    "apps/plain/settings.yaml": CONFIG,
    "apps/plain/below/other.yaml": DEPLOYMENT,
    "apps/built/kustomization.yaml": "resources: [deployment.yaml]\n",
    "apps/built/deployment.yaml": DEPLOYMENT,
    "apps/chart/Chart.yaml": "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
    "apps/chart/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n"
    "data: {color: {{ .Values.color }}, size: {{ .Values.size | quote }}}\n",
    "flux/settings.yaml": CONFIG,
}
KINDS = {
    "Application": ("argoproj.io", "v1alpha1", "applications"),
    "GitRepository": ("source.toolkit.fluxcd.io", "v1", "gitrepositories"),
    "Kustomization": ("kustomize.toolkit.fluxcd.io", "v1", "kustomizations"),
}


def definition(kind: str) -> dict[str, Any]:
    """A CRD without a status subresource, so that a test can write the status."""
    group, version, plural = KINDS[kind]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [served],
        },
    }


@dataclass(frozen=True, slots=True)
class Deployed:
    """A cluster, the repository that is deployed to it, and its address for driftd and the deployers."""

    cluster: ControlPlane
    repository: GitRepo
    url: str
    home: Path
    ca_file: Path
    assets: Path

    def apply(self, manager: str, *objects: dict[str, Any]) -> None:
        """Server-side apply by a deployer."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.cluster.kubectl("apply", "--server-side", f"--field-manager={manager}", "-f", "-", input=text)

    def helm(self, *arguments: str) -> None:
        """Runs helm in the namespace eu."""
        command = [self.assets / "helm", "--kubeconfig", self.cluster.kubeconfig(), "--namespace", "eu", *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.repository.folder)

    def check(self, *options: str) -> tuple[int, dict[str, dict[str, Any]], str]:
        """The exit code, the apps of the document by name, and what was said besides."""
        done = self.run("check", "-o", "json", *options)
        apps = {app["app"]: app for app in json.loads(done.stdout)["apps"]} if done.stdout else {}
        return done.returncode, apps, done.stderr

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs driftd as its user would."""
        return subprocess.run(
            [sys.executable, "-m", "driftd", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            env={
                "PATH": f"{self.assets}:{os.environ.get('PATH', os.defpath)}",
                "PYTHONPATH": str(ROOT),
                "HOME": str(self.home),
                "KUBECONFIG": str(self.cluster.kubeconfig()),
                "GIT_SSL_CAINFO": str(self.ca_file),
            },
        )


@pytest.fixture(scope="module")
def deployed(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A cluster with the kinds of Argo CD and Flux, and a repository on an https server."""
    folder = tmp_path_factory.mktemp("discovery")
    repository = GitRepo(folder / "served" / "deploy.git")
    repository.write(FILES).commit("Declare the shop")
    for name in ("authority", "home"):
        (folder / name).mkdir()
    authority = Authority(folder / "authority")
    with HttpsGitServer(folder / "served", authority) as server, ControlPlane(assets) as cluster:
        for name in ("argocd", "flux-system", "shop", "eu"):
            cluster.kubectl("create", "namespace", name)
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [definition(kind) for kind in KINDS]})
        cluster.kubectl("create", "-f", "-", input=text)
        for group, _, plural in KINDS.values():
            cluster.kubectl("wait", "--for=condition=Established", f"crd/{plural}.{group}")
        yield Deployed(cluster, repository, server.url("deploy.git"), folder / "home", authority.certificate, assets)


def tracked(app: str, body: dict[str, Any]) -> dict[str, Any]:
    """An object with Argo CD's mark."""
    metadata = body["metadata"]
    group = body["apiVersion"].rpartition("/")[0]
    mark = f"{app}:{group}/{body['kind']}:{metadata['namespace']}/{metadata['name']}"
    return {**body, "metadata": {**metadata, "annotations": {"argocd.argoproj.io/tracking-id": mark}}}


def config_map(name: str, namespace: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def deployment(namespace: str, image: str = "nginx:1.27", name: str = "eu-web") -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    }


def test_where_nobody_deploys_it_is_said(deployed: Deployed) -> None:
    """With what to do instead; that is no answer, and so no success."""
    code, apps, said = deployed.check()
    assert (code, apps) == (2, {})
    assert "is deployed by Argo CD or Flux or Helm: say what to check: --repo" in said


def test_what_argo_cd_and_flux_deploy_is_found_and_judged(deployed: Deployed) -> None:
    """With nothing configured: an untouched cluster is in sync, and a change by hand is named with its line in Git."""
    commit = deployed.repository.head
    kustomize = {"namePrefix": "eu-", "images": ["nginx:1.27"]}
    helm = {"releaseName": "shop", "valuesObject": {"color": "green"}, "parameters": [{"name": "size", "value": "3"}]}
    source = {"repoURL": deployed.url, "targetRevision": "HEAD"}
    deployed.apply(
        "argocd-application-controller",
        application({**source, "path": "apps/plain"}, commit, name="plain", namespace="shop"),
        application({**source, "path": "apps/built", "kustomize": kustomize}, commit, name="built", namespace="shop"),
        application({**source, "path": "apps/chart", "helm": helm}, commit, name="chart", namespace="shop"),
        application({**source, "chart": "redis", "targetRevision": "1"}, "1.0.0", name="redis", namespace="shop"),
    )
    deployed.apply(
        "argocd-controller",
        tracked("plain", config_map("settings", "shop", color="blue", region="${REGION}")),
        tracked("built", deployment("shop")),
        tracked("chart", config_map("shop", "shop", color="green", size="3")),
    )
    substitute = {"substituteFrom": [{"kind": "ConfigMap", "name": "regions"}]}
    flux = {"targetNamespace": "eu", "commonMetadata": {"labels": {"team": "web"}}, "postBuild": substitute}
    deployed.apply(
        "kustomize-controller",
        git_repository(deployed.url),
        kustomization("./flux", commit, name="shop", **flux),
        config_map("regions", "flux-system", REGION="eu-1"),
    )
    marks = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    settings = config_map("settings", "eu", color="blue", region="eu-1")
    settings["metadata"]["labels"] = {"team": "web", **marks}
    deployed.apply("kustomize-controller", settings)
    deployed.repository.write({"flux/settings.yaml": CONFIG.replace("blue", "red")}).commit("Not applied yet")

    names = [
        "application/argocd/built",
        "application/argocd/chart",
        "application/argocd/plain",
        "application/argocd/redis",
    ]
    code, apps, said = deployed.check()
    assert sorted(apps) == [*names, "kustomization/flux-system/shop"], said
    redis = apps.pop("application/argocd/redis")
    assert code == 2, "what comes from a Helm repository is not known"
    assert "from the Helm repository" in redis["error"]
    assert not [app for app in apps.values() if not app["in_sync"]], json.dumps(apps, indent=1)
    assert {app["revision"] for app in apps.values()} == {commit}
    assert [app["counts"]["in_sync"] for app in apps.values()] == [1, 1, 1, 1]

    deployed.cluster.kubectl("-n", "eu", "patch", "cm", "settings", "-p", '{"data": {"color": "black", "by": "hand"}}')
    code, apps, _ = deployed.check("shop")
    assert (code, list(apps)) == (1, ["kustomization/flux-system/shop"])
    [resource] = apps["kustomization/flux-system/shop"]["resources"]
    fields = {field["path"]: field for field in resource["fields"]}
    assert {path: field["by"]["manager"] for path, field in fields.items()} == {
        "data.color": "kubectl-patch",
        "data.by": "kubectl-patch",
    }
    git = fields["data.color"]["git"]
    assert (git["file"], git["line"], git["commit"]) == ("flux/settings.yaml", 1, commit)

    code, apps, said = deployed.check("--discover", "argo")
    assert (code, sorted(apps)) == (2, names), said
    assert deployed.check("nothing")[0] == 2


def test_what_helm_has_installed_is_found_and_judged(deployed: Deployed) -> None:
    """Helm keeps it in the cluster: what was installed is in sync until a hand changes it, and only then."""
    deployed.helm("install", "shop", "apps/chart", "--set", "color=green,size=3")
    deployed.helm("upgrade", "shop", "apps/chart", "--set", "color=red,size=3")
    code, apps, said = deployed.check("--discover", "helm")
    assert (code, list(apps)) == (0, ["release/eu/shop"]), said
    assert apps["release/eu/shop"]["counts"]["in_sync"] == 1
    deployed.cluster.kubectl("-n", "eu", "annotate", "cm", "shop", "by=hand")
    code, apps, _ = deployed.check("shop", "--discover", "helm")
    assert code == 1
    [resource] = apps["release/eu/shop"]["resources"]
    assert resource["source"]["file"] == "chart/templates/a.yaml"
    [field] = resource["fields"]
    assert (field["path"], field["by"]["manager"]) == ("metadata.annotations.by", "kubectl-annotate")
    done = deployed.run("check", "--discover", "helm", "--explain", "cm/shop")
    assert done.returncode == 1
    assert "metadata.annotations.by" in done.stdout

    seeing_none = deployed.cluster.kubeconfig_for("nobody", ["system:authenticated"])
    code, apps, _ = deployed.check("--discover", "helm", "--kubeconfig", str(seeing_none))
    assert (code, list(apps)) == (2, ["release"])
    assert "what Helm has installed cannot be read" in apps["release"]["error"]
