"""What was found in the clusters stays known while one of them cannot be asked, and the failure is told."""

from __future__ import annotations

from driftd.config.settings import Config
from driftd.daemon.discovery import DiscoveredApps
from driftd.discovery.argo import deployed_by_application
from driftd.discovery.deployed import DeployedApp, NotJudged
from tests.discovery.objects import application

SOURCE = {"repoURL": "https://git.example.com/shop.git", "path": "app"}


def found(commit: str | None = "a" * 40, name: str = "web") -> list[DeployedApp | NotJudged]:
    return list(deployed_by_application(application(SOURCE, commit, name=name), "prod"))


def test_a_cluster_that_cannot_be_read_keeps_its_apps_and_is_unknown_itself() -> None:
    """An app that nobody sees is not gone."""
    changes: list[None] = []
    discovered = DiscoveredApps(Config.model_validate({"discover": ["argo"]}), lambda: changes.append(None))
    assert not discovered.is_complete
    discovered._take("default", found(), None)
    assert [one.app.name for one in discovered.apps] == ["application/argocd/web"]
    assert discovered.is_complete
    discovered._take("default", None, "no answer")
    assert [one.app.name for one in discovered.apps] == ["application/argocd/web"]
    assert discovered.not_judged == {"discovery": ("default", "what is deployed to it cannot be read: no answer")}
    assert not discovered.is_complete
    discovered._take("default", found(), None)
    assert (dict(discovered.not_judged), discovered.is_complete) == ({}, True)
    assert len(changes) == 3
    discovered._take("default", found(), None)
    assert len(changes) == 3, "nothing has changed"
    discovered._take("default", found(None), None)
    assert discovered.apps == []
    assert "has not synced it yet" in discovered.not_judged["application/argocd/web"][1]


def test_apps_of_several_clusters_have_names_of_their_own() -> None:
    """With the cluster behind."""
    clusters = [{"name": "eu"}, {"name": "us"}]
    discovered = DiscoveredApps(Config.model_validate({"discover": ["argo"], "clusters": clusters}), lambda: None)
    for cluster in ("eu", "us"):
        discovered._take(cluster, [discovered._named(one, cluster) for one in found()], None)
        assert discovered.is_complete is (cluster == "us")
    names = [one.app.name for one in discovered.apps]
    assert names == ["application/argocd/web@eu", "application/argocd/web@us"]
    discovered._take("us", None, "no answer")
    assert list(discovered.not_judged) == ["discovery@us"]
