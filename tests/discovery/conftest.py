"""A cluster to which Argo CD, Flux and Helm deploy, and the repository that they deploy from."""

from __future__ import annotations

import json
import os
import shutil
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
    "OCIRepository": ("source.toolkit.fluxcd.io", "v1", "ocirepositories"),
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
    server: HttpsGitServer
    authority: Authority
    home: Path
    ca_file: Path
    assets: Path

    def apply(self, manager: str, *objects: dict[str, Any]) -> None:
        """Server-side apply by a deployer, which takes back what others have set."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        options = ("--server-side", "--force-conflicts", f"--field-manager={manager}")
        self.cluster.kubectl("apply", *options, "-f", "-", input=text)

    def helm(self, *arguments: str) -> None:
        """Runs helm in the namespace eu."""
        command = [self.assets / "helm", "--kubeconfig", self.cluster.kubeconfig(), "--namespace", "eu", *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.repository.folder)

    def check(self, *options: str) -> tuple[int, dict[str, dict[str, Any]], str]:
        """The exit code, the apps of the document by name, and what was said besides."""
        done = self.run("check", "-o", "json", *options)
        apps = {app["app"]: app for app in json.loads(done.stdout)["apps"]} if done.stdout else {}
        return done.returncode, apps, done.stderr

    def run(self, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Runs driftd as its user would, in a folder."""
        return subprocess.run(
            [sys.executable, "-m", "driftd", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder or self.home,
            env={
                "PATH": f"{self.assets}:{os.environ.get('PATH', os.defpath)}",
                "PYTHONPATH": str(ROOT),
                "HOME": str(self.home),
                "KUBECONFIG": str(self.cluster.kubeconfig()),
                "GIT_SSL_CAINFO": str(self.ca_file),
                "SSL_CERT_FILE": str(self.ca_file),
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
        yield Deployed(
            cluster,
            repository,
            server.url("deploy.git"),
            server,
            authority,
            folder / "home",
            authority.certificate,
            assets,
        )


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


@pytest.fixture(scope="module")
def shop(deployed: Deployed) -> str:
    """Argo CD and Flux deploy four folders of the repository, and have applied its first commit."""
    commit = deployed.repository.head
    source = {"repoURL": deployed.url, "targetRevision": "HEAD"}
    kustomize = {"namePrefix": "eu-", "images": ["nginx:1.27"]}
    helm = {"releaseName": "shop", "valuesObject": {"color": "green", "size": 3}}
    following = {**source, "targetRevision": "production", "path": "apps/plain"}
    elsewhere = {"repoURL": "https://git.example.com/other.git", "path": "a"}
    deployed.apply(
        "argocd-application-controller",
        application({**source, "path": "apps/plain"}, commit, name="plain", namespace="shop"),
        application({**source, "path": "apps/built", "kustomize": kustomize}, commit, name="built", namespace="shop"),
        application({**source, "path": "apps/chart", "helm": helm}, commit, name="chart", namespace="shop"),
        application(following, commit, name="production", namespace="shop"),
        application(elsewhere, commit, name="elsewhere", namespace="shop"),
        application({**elsewhere, "chart": "redis"}, "1.0.0", name="redis", namespace="shop"),
    )
    deployed.apply(
        "argocd-controller",
        tracked("plain", config_map("settings", "shop", color="blue", region="${REGION}")),
        tracked("built", deployment("shop")),
        tracked("chart", config_map("shop", "shop", color="green", size="3")),
    )
    marks = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    settings = config_map("settings", "eu", color="blue", region="${REGION}")
    settings["metadata"]["labels"] = marks
    deployed.apply(
        "kustomize-controller",
        git_repository(deployed.url),
        kustomization("./flux", commit, name="shop", targetNamespace="eu"),
        settings,
    )
    return commit


@pytest.fixture
def checkout(deployed: Deployed, shop: str, tmp_path: Path) -> GitRepo:
    """A clone of the repository, as a CI job has one, with the branch `feature` checked out."""
    assert shop
    shutil.copytree(deployed.repository.folder, tmp_path / "checkout")
    clone = GitRepo(tmp_path / "checkout")
    clone.git("remote", "add", "origin", f"{deployed.url.replace('https://', 'https://robot:s3cret@')}")
    clone.git("update-ref", "refs/remotes/origin/main", "main")
    clone.git("checkout", "--quiet", "-B", "feature", "main")
    return clone
