"""The clusters of the tutorials: what Argo CD, Flux or a pipeline has left in one, and the repository it came from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.discovery.conftest import definition
from tests.discovery.objects import application, git_repository, kustomization
from tests.support.controlplane import ControlPlane
from tests.support.gitserver import GitRepo, HttpsGitServer
from tests.support.server_process import HOST, free_ports

AUTHOR = "Ada Lovelace"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: nginx:1.27
          env:
            - {name: LOG_LEVEL, value: info}
"""
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: shop
data:
  currency: EUR
"""
CHART = {
    "charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.4.0\n",
    "charts/web/values.yaml": "replicas: 2\n",
    "charts/web/templates/deployment.yaml": DEPLOYMENT.replace("  namespace: shop\n", "").replace(
        "replicas: 2", "replicas: {{ .Values.replicas }}"
    ),
}
FILES = {"apps/shop/deployment.yaml": DEPLOYMENT, "apps/shop/settings.yaml": CONFIG, **CHART}


@dataclass(frozen=True, slots=True)
class World:
    """A cluster, the repository that is deployed to it, its address, and the folder that a reader types in."""

    cluster: ControlPlane
    repository: GitRepo
    server: HttpsGitServer
    home: Path
    assets: Path

    @property
    def url(self) -> str:
        return self.server.url("deploy.git")

    @property
    def environment(self) -> Mapping[str, str]:
        """That of the reader's shell."""
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(self.assets), os.environ["PATH"]]),
            "HOME": str(self.home),
            "GIT_SSL_CAINFO": str(self.server.ca_file),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
        }

    def apply(self, manager: str, *objects: Mapping[str, Any]) -> None:
        """Server-side apply by a deployer."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.cluster.kubectl("apply", "--server-side", f"--field-manager={manager}", "-f", "-", input=text)

    def configure(self, deployer: str) -> None:
        """Writes the configuration of the page's daemon, without its Slack and with a port that nobody has."""
        folder = self.home / "watch"
        folder.mkdir()
        (port,) = free_ports(1)
        (folder / "driftd.yaml").write_text(f'discover: [{deployer}]\nweb: {{listen: "{HOST}:{port}"}}\n')

    def define(self, *kinds: str) -> None:
        """Creates CRDs, and waits until they are served."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [definition(kind) for kind in kinds]})
        self.cluster.kubectl("create", "-f", "-", input=text)
        self.cluster.kubectl("wait", "--for=condition=Established", "--all", "crd")


def deployed_by_argo_cd(world: World) -> None:
    """Two Applications, one of plain files and one that a plugin renders, as Argo CD leaves them after a sync."""
    world.define("Application")
    world.configure("argo")
    world.cluster.kubectl("create", "namespace", "argocd")
    source = {"repoURL": world.url, "path": "apps/shop", "targetRevision": "HEAD"}
    billing = {**source, "path": "apps/billing", "plugin": {"name": "argocd-vault-plugin"}}
    world.apply(
        "argocd-application-controller",
        application(source, world.repository.head, name="shop", namespace="shop"),
        application(billing, world.repository.head, name="billing", namespace="shop"),
    )
    world.apply("argocd-controller", *[_tracked("shop", body) for body in _declared()])


def deployed_by_flux(world: World) -> None:
    """A Kustomization and its GitRepository, as Flux leaves them after a reconciliation."""
    world.define("GitRepository", "Kustomization")
    world.configure("flux")
    world.cluster.kubectl("create", "namespace", "flux-system")
    world.apply(
        "kustomize-controller",
        git_repository(world.url),
        kustomization("./apps/shop", world.repository.head, name="shop"),
    )
    marks = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    for body in _declared():
        body["metadata"]["labels"] = marks
        world.apply("kustomize-controller", body)


def deployed_by_a_pipeline(world: World) -> None:
    """A checkout in the reader's folder, from which nothing has been deployed yet: the page does it."""
    world.cluster.kubectl("create", "namespace", "charts")
    command = ["git", "clone", "--quiet", world.url, str(world.home / "deploy")]
    subprocess.run(command, env=dict(world.environment), check=True)


WORLDS: Mapping[str, Callable[[World], None]] = {
    "first-hour-argo-cd.md": deployed_by_argo_cd,
    "first-hour-flux.md": deployed_by_flux,
    "first-hour-pipelines.md": deployed_by_a_pipeline,
}


def make_world(page: str, folder: Path, cluster: ControlPlane, server: HttpsGitServer, assets: Path) -> World:
    """The world of a tutorial."""
    repository = GitRepo(server.folder / "deploy.git")
    repository.write(FILES).commit("Serve the shop", author=AUTHOR)
    home = folder / "home"
    (home / ".kube").mkdir(parents=True)
    (home / ".kube" / "config").write_text(cluster.kubeconfig().read_text().replace('"test"', '"prod"'))
    cluster.kubectl("create", "namespace", "shop")
    world = World(cluster, repository, server, home, assets)
    WORLDS[page](world)
    return world


def _declared() -> list[dict[str, Any]]:
    return [yaml.safe_load(text) for text in (DEPLOYMENT, CONFIG)]


def _tracked(app: str, body: dict[str, Any]) -> dict[str, Any]:
    """An object with Argo CD's mark."""
    metadata, group = body["metadata"], body["apiVersion"].rpartition("/")[0]
    mark = f"{app}:{group}/{body['kind']}:{metadata['namespace']}/{metadata['name']}"
    return {**body, "metadata": {**metadata, "annotations": {"argocd.argoproj.io/tracking-id": mark}}}
