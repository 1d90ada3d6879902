"""`driftd run --discover`: the daemon follows what Argo CD and Flux deploy to a real cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.discovery.conftest import Deployed, config_map, tracked
from tests.discovery.objects import application, git_repository, kustomization
from tests.support.driftd_process import Driftd, WebhookReceiver, wait_until

pytestmark = pytest.mark.timeout(180)

APP, OTHER = "application/argocd/followed", "kustomization/flux-system/followed"


@pytest.fixture
def hooks() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def driftd(deployed: Deployed, tmp_path: Path, hooks: WebhookReceiver) -> Iterator[Driftd]:
    webhook = {"name": "hooks", "url": hooks.url, "secretFile": str(tmp_path / "webhook-secret")}
    config = {"discover": ["argo", "flux"], "notify": {"webhooks": [webhook]}}
    kubeconfig, ca = str(deployed.cluster.kubeconfig()), str(deployed.ca_file)
    daemon = Driftd(tmp_path, config, KUBECONFIG=kubeconfig, GIT_SSL_CAINFO=ca, SSL_CERT_FILE=ca)
    try:
        yield daemon.start()
        daemon.stop()
    finally:
        daemon.kill()


def statuses(driftd: Driftd) -> dict[str, Any]:
    done = driftd.command("status", "-o", "json")
    return {app["app"]: app for app in json.loads(done.stdout)["apps"]} if done.stdout else {}


def settled(driftd: Driftd, name: str, revision: str, *, drifted: int) -> bool:
    app = statuses(driftd).get(name)
    return app is not None and (app["revision"], (app["counts"] or {}).get("drifted", 0)) == (revision, drifted)


def test_apps_come_and_go_with_their_deployers_and_are_judged_at_what_these_applied(
    deployed: Deployed, driftd: Driftd, hooks: WebhookReceiver
) -> None:
    """Without a word of them in the configuration, and without a restart."""
    before = deployed.repository.head
    source = {"repoURL": deployed.url, "targetRevision": "HEAD", "path": "apps/plain"}
    deployed.apply(
        "argocd-application-controller",
        application(source, before, name="followed", namespace="eu"),
        application({**source, "plugin": {"name": "x"}}, before, name="plugged", namespace="eu"),
    )
    live = tracked("followed", config_map("settings", "eu", color="blue", region="${REGION}"))
    deployed.apply("argocd-controller", live)
    wait_until(lambda: settled(driftd, APP, before, drifted=0), "the Application")
    wait_until(lambda: "application/argocd/plugged" in statuses(driftd), "what cannot be judged")
    assert "plugin renders it" in statuses(driftd)["application/argocd/plugged"]["error"]

    deployed.cluster.kubectl("-n", "eu", "patch", "cm", "settings", "-p", '{"data": {"color": "black"}}')
    [opened] = wait_until(lambda: hooks.bodies, "the message")
    assert (opened["app"], opened["event"], opened["resources"][0]["name"]) == (APP, "opened", "settings")
    assert opened["resources"][0]["fields"][0]["by"]["manager"] == "kubectl-patch"

    text = (deployed.repository.folder / "apps/plain/settings.yaml").read_text().replace("blue", "black")
    after = deployed.repository.write({"apps/plain/settings.yaml": text}).commit("Declare what was done by hand")
    deployed.apply("argocd-application-controller", application(source, after, name="followed", namespace="eu"))
    wait_until(lambda: settled(driftd, APP, after, drifted=0), "the commit that was deployed")
    assert [body["event"] for body in hooks.bodies] == ["opened", "resolved"]

    deployed.apply(
        "flux",
        git_repository(deployed.url),
        kustomization("./apps/plain", after, name="followed", targetNamespace="eu"),
    )
    wait_until(lambda: settled(driftd, OTHER, after, drifted=0), "the Kustomization")
    for name in ("followed", "plugged"):
        deployed.cluster.kubectl("-n", "argocd", "delete", "application", name)
    wait_until(lambda: set(statuses(driftd)) == {OTHER}, "the end of the Applications")
    assert driftd.command("history", OTHER).returncode == 0
    deployed.cluster.kubectl("-n", "flux-system", "delete", "kustomization", "followed")
    wait_until(lambda: not statuses(driftd), "the end of the Kustomization")
