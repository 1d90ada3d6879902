"""driftd works with the permissions that the manifests grant to its ServiceAccount."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml
from git import Actor, Repo

from tests.deploy.manifests import variant
from tests.support.controlplane import ControlPlane
from tests.support.server_process import free_ports

_CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.example.com
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {size: {type: integer}}}
"""
_OBJECTS = {
    "crd.yaml": _CRD,
    "namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n",
    "config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: web}\ndata: {currency: EUR}\n",
    "secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: web, namespace: web}\nstringData: {key: canary}\n",
    "role.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: web-reader}\n"
    "rules:\n  - {apiGroups: [''], resources: [configmaps], verbs: [get]}\n",
    "widget.yaml": "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: web, namespace: web}\nspec: {size: 3}\n",
}
READ_ALL = ("secrets", "custom-resources")


@dataclass(frozen=True, slots=True)
class Installation:
    """A repository whose manifests are deployed, and a kubeconfig of driftd's ServiceAccount."""

    cluster: ControlPlane
    repository: Path
    kubeconfig: Path

    def check(self, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
        """The exit code of `driftd check`, and its objects by kind."""
        done = self.driftd("check", "--repo", str(self.repository), "-o", "json", *options)
        document = json.loads(done.stdout)
        return done.returncode, {resource["kind"]: resource for resource in document["apps"][0]["resources"]}

    def driftd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        home = str(self.kubeconfig.parent)
        environment = {"PATH": os.environ["PATH"], "HOME": home, "KUBECONFIG": str(self.kubeconfig)}
        command = [sys.executable, "-m", "driftd", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cluster(assets: Path) -> Iterator[ControlPlane]:
    with ControlPlane(assets) as running:
        yield running


@pytest.fixture(scope="module")
def repository(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with objects that need different permissions, all applied."""
    folder = tmp_path_factory.mktemp("repository")
    repo = Repo.init(folder, initial_branch="main")
    for name, text in _OBJECTS.items():
        (folder / name).write_text(text)
        _apply(cluster, text)
    repo.git.add("--all")
    author = Actor("Ada Lovelace", "ada@example.com")
    repo.index.commit("Serve the shop", author=author, committer=author)
    repo.close()
    return folder


@pytest.fixture
def installation(
    request: pytest.FixtureRequest, cluster: ControlPlane, repository: Path, assets: Path, tmp_path: Path
) -> Iterator[Installation]:
    """driftd's manifests with some components, and a token of its account."""
    manifests = variant(assets, tmp_path, request.param)
    cluster.kubectl("apply", "--server-side", "-f", "-", input=manifests)
    token = cluster.kubectl("create", "token", "driftd", "-n", "driftd").stdout.strip()
    kubeconfig = yaml.safe_load(cluster.kubeconfig().read_text())
    kubeconfig["users"][0]["user"] = {"token": token}
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(kubeconfig))
    _wait_until_aggregated(cluster)
    yield Installation(cluster, repository, file)
    cluster.kubectl("delete", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/part-of=driftd")


@pytest.mark.parametrize("installation", [READ_ALL], ids=["read"], indirect=True)
def test_reading_is_enough_for_a_verdict_on_everything(installation: Installation):
    """Including Secrets, cluster-scoped objects and custom resources of a group that no rule names."""
    code, resources = installation.check()
    assert {kind: resource["status"] for kind, resource in resources.items()} == dict.fromkeys(resources, "in_sync"), (
        resources
    )
    assert len(resources) == len(_OBJECTS)
    assert code == 0


@pytest.mark.parametrize("installation", [()], ids=["base"], indirect=True)
def test_dry_runs_need_more_than_the_base_and_report_it(installation: Installation):
    """And are never reported as in sync."""
    code, resources = installation.check("--engine", "server")
    assert code == 2
    assert "forbidden" in resources["ConfigMap"]["error"]


@pytest.mark.parametrize("installation", [(*READ_ALL, "heal-secrets", "heal")], ids=["heal"], indirect=True)
def test_healing_is_enough_for_dry_runs_on_what_it_may_heal(installation: Installation):
    code, resources = installation.check("--engine", "server")
    assert resources["ConfigMap"]["status"] == "in_sync"
    assert resources["Secret"]["status"] == "in_sync"
    assert resources["Widget"]["status"] == "unknown"  # until a labelled ClusterRole names its group
    assert code == 2


@pytest.mark.parametrize("installation", [()], ids=["base"], indirect=True)
def test_the_base_reads_no_secret_and_says_so(installation: Installation):
    code, resources = installation.check()
    assert code == 2
    assert resources["Secret"]["status"] == "unknown"
    assert "forbidden" in resources["Secret"]["error"]
    assert resources["Widget"]["status"] == "unknown"
    for kind in ("ConfigMap", "Namespace", "ClusterRole", "CustomResourceDefinition"):
        assert resources[kind]["status"] == "in_sync"


@pytest.mark.parametrize("installation", [READ_ALL], ids=["read"], indirect=True)
def test_the_daemon_watches_with_rights_to_read(installation: Installation):
    """It becomes ready, reports all objects in sync, and detects an edit of a Secret and of a custom resource."""
    with _daemon(installation, mode="observe") as reports:
        _until(lambda: reports()["in_sync"])
        try:
            installation.cluster.kubectl(
                "-n", "web", "patch", "widget", "web", "--type=merge", "-p", '{"spec":{"size":4}}'
            )
            installation.cluster.kubectl("-n", "web", "patch", "secret", "web", "-p", '{"stringData":{"key":"other"}}')
            _until(lambda: _drifted(reports()) == {"Widget", "Secret"})
        finally:
            for name in ("widget", "secret"):
                installation.cluster.kubectl("replace", "-f", "-", input=_OBJECTS[f"{name}.yaml"])


@pytest.mark.parametrize("installation", [(*READ_ALL, "heal")], ids=["heal"], indirect=True)
def test_the_daemon_heals_with_the_rights_of_the_component(installation: Installation):
    """Changed objects are reverted, deleted ones are recreated, and no further permissions are needed."""
    live = ("-n", "web", "get", "configmap", "web", "-o", "jsonpath={.data.currency}")
    with _daemon(installation, mode="heal") as reports:
        _until(lambda: reports()["in_sync"])
        installation.cluster.kubectl("-n", "web", "patch", "configmap", "web", "-p", '{"data":{"currency":"USD"}}')
        _until(lambda: installation.cluster.kubectl(*live).stdout == "EUR")
        installation.cluster.kubectl("-n", "web", "delete", "configmap", "web")
        _until(lambda: installation.cluster.kubectl(*live, check=False).stdout == "EUR")


@contextmanager
def _daemon(installation: Installation, mode: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """Runs `driftd run` as the ServiceAccount; yields a function that fetches the latest report of the app."""
    folder = installation.kubeconfig.parent
    (port,) = free_ports(1)
    config = folder / "driftd.yaml"
    config.write_text(
        json.dumps(
            {
                "clusters": [{"name": "test", "kubeconfig": str(installation.kubeconfig)}],
                "sources": [{"name": "shop", "url": str(installation.repository)}],
                "apps": [{"name": "web", "source": "shop", "namespace": "web", "mode": mode}],
                "store": {"url": f"sqlite:///{folder / 'driftd.db'}"},
                "cacheDir": str(folder / "git"),
                "web": {"listen": f"127.0.0.1:{port}"},
            }
        )
    )

    def report() -> dict[str, Any]:
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/v1/apps", timeout=5) as answer:
                apps = json.load(answer)["apps"]
        except URLError:
            apps = []
        return apps[0] if apps else {"in_sync": False, "resources": []}

    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "driftd", "run", "--config", str(config)],
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            stdout=log,
            stderr=log,
        )
    try:
        yield report
    except AssertionError as error:
        raise AssertionError(f"{report()}\n{(folder / 'daemon.log').read_text()}") from error
    finally:
        process.terminate()
        process.wait(timeout=20)


def _drifted(report: dict[str, Any]) -> set[str]:
    return {resource["kind"] for resource in report["resources"] if resource["status"] == "drifted"}


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _apply(cluster: ControlPlane, text: str) -> None:
    """Applies with retries, since a custom resource is served a moment after its definition."""
    deadline = time.monotonic() + 20
    while True:
        done = cluster.kubectl("apply", "--server-side", "-f", "-", input=text, check=False)
        if done.returncode == 0:
            return
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.1)


def _wait_until_aggregated(cluster: ControlPlane) -> None:
    deadline = time.monotonic() + 20
    heals = cluster.kubectl("get", "clusterrole", "driftd-heal", check=False).returncode == 0
    verb = "patch" if heals else "list"
    account = "--as=system:serviceaccount:driftd:driftd"
    while True:
        done = cluster.kubectl("auth", "can-i", verb, "configmaps", account, check=False)
        if done.stdout.strip() == "yes":
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)
