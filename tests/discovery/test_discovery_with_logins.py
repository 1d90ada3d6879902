"""Repositories that ask for a login, in a cluster where Argo CD and Flux have one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.discovery.conftest import Deployed, config_map, tracked
from tests.discovery.objects import application, git_repository, kustomization
from tests.discovery.test_discovery_logins import secret
from tests.support.canaries import revealed

pytestmark = pytest.mark.timeout(180)

CANARY, OTHER = "c4n4ry-5ecret-0123456789", "0ther-5ecret-0123456789"
LEAVE = "--use-deployer-credentials"
ARGO, FLUX = "application/argocd/private", "kustomization/flux-system/private"


@pytest.fixture
def private(deployed: Deployed) -> Iterator[Deployed]:
    """A server that asks for a login, which Argo CD has as a template and Flux for a source."""
    deployed.server.logins = {"ann": CANARY}
    deployed.server.requests.clear()
    prefix = deployed.url.removesuffix("deploy.git")
    deployed.apply("kubectl", secret("repo-creds", "template", url=prefix, username="ann", password=CANARY))
    deployed.apply("kubectl", secret("", "login", "flux-system", username="ann", password=CANARY))
    source = {"repoURL": deployed.url, "targetRevision": "HEAD", "path": "apps/plain"}
    commit = deployed.repository.head
    deployed.apply("argocd", application(source, commit, name="private", namespace="shop"))
    live = tracked("private", config_map("settings", "shop", color="blue", region="${REGION}"))
    deployed.apply("argocd-controller", live)
    deployed.apply(
        "flux",
        git_repository(deployed.url, name="private", secretRef={"name": "login"}),
        kustomization("./apps/plain", commit, name="private", targetNamespace="shop", sourceRef={
            "kind": "GitRepository", "name": "private",
        }),
    )  # fmt: skip
    yield deployed
    deployed.server.logins = {}
    deployed.cluster.kubectl("-n", "argocd", "delete", "application", "private", "other", "--ignore-not-found")
    deployed.cluster.kubectl("-n", "flux-system", "delete", "kustomization", "private")


def test_a_login_is_used_only_with_leave_and_shows_nowhere(private: Deployed) -> None:
    """Without leave the reason names the switch, and nothing is read of any Secret."""
    code, apps, _ = private.check("private")
    assert code == 2
    for name in (ARGO, FLUX):
        assert "driftd takes no login from the deployer unless it is told to: " + LEAVE in apps[name]["error"]
    assert {request.authorization for request in private.server.requests} == {None}

    done = private.run("check", "-o", "json", "--debug", LEAVE, "private")
    apps = {app["app"]: app for app in json.loads(done.stdout)["apps"]}
    assert not [app for app in apps.values() if "error" in app], done.stderr
    assert [app["counts"]["in_sync"] for app in apps.values()] == [1, 1]
    assert {request.login for request in private.server.requests} == {None, ("ann", CANARY)}
    assert not revealed(done.stdout + done.stderr, [CANARY])
    assert not [file for file in private.home.rglob("*") if file.is_file() and revealed(file.read_bytes(), [CANARY])]

    private.server.logins = {"ann": OTHER}
    private.repository.write({"apps/plain/more.yaml": "# new\n"}).commit("Not mirrored")
    source = {"repoURL": private.url, "targetRevision": "HEAD", "path": "apps/plain"}
    private.apply("argocd", application(source, private.repository.head, name="private", namespace="shop"))
    done = private.run("check", "--debug", LEAVE, ARGO)
    assert done.returncode == 2
    assert "(Argo CD has the same login for it)" in done.stdout
    assert not revealed(done.stdout + done.stderr, [CANARY])


def test_a_login_is_sent_to_no_server_of_another_name(private: Deployed) -> None:
    """The template's address is the beginning of another one's; nor is a server followed that sends on."""
    at = private.url.replace("https://localhost", "https://127.0.0.1")
    lookalike = private.url.replace("https://localhost:", "https://localhost@127.0.0.1:")
    for url in (at, lookalike):
        source = {"repoURL": url, "targetRevision": "HEAD", "path": "apps/plain"}
        private.apply("argocd", application(source, private.repository.head, name="other", namespace="shop"))
        private.server.requests.clear()
        code, apps, _ = private.check(LEAVE, "other")
        assert (code, list(apps)) == (2, ["application/argocd/other"])
        assert {request.authorization for request in private.server.requests} <= {None}


def test_secrets_that_may_not_be_read_are_said(private: Deployed) -> None:
    """With leave, and without the right."""
    private.cluster.kubectl("create", "clusterrole", "deployers", "--verb=get,list",
        "--resource=applications.argoproj.io,kustomizations.kustomize.toolkit.fluxcd.io,"
        "gitrepositories.source.toolkit.fluxcd.io")  # fmt: skip
    private.cluster.kubectl("create", "clusterrolebinding", "deployers", "--clusterrole=deployers", "--group=readers")
    reader = private.cluster.kubeconfig_for("reader", ["system:authenticated", "readers"])
    code, apps, _ = private.check(LEAVE, "private", "--kubeconfig", str(reader))
    assert code == 2
    assert "the Secrets in which Argo CD has its logins cannot be read" in apps[ARGO]["error"]
    assert "Secret flux-system/login, which Flux has a login in, cannot be read" in apps[FLUX]["error"]
