"""`driftd check` before a merge into a repository from which Argo CD and Flux deploy, on a real API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.discovery.conftest import CONFIG, FILES, Deployed
from tests.support.gitserver import GitRepo

pytestmark = pytest.mark.timeout(180)

PLAIN, BUILT, CHART = (f"application/argocd/{name}" for name in ("plain", "built", "chart"))
SHOP = "kustomization/flux-system/shop"


def previews(apps: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The effect on each field, by app."""
    return {
        name: {field["path"]: field["effect"] for each in app["preview"]["objects"] for field in each["fields"]}
        for name, app in apps.items()
    }


def test_a_pull_request_is_previewed_for_every_app_that_is_deployed_from_its_repository(
    deployed: Deployed, checkout: GitRepo, shop: str
) -> None:
    """With the deployers' parameters, from the checkout alone; apps of other repositories and branches are left out."""
    kubectl = deployed.cluster.kubectl
    kubectl("-n", "shop", "scale", "deployment", "eu-web", "--replicas=5")
    kubectl("-n", "shop", "patch", "cm", "settings", "-p", '{"data": {"color": "black"}}')
    kubectl("-n", "eu", "patch", "cm", "settings", "-p", '{"data": {"color": "red"}}')
    changed = {
        "apps/plain/settings.yaml": CONFIG.replace("blue", "white"),
        "apps/built/deployment.yaml": FILES["apps/built/deployment.yaml"].replace(
            "name: web}", "name: web, labels: {a: b}}", 1
        ),
        "flux/settings.yaml": CONFIG.replace("blue", "red"),
    }
    head = checkout.write(changed).commit("Change three apps")
    code, apps, said = deployed.check("--repo", str(checkout.folder), "--discover", "argo,flux", "--base", "main")
    assert code == 1, said
    assert sorted(apps) == [BUILT, CHART, PLAIN, SHOP]
    assert {app["revision"] for app in apps.values()} == {head}
    assert {(app["preview"]["base"], app["preview"]["base_revision"]) for app in apps.values()} == {
        ("what is deployed", shop)
    }
    told = previews(apps)
    assert told == {
        BUILT: {"metadata.labels": "changed", "spec.replicas": "undone"},
        CHART: {},
        PLAIN: {"data.color": "conflict"},
        SHOP: {"data.color": "adopted"},
    }
    [scaled] = [
        field for each in apps[BUILT]["preview"]["objects"] for field in each["fields"] if field["effect"] == "undone"
    ]
    assert (scaled["before"], scaled["live"], scaled["after"]) == (2, 5, 2)
    assert (scaled["by"]["manager"], scaled["by"]["subresource"]) == ("kubectl", "scale")
    assert "not looked at: 2 apps of other repositories" in said
    assert "not looked at, as they do not follow main: application/argocd/production" in said
    assert "s3cret" not in said

    code, apps, _ = deployed.check("--repo", str(checkout.folder), "--discover", "argo", "--worktree")
    assert sorted(apps) == [BUILT, CHART, PLAIN, "application/argocd/production"]
    assert previews(apps)[BUILT] == told[BUILT]

    commented = deployed.run(
        "check", "--repo", str(checkout.folder), "--discover", "argo,flux", "--base", "main", "-o", "markdown"
    )
    assert commented.returncode == 1
    assert "undoes 2 edits by hand" in commented.stdout.splitlines()[0]
    assert f"✅ Nothing changes in 1 app: `{CHART}`" in commented.stdout

    del head
    in_checkout = deployed.run(
        "check", "--discover", "argo", "--revision", "feature", "-o", "json", folder=checkout.folder
    )
    assert previews({app["app"]: app for app in json.loads(in_checkout.stdout)["apps"]})[PLAIN] == told[PLAIN]


def test_one_app_is_previewed_at_another_revision_of_its_own_repository(deployed: Deployed, shop: str) -> None:
    """Fetched from the address that its deployer has."""
    deployed.repository.git("branch", "--force", "release", "main")
    deployed.repository.switch("release")
    try:
        chart = FILES["apps/chart/templates/a.yaml"].replace("| quote", "| int | quote").replace("color:", "colour:", 1)
        deployed.repository.write({"apps/chart/templates/a.yaml": chart}).commit("Spell it otherwise")
    finally:
        deployed.repository.switch("main")
    code, apps, said = deployed.check("chart", "--revision", "release")
    assert code == 1, said
    assert previews(apps) == {CHART: {"data.colour": "changed", "data.color": "changed"}}
    code, apps, said = deployed.check("chart", "--revision", "no-such-branch")
    assert code == 2
    assert "no-such-branch" in apps[CHART]["error"]


def test_a_checkout_without_the_deployed_commit_cannot_tell(
    deployed: Deployed, checkout: GitRepo, tmp_path: Path
) -> None:
    """A CI job that fetched the last commit alone: what to do is said, and nothing is guessed."""
    checkout.write({"apps/plain/settings.yaml": CONFIG.replace("blue", "white")}).commit("Change an app")
    shallow = tmp_path / "shallow"
    checkout.git("clone", "--quiet", "--depth", "1", f"file://{checkout.folder}", str(shallow))
    GitRepo(shallow).git("remote", "set-url", "origin", deployed.url)
    code, apps, _ = deployed.check("plain", "--repo", str(shallow), "--discover", "argo")
    assert code == 2
    assert "check out the whole history" in apps[PLAIN]["preview"]["error"]
    code, _, said = deployed.check("--repo", str(shallow), "--discover", "argo", "--base", "main")
    assert code == 2
    assert "fetch" in said


def test_a_checkout_that_nothing_is_deployed_from_is_a_mistake(deployed: Deployed, tmp_path: Path) -> None:
    """With the addresses that were looked for, so that a wrong remote is found."""
    lonely = GitRepo(tmp_path / "lonely")
    lonely.write({"a.yaml": CONFIG}).commit("Begin")
    lonely.git("remote", "add", "origin", "git@github.com:Shop/Lonely.git")
    code, _, said = deployed.check("--repo", str(lonely.folder), "--discover", "argo")
    assert code == 2
    assert "in the cluster is deployed from" in said
    assert "github.com/shop/lonely" in said
    code, _, said = deployed.check("redis", "--repo", str(lonely.folder), "--discover", "argo")
    assert code == 2
    assert "application/argocd/redis is not deployed from" in said
