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

ROLLING = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings, namespace: rolling}}
data: {{color: {color}, size: small}}
"""
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


def flux_status(applied: str, attempted: str, reason: str = "Progressing", message: str = "") -> dict[str, Any]:
    """The status of a Kustomization while Flux brings in a revision."""
    ready = {"type": "Ready", "status": "Unknown" if reason == "Progressing" else "False", "reason": reason}
    return {
        "lastAppliedRevision": f"main@sha1:{applied}",
        "lastAttemptedRevision": f"main@sha1:{attempted}",
        "conditions": [{**ready, "message": message}],
    }


def test_a_deployment_that_is_under_way_is_no_drift_and_a_hand_in_it_is(
    deployed: Deployed, driftd: Driftd, hooks: WebhookReceiver
) -> None:
    """Flux calls a revision applied minutes after it has written it: until then, live is not what was applied."""
    name = "kustomization/flux-system/rolling"
    deployed.cluster.kubectl("create", "namespace", "rolling")
    deployed.repository.write({"rolling/settings.yaml": ROLLING.format(color="blue")}).commit("Declare it blue")
    before = deployed.repository.head
    repository = git_repository(deployed.url, name="rolling")
    repository["status"] = {"artifact": {"revision": f"main@sha1:{before}"}}
    body = kustomization("./rolling", before, name="rolling", sourceRef={"kind": "GitRepository", "name": "rolling"})
    marks = {"kustomize.toolkit.fluxcd.io/name": "rolling", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}

    def live(color: str) -> dict[str, Any]:
        settings = config_map("settings", "rolling", color=color, size="small")
        return {**settings, "metadata": {**settings["metadata"], "labels": marks}}

    deployed.apply("flux", repository, body)
    deployed.apply("kustomize-controller", live("blue"))
    wait_until(lambda: settled(driftd, name, before, drifted=0), "the Kustomization")

    after = deployed.repository.write({"rolling/settings.yaml": ROLLING.format(color="red")}).commit("Declare it red")
    deployed.apply("kustomize-controller", live("red"))  # it is there before anything says so
    wait_until(lambda: settled(driftd, name, before, drifted=1), "what nobody has said anything of yet")
    repository["status"] = {"artifact": {"revision": f"main@sha1:{after}"}}
    deployed.apply("flux", repository, {**body, "status": flux_status(before, after)})
    wait_until(lambda: settled(driftd, name, before, drifted=0), "what is being deployed")
    assert statuses(driftd)[name]["pending"] == {"deployer": "Flux", "revision": after, "commits": 1, "reason": None}
    assert f"Flux has yet to deploy {after[:8]}, 1 commit ahead" in driftd.command("status").stdout
    assert hooks.bodies == []

    deployed.cluster.kubectl("-n", "rolling", "patch", "cm", "settings", "-p", '{"data": {"size": "huge"}}')
    [opened] = wait_until(lambda: hooks.bodies, "the message")
    [told] = opened["resources"][0]["fields"]
    assert (told["path"], told["by"]["manager"]) == ("data.size", "kubectl-patch")
    deployed.apply("kustomize-controller", live("red"))
    wait_until(lambda: len(hooks.bodies) == 2, "its end")

    deployed.apply("flux", {**body, "status": flux_status(before, after, "HealthCheckFailed", "timeout waiting")})
    wait_until(lambda: settled(driftd, name, after, drifted=0), "the revision that has been written as a whole")
    assert "pending" not in statuses(driftd)[name]
    assert [hook["event"] for hook in hooks.bodies] == ["opened", "resolved"]
    deployed.cluster.kubectl("-n", "flux-system", "delete", "kustomization", "rolling")
    wait_until(lambda: name not in statuses(driftd), "the end of the Kustomization")
