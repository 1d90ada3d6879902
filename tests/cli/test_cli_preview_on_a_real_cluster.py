"""`driftd check` before a merge, on a real API server: edits of the real kubectl, by what managedFields say of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.gitserver import GitRepo

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(120)

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1.25
        resources: {limits: {cpu: 500m, memory: 64Mi}}
"""
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {user: shop, password: CANARY-one}\n"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\ndata: {a: one}\n"
CHART = {
    "app/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
    "app/values.yaml": "replicas: 2\nimage: nginx:1.25\n",
    "app/templates/deployment.yaml": DEPLOYMENT.replace("replicas: 2", "replicas: {{ .Values.replicas }}").replace(
        "nginx:1.25", "{{ .Values.image }}"
    ),
}
KUSTOMIZED = {
    "app/kustomization.yaml": "resources: [deployment.yaml]\nimages: [{name: nginx, newTag: '1.25'}]\n",
    "app/deployment.yaml": DEPLOYMENT,
}
IMAGE = "spec.template.spec.containers[name=web].image"
CPU = "spec.template.spec.containers[name=web].resources.limits.cpu"


class Shop:
    """A repository, of which the branch `main` is deployed to a namespace, and the branch `feature` is checked out."""

    def __init__(self, folder: Path, cluster: ControlPlane, namespace: str, assets: Path) -> None:
        self.repository = GitRepo(folder / "shop")
        self.home = folder
        self._cluster = cluster
        self._namespace = namespace
        self._assets = assets

    def kubectl(self, *arguments: str, text: str = "") -> None:
        self._cluster.kubectl("-n", self._namespace, *arguments, input=text)

    def commit(self, files: dict[str, str]) -> None:
        self.repository.write(files).commit("Change the shop")

    def branch(self) -> None:
        self.repository.switch("feature", new=True)

    def check(self, *options: str) -> subprocess.CompletedProcess[str]:
        kubeconfig = str(self._cluster.kubeconfig())
        arguments = ["--repo", self.repository.url, "--path", "app", "-n", self._namespace, "--kubeconfig", kubeconfig]
        return subprocess.run(
            [sys.executable, "-m", "driftd", "check", *arguments, "--base", "main", *options],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            env={
                "PATH": f"{self._assets}:{os.environ.get('PATH', os.defpath)}",
                "PYTHONPATH": str(ROOT),
                "HOME": str(self.home),
            },
        )

    def preview(self, *options: str) -> dict[str, Any]:
        done = self.check("-o", "json", *options)
        assert done.stdout, done.stderr
        [app] = json.loads(done.stdout)["apps"]
        told: dict[str, Any] = app["preview"]
        return told


@pytest.fixture
def shop(tmp_path: Path, control_plane: ControlPlane, namespace: str, assets: Path) -> Shop:
    return Shop(tmp_path, control_plane, namespace, assets)


def by_path(told: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Effect and manager of each field."""
    return {
        field["path"]: (field["effect"], field["by"] and field["by"]["manager"])
        for each in told["objects"]
        for field in each["fields"]
    }


@pytest.mark.parametrize("flags", [[], ["--server-side", "--field-manager=pipeline"]], ids=["client", "server"])
def test_edits_of_kubectl_are_told_by_what_the_merge_does_to_them(shop: Shop, flags: list[str]) -> None:
    """However it was deployed: scaled and left, edited in the way of the merge, edited to what it brings."""
    files = {"app/web.yaml": DEPLOYMENT, "app/login.yaml": SECRET, "app/old.yaml": CONFIG_MAP}
    shop.commit(files)
    for text in files.values():
        shop.kubectl("apply", *flags, "-f", "-", text=text)
    shop.branch()
    shop.kubectl("scale", "deployment", "web", "--replicas=5")
    edit = _container(image="nginx:1.26-debug")
    shop.kubectl("patch", "deployment", "web", "--field-manager=kubectl-edit", "-p", edit)
    shop.kubectl("patch", "deployment", "web", "-p", _container(resources={"limits": {"cpu": "1"}}))
    shop.kubectl("patch", "secret", "login", "-p", '{"stringData": {"password": "CANARY-by-hand"}}')
    shop.commit(
        {
            "app/web.yaml": DEPLOYMENT.replace("nginx:1.25", "nginx:1.27")
            .replace("500m", "1000m")
            .replace("64Mi", "96Mi"),
            "app/login.yaml": SECRET.replace("user: shop", "user: till"),
            "app/new.yaml": CONFIG_MAP.replace("old", "new"),
        }
    )
    shop.repository.remove("app/old.yaml").commit("Take it out")
    told = shop.preview()
    assert by_path(told) == {
        "spec.replicas": ("undone", "kubectl"),
        IMAGE: ("conflict", "kubectl-edit"),
        CPU: ("adopted", "kubectl-patch"),
        CPU.replace("cpu", "memory"): ("changed", "pipeline" if flags else "kubectl-client-side-apply"),
        "data.user": ("changed", "pipeline" if flags else "kubectl-client-side-apply"),
        "data.password": ("undone", "kubectl-patch"),
    }
    assert {each["name"]: each["effect"] for each in told["objects"]} == {
        "web": None, "login": None, "new": "created", "old": "removed",
    }  # fmt: skip
    for output in ("table", "markdown", "json"):
        done = shop.check("-o", output)
        assert done.returncode == 1, done.stderr
        assert "CANARY" not in done.stdout + done.stderr
        assert "<redacted:" in done.stdout
    assert "kubectl (Update, scale)" in shop.check().stdout
    shop.kubectl("apply", *flags, "--force-conflicts" if flags else "--overwrite", "-f", "-", text=_all(shop))
    after = shop.preview()
    assert set(by_path(after)) <= {CPU}, "what was told is what the deploy has done; who set CPU to it stays told"
    of_objects = {each["name"]: each["effect"] for each in after["objects"] if each["effect"]}
    assert of_objects == {"new": "adopted", "old": "removed"}


def test_with_the_server_engine_the_same_is_told(shop: Shop) -> None:
    """By dry-runs of both sides."""
    shop.commit({"app/web.yaml": DEPLOYMENT})
    shop.kubectl("apply", "--server-side", "--field-manager=pipeline", "-f", "-", text=DEPLOYMENT)
    shop.branch()
    shop.kubectl("scale", "deployment", "web", "--replicas=5")
    shop.commit({"app/web.yaml": DEPLOYMENT.replace("nginx:1.25", "nginx:1.27")})
    told = by_path(shop.preview("--engine", "server"))
    assert told == {"spec.replicas": ("undone", "kubectl"), IMAGE: ("changed", "pipeline")}


@pytest.mark.parametrize(
    ("files", "change"),
    [
        (KUSTOMIZED, {"app/kustomization.yaml": KUSTOMIZED["app/kustomization.yaml"].replace("1.25", "1.27")}),
        (CHART, {"app/values.yaml": CHART["app/values.yaml"].replace("1.25", "1.27")}),
    ],
    ids=["kustomize", "helm"],
)
def test_what_kustomize_and_helm_make_is_previewed(shop: Shop, files: dict[str, str], change: dict[str, str]) -> None:
    """The objects are compared, not the files: a value of a chart changes what it is put into."""
    shop.commit(files)
    shop.kubectl("apply", "--server-side", "--field-manager=pipeline", "-f", "-", text=DEPLOYMENT)
    shop.branch()
    shop.kubectl("scale", "deployment", "web", "--replicas=5")
    shop.commit(change)
    told = shop.preview()
    assert by_path(told) == {"spec.replicas": ("undone", "kubectl"), IMAGE: ("changed", "pipeline")}
    [web] = told["objects"]
    assert {field["path"]: (field["live"], field["after"]) for field in web["fields"]}[IMAGE] == (
        "nginx:1.25",
        "nginx:1.27",
    )


def test_what_cannot_be_read_is_unknown_and_no_success(shop: Shop, control_plane: ControlPlane) -> None:
    """Without the right to read it, nothing is told of it but that."""
    shop.commit({"app/old.yaml": CONFIG_MAP})
    shop.branch()
    shop.commit({"app/old.yaml": CONFIG_MAP.replace("one", "two")})
    nobody = str(control_plane.kubeconfig_for("nobody", ["system:authenticated"]))
    done = shop.check("--kubeconfig", nobody, "-o", "json")
    assert done.returncode == 2
    [app] = json.loads(done.stdout)["apps"]
    [told] = app["preview"]["objects"]
    assert (told["effect"], told["fields"]) == (None, [])
    assert "forbidden" in told["error"]
    assert "not all could be told, of 1 app" in shop.check("--kubeconfig", nobody, "-o", "markdown").stdout


def _container(**fields: Any) -> str:
    """A patch of the container `web`."""
    return json.dumps({"spec": {"template": {"spec": {"containers": [{"name": "web", **fields}]}}}})


def _all(shop: Shop) -> str:
    return "---\n".join(file.read_text() for file in sorted((shop.repository.folder / "app").glob("*.yaml")))
