"""The daemon beside a deployer that puts back what hands change, on a real API server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.driftd_process import Driftd, WebhookReceiver, app_config, wait_until
from tests.support.gitserver import GitRepo
from tests.support.self_healer import MANAGER, SelfHealer

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: shop/web:1
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {currency: EUR, more: x}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: web}\nstringData: {password: CANARY-in-git}\n"


@dataclass
class World:
    cluster: ControlPlane
    namespace: str
    driftd: Driftd
    hooks: WebhookReceiver

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments).stdout

    def ask(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.driftd.url}{path}") as answer:
            document: dict[str, Any] = json.load(answer)
        return document

    def is_in_sync(self) -> bool:
        try:
            [app] = self.ask("/api/v1/status")["apps"]
        except urllib.error.HTTPError:  # it is starting
            return False
        return app["counts"] is not None and app["counts"]["in_sync"] == 3

    def put_back(self) -> list[tuple[str, str, object, str | None, str | None]]:
        """All that was put back, as it is told: object, field, the value that it had, whose hand, who put it back."""
        lines = [
            line for line in self.ask("/api/v1/history?app=web&limit=500")["history"] if line["what"] == "reverted"
        ]
        told = [(one, (one["put_back_by"] or {}).get("manager")) for line in lines for one in line["objects"]]
        incidents = self.ask("/api/v1/incidents?app=web&limit=100")["incidents"]
        told += [(one, one["ended_by"]) for incident in incidents for one in incident["ended"]]
        return [
            (one["kind"], path, value, hand, by)
            for one, by in told
            for path, value, hand in [
                (field["path"], field["live"], (field["by"] or {}).get("manager")) for field in one["fields"]
            ] or [("", one["status"], None)]
        ]  # fmt: skip

    def tells_of(self, number: int) -> list[tuple[str, str, object, str | None, str | None]]:
        wait_until(lambda: len(self.put_back()) >= number, f"{number} edits that were put back")
        wait_until(
            lambda: not self.ask("/api/v1/incidents?app=web&state=open")["incidents"], "the end of all incidents"
        )
        return self.put_back()


@pytest.fixture(params=[0.0, 1.0], ids=["at once", "within a second"])
def world(
    request: pytest.FixtureRequest, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> Iterator[World]:
    repository = GitRepo(tmp_path / "repository")
    files = {"app/deployment.yaml": DEPLOYMENT, "app/config.yaml": CONFIG, "app/secret.yaml": SECRET}
    repository.write(files).commit("Deploy web")
    manifests = {
        f"/apis/apps/v1/namespaces/{namespace}/deployments/web": DEPLOYMENT,
        f"/api/v1/namespaces/{namespace}/configmaps/web": CONFIG,
        f"/api/v1/namespaces/{namespace}/secrets/web": SECRET,
    }
    with WebhookReceiver() as hooks, SelfHealer(control_plane, manifests, request.param):
        config = app_config(
            repository=repository.url, kubeconfig=control_plane.kubeconfig(), namespace=namespace, webhook=hooks,
            folder=tmp_path / "driftd",
        )  # fmt: skip
        with Driftd(tmp_path / "driftd", config) as driftd:
            made = World(control_plane, namespace, driftd.start(), hooks)
            wait_until(made.is_in_sync, "a first pass")
            yield made


def test_each_edit_that_is_put_back_is_told_exactly_once(world: World) -> None:
    """Whether a pass has seen it or not: with the value that it had, whose hand it was, and who put it back."""
    world.kubectl("patch", "configmap", "web", "-p", '{"data":{"currency":"USD"}}')
    world.kubectl("scale", "deployment", "web", "--replicas=3")
    world.kubectl("patch", "secret", "web", "-p", '{"stringData":{"password":"CANARY-by-hand"}}')
    told = world.tells_of(3)
    wait_until(lambda: "EUR" in world.kubectl("get", "configmap", "web", "-o", "yaml"), "the currency")
    world.kubectl("set", "image", "deployment/web", "web=shop/web:hot")
    told = world.tells_of(4)

    secrets = [one for one in told if one[0] == "Secret"]
    assert [(one[1], one[3], one[4]) for one in secrets] == [("data.password", "kubectl-patch", MANAGER)]
    assert str(secrets[0][2]).startswith("<redacted:")
    assert sorted(one for one in told if one[0] != "Secret") == [
        ("ConfigMap", "data.currency", "USD", "kubectl-patch", MANAGER),
        ("Deployment", "spec.replicas", 3, "kubectl", MANAGER),
        ("Deployment", "spec.template.spec.containers[name=web].image", "shop/web:hot", "kubectl-set", MANAGER),
    ]
    assert "CANARY" not in world.driftd.log.read_text() + json.dumps(world.hooks.bodies) + str(told)


def test_a_deletion_that_is_made_good_is_told_exactly_once(world: World) -> None:
    """As missing, and who created it again; nothing but an audit log tells who deleted it."""
    world.kubectl("delete", "configmap", "web")
    assert world.tells_of(1) == [("ConfigMap", "", "missing", None, MANAGER)]
