"""Charts, artifacts, and values from elsewhere, in a cluster to which Argo CD and Flux deploy them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.artifacts.conftest import pack, run
from tests.artifacts.test_artifacts_fetch import packed
from tests.discovery.conftest import CONFIG, Deployed, config_map, tracked
from tests.discovery.objects import application, kustomization
from tests.discovery.test_discovery_logins import secret
from tests.support.canaries import revealed
from tests.support.driftd_process import Driftd, wait_until
from tests.support.registry import FileServer, Registry, running_file_server, running_registry

pytestmark = pytest.mark.timeout(180)

CANARY = "c4n4ry-5ecret-0123456789"
SHOP = "shop"


@pytest.fixture(scope="module")
def files(deployed: Deployed, assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """A Helm repository with the chart `web` in two versions."""
    folder = tmp_path_factory.mktemp("charts")
    (folder / "served").mkdir()
    for version in ("1.0.0", "1.1.0"):
        pack(assets / "helm", folder, version, folder / "served")
    run(assets / "helm", "repo", "index", str(folder / "served"))
    with running_file_server(folder / "served", deployed.authority) as server:
        yield server


@pytest.fixture(scope="module")
def registry(deployed: Deployed, files: FileServer, assets: Path) -> Iterator[Registry]:
    """A registry with the chart, which asks for a login."""
    with running_registry(deployed.authority, f"ann:{CANARY}") as server:
        run(
            assets / "helm", "push", str(files.folder / "web-1.0.0.tgz"), f"oci://{server.host}/charts",
            "--ca-file", str(deployed.ca_file), "--username", "ann", "--password", CANARY,
        )  # fmt: skip
        yield server


@pytest.fixture(autouse=True)
def emptied(deployed: Deployed) -> Iterator[None]:
    yield
    for namespace, kinds in (
        ("argocd", "applications"),
        ("flux-system", "kustomizations,ocirepositories"),
        (SHOP, "cm"),
    ):
        deployed.cluster.kubectl("-n", namespace, "delete", kinds, "--all")


def live(deployed: Deployed, app: str, name: str, **data: str) -> None:
    deployed.apply("argocd-controller", tracked(app, config_map(name, SHOP, **data)))


def judged(deployed: Deployed, *options: str) -> dict[str, dict[str, Any]]:
    """The apps that are all in sync."""
    code, apps, said = deployed.check(*options)
    assert code == 0, (said, json.dumps(apps, indent=1))
    return apps


def test_a_chart_of_a_helm_repository_is_judged_at_the_version_that_was_applied(
    deployed: Deployed, files: FileServer
) -> None:
    """Not at that which is asked for; the revision says which chart it is, and a hand is found."""
    source = {"repoURL": files.url, "chart": "web", "targetRevision": "1.*", "helm": {"values": "size: 1"}}
    deployed.apply("argocd", application(source, "1.0.0", name="web", namespace=SHOP))
    live(deployed, "web", "web", color="1.0.0")
    app = judged(deployed)["application/argocd/web"]
    assert app["counts"]["in_sync"] == 1
    done = deployed.run("check")
    assert "web-1.0.0" in done.stdout, done.stdout

    deployed.cluster.kubectl("-n", SHOP, "patch", "cm", "web", "-p", '{"data": {"color": "red"}}')
    code, apps, _ = deployed.check("web")
    assert code == 1
    [resource] = apps["application/argocd/web"]["resources"]
    assert resource["source"]["file"] == "web/templates/settings.yaml"
    [field] = resource["fields"]
    assert (field["desired"], field["live"], field["git"]) == ("1.0.0", "red", None)
    assert field["by"]["manager"] == "kubectl-patch"

    deployed.apply("argocd", application(source, "7.0.0", name="web", namespace=SHOP))
    code, apps, _ = deployed.check("web")
    assert code == 2
    assert "does not have version 7.0.0" in apps["application/argocd/web"]["error"]


def test_values_from_another_repository_are_those_of_its_applied_commit(deployed: Deployed, files: FileServer) -> None:
    """The most common form: a public chart, and values of one's own. What was committed since counts no more."""
    deployed.repository.write({"env/prod.yaml": "color: green\n", "env/more.yaml": "size: 1\n"}).commit("Values")
    applied = deployed.repository.head
    deployed.repository.write({"env/prod.yaml": "color: yellow\n"}).commit("Not applied yet")
    helm = {
        "valueFiles": ["$values/env/prod.yaml", "$values/env/none.yaml"],
        "ignoreMissingValueFiles": True,
        "fileParameters": [{"name": "text", "path": "$values/env/more.yaml"}],
    }
    chart = {"repoURL": files.url, "chart": "web", "targetRevision": "1.0.0", "helm": helm}
    values = {"repoURL": deployed.url, "ref": "values", "targetRevision": "HEAD"}
    body = application(chart, "1.0.0", name="web", namespace=SHOP)
    body["status"]["history"].append({"id": 2, "sources": [chart, values], "revisions": ["1.0.0", applied]})
    deployed.apply("argocd", body)
    live(deployed, "web", "web", color="green")
    assert judged(deployed)["application/argocd/web"]["counts"]["in_sync"] == 1
    done = deployed.run("check")
    assert f"web-1.0.0 with values@{applied[:8]}: " in done.stdout, done.stdout

    helm["ignoreMissingValueFiles"] = False
    deployed.apply("argocd", body)
    code, apps, _ = deployed.check("web")
    assert code == 2
    assert "there is no values file $values/env/none.yaml" in apps["application/argocd/web"]["error"]

    chart = {"repoURL": deployed.url, "path": "apps/chart", "helm": {"valueFiles": ["$own/env/prod.yaml"]}}
    own = {"repoURL": deployed.url, "ref": "own"}
    body["status"]["history"].append(
        {"id": 3, "sources": [chart, own], "revisions": [deployed.repository.head, applied]}
    )
    deployed.apply("argocd", body)
    live(deployed, "web", "web", color="green", size="")
    assert judged(deployed)["application/argocd/web"]["counts"]["in_sync"] == 1


def test_a_chart_of_a_registry_is_fetched_with_the_login_of_argo_cd(deployed: Deployed, registry: Registry) -> None:
    """Only with leave; and the login is not shown."""
    source = {"repoURL": f"{registry.host}/charts", "chart": "web", "targetRevision": "1.0.0"}
    deployed.apply("argocd", application(source, "1.0.0", name="web", namespace=SHOP))
    live(deployed, "web", "web", color="1.0.0")
    data = {"url": registry.host, "type": "helm", "enableOCI": "true", "username": "ann", "password": CANARY}
    deployed.apply("kubectl", secret("repo-creds", "registry", **data))
    code, apps, _ = deployed.check()
    assert code == 2
    assert "--use-deployer-credentials" in apps["application/argocd/web"]["error"]
    assert judged(deployed, "--use-deployer-credentials")["application/argocd/web"]["counts"]["in_sync"] == 1
    done = deployed.run("check", "--debug", "--use-deployer-credentials")
    assert not revealed(done.stdout + done.stderr, [CANARY])


def oci_repository(registry: Registry, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "metadata": {"name": "shop", "namespace": "flux-system"},
        "spec": {"url": f"oci://{registry.host}/{name}", "interval": "1m", "ref": {"tag": "latest"}, **spec},
    }


def test_an_artifact_of_flux_is_judged_at_the_digest_that_was_applied(deployed: Deployed, registry: Registry) -> None:
    """With the login that Flux has in a Secret of Docker's form; the tag has moved on since."""
    text = CONFIG.replace("${REGION}", "eu")
    digest = registry.push("shop/manifests", "latest", packed({"apps/web/settings.yaml": text}))
    registry.push("shop/manifests", "latest", packed({"apps/web/settings.yaml": text.replace("blue", "red")}))
    login = json.dumps({"auths": {registry.host: {"username": "ann", "password": CANARY}}})
    reference = {"sourceRef": {"kind": "OCIRepository", "name": "shop"}}
    body = kustomization("./apps/web", None, name="shop", targetNamespace=SHOP, **reference)
    body["status"] = {"lastAppliedRevision": f"latest@{digest}"}
    deployed.apply(
        "flux",
        oci_repository(registry, "shop/manifests", secretRef={"name": "docker"}),
        secret("", "docker", "flux-system", **{".dockerconfigjson": login}),
        body,
    )
    marks = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    settings = config_map("settings", SHOP, color="blue", region="eu")
    settings["metadata"]["labels"] = marks
    deployed.apply("kustomize-controller", settings)
    code, apps, _ = deployed.check()
    assert code == 2
    assert "--use-deployer-credentials" in apps["kustomization/flux-system/shop"]["error"]
    app = judged(deployed, "--use-deployer-credentials")["kustomization/flux-system/shop"]
    assert app["counts"]["in_sync"] == 1


def test_the_daemon_follows_charts_and_their_values(deployed: Deployed, files: FileServer, tmp_path: Path) -> None:
    """From one version to the next, without a restart."""
    source = {"repoURL": files.url, "chart": "web", "targetRevision": "1.*"}
    deployed.apply("argocd", application(source, "1.0.0", name="web", namespace=SHOP))
    live(deployed, "web", "web", color="1.0.0")
    kubeconfig, ca = str(deployed.cluster.kubeconfig()), str(deployed.ca_file)
    path = f"{deployed.assets}:{os.environ['PATH']}"
    daemon = Driftd(
        tmp_path, {"discover": ["argo"]}, KUBECONFIG=kubeconfig, GIT_SSL_CAINFO=ca, SSL_CERT_FILE=ca, PATH=path
    )

    def in_sync(drifted: int) -> str | None:
        done = daemon.command("status", "-o", "json")
        apps = {app["app"]: app for app in json.loads(done.stdout)["apps"]} if done.stdout else {}
        app = apps.get("application/argocd/web")
        counts = (app or {}).get("counts") or {}
        if app is None or (counts.get("drifted", 0), counts.get("in_sync", 0)) != (drifted, 1 - drifted):
            return None
        revision: str = app["revision"]
        return revision

    try:
        daemon.start()
        first = wait_until(lambda: in_sync(0), "the chart")
        deployed.apply("argocd", application(source, "1.1.0", name="web", namespace=SHOP))
        wait_until(lambda: in_sync(1), "the next version, which is not live yet")
        live(deployed, "web", "web", color="1.1.0")
        assert wait_until(lambda: in_sync(0), "the next version") != first
        daemon.stop()
    finally:
        daemon.kill()
