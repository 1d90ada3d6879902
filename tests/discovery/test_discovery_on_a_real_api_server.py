"""`driftd check` without an argument, in clusters to which Argo CD, Flux and Helm deploy."""

from __future__ import annotations

import json

import pytest

from tests.discovery.conftest import CONFIG, Deployed, config_map, deployment, tracked
from tests.discovery.objects import application, git_repository, kustomization

pytestmark = pytest.mark.timeout(120)


def test_where_nobody_deploys_it_is_said(deployed: Deployed) -> None:
    """With what to do instead; that is no answer, and so no success."""
    code, apps, said = deployed.check()
    assert (code, apps) == (2, {})
    assert "is deployed by Argo CD or Flux or Helm: say what to check: --repo" in said


def test_what_argo_cd_and_flux_deploy_is_found_and_judged(deployed: Deployed) -> None:
    """With nothing configured: an untouched cluster is in sync, and a change by hand is named with its line in Git."""
    commit = deployed.repository.head
    kustomize = {"namePrefix": "eu-", "images": ["nginx:1.27"]}
    helm = {"releaseName": "shop", "valuesObject": {"color": "green"}, "parameters": [{"name": "size", "value": "3"}]}
    source = {"repoURL": deployed.url, "targetRevision": "HEAD"}
    deployed.apply(
        "argocd-application-controller",
        application({**source, "path": "apps/plain"}, commit, name="plain", namespace="shop"),
        application({**source, "path": "apps/built", "kustomize": kustomize}, commit, name="built", namespace="shop"),
        application({**source, "path": "apps/chart", "helm": helm}, commit, name="chart", namespace="shop"),
        application({**source, "chart": "redis", "targetRevision": "1"}, "1.0.0", name="redis", namespace="shop"),
    )
    deployed.apply(
        "argocd-controller",
        tracked("plain", config_map("settings", "shop", color="blue", region="${REGION}")),
        tracked("built", deployment("shop")),
        tracked("chart", config_map("shop", "shop", color="green", size="3")),
    )
    substitute = {"substituteFrom": [{"kind": "ConfigMap", "name": "regions"}]}
    flux = {"targetNamespace": "eu", "commonMetadata": {"labels": {"team": "web"}}, "postBuild": substitute}
    deployed.apply(
        "kustomize-controller",
        git_repository(deployed.url),
        kustomization("./flux", commit, name="shop", **flux),
        config_map("regions", "flux-system", REGION="eu-1"),
    )
    marks = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    settings = config_map("settings", "eu", color="blue", region="eu-1")
    settings["metadata"]["labels"] = {"team": "web", **marks}
    deployed.apply("kustomize-controller", settings)
    deployed.repository.write({"flux/settings.yaml": CONFIG.replace("blue", "red")}).commit("Not applied yet")

    names = [
        "application/argocd/built",
        "application/argocd/chart",
        "application/argocd/plain",
        "application/argocd/redis",
    ]
    code, apps, said = deployed.check()
    assert sorted(apps) == [*names, "kustomization/flux-system/shop"], said
    redis = apps.pop("application/argocd/redis")
    assert code == 2, "there is no such Helm repository"
    assert "answers 404" in redis["error"]
    assert not [app for app in apps.values() if not app["in_sync"]], json.dumps(apps, indent=1)
    assert {app["revision"] for app in apps.values()} == {commit}
    assert [app["counts"]["in_sync"] for app in apps.values()] == [1, 1, 1, 1]

    deployed.cluster.kubectl("-n", "eu", "patch", "cm", "settings", "-p", '{"data": {"color": "black", "by": "hand"}}')
    code, apps, _ = deployed.check("shop")
    assert (code, list(apps)) == (1, ["kustomization/flux-system/shop"])
    [resource] = apps["kustomization/flux-system/shop"]["resources"]
    fields = {field["path"]: field for field in resource["fields"]}
    assert {path: field["by"]["manager"] for path, field in fields.items()} == {
        "data.color": "kubectl-patch",
        "data.by": "kubectl-patch",
    }
    git = fields["data.color"]["git"]
    assert (git["file"], git["line"], git["commit"]) == ("flux/settings.yaml", 1, commit)

    code, apps, said = deployed.check("--discover", "argo")
    assert (code, sorted(apps)) == (2, names), said
    assert deployed.check("nothing")[0] == 2


def test_what_helm_has_installed_is_found_and_judged(deployed: Deployed) -> None:
    """Helm keeps it in the cluster: what was installed is in sync until a hand changes it, and only then."""
    deployed.helm("install", "shop", "apps/chart", "--set", "color=green,size=3")
    deployed.helm("upgrade", "shop", "apps/chart", "--set", "color=red,size=3")
    code, apps, said = deployed.check("--discover", "helm")
    assert (code, list(apps)) == (0, ["release/eu/shop"]), said
    assert apps["release/eu/shop"]["counts"]["in_sync"] == 1
    deployed.cluster.kubectl("-n", "eu", "annotate", "cm", "shop", "by=hand")
    code, apps, _ = deployed.check("shop", "--discover", "helm")
    assert code == 1
    [resource] = apps["release/eu/shop"]["resources"]
    assert resource["source"]["file"] == "chart/templates/a.yaml"
    [field] = resource["fields"]
    assert (field["path"], field["by"]["manager"]) == ("metadata.annotations.by", "kubectl-annotate")
    done = deployed.run("check", "--discover", "helm", "--explain", "cm/shop")
    assert done.returncode == 1
    assert "metadata.annotations.by" in done.stdout

    seeing_none = deployed.cluster.kubeconfig_for("nobody", ["system:authenticated"])
    code, apps, _ = deployed.check("--discover", "helm", "--kubeconfig", str(seeing_none))
    assert (code, list(apps)) == (2, ["release"])
    assert "what Helm has installed cannot be read" in apps["release"]["error"]
