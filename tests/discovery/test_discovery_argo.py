"""An Application of Argo CD says what it deploys: an app at the commit that was applied."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.artifacts.source import ArtifactKind, ArtifactSource
from driftd.desired.sources import ComposedSource
from driftd.discovery.argo import deployed_by_application
from driftd.discovery.deployed import DeployedApp, NotJudged
from driftd.git.source import Ref, RefKind
from driftd.model.app import HelmParameter, PlainFiles
from tests.discovery.objects import application

URL = "https://git.example.com/shop/deploy.git"
COMMIT = "a" * 40


def source(**fields: Any) -> dict[str, Any]:
    return {"repoURL": URL, "path": "apps/web", "targetRevision": "HEAD", **fields}


def deployed(body: dict[str, Any]) -> DeployedApp:
    [found] = deployed_by_application(body, "prod")
    assert isinstance(found, DeployedApp)
    return found


def reason(body: dict[str, Any]) -> str:
    [found] = deployed_by_application(body, "prod")
    assert isinstance(found, NotJudged)
    assert found.name == "application/argocd/web"
    return found.reason


def test_what_was_applied_counts_not_what_is_asked_for() -> None:
    """The last entry of the history names source and commit; the specification may be ahead of it."""
    body = application(source(), COMMIT)
    body["spec"]["source"] = source(path="apps/next")
    found = deployed(body)
    assert (found.app.name, found.app.path, found.app.namespace) == ("application/argocd/web", "apps/web", "web")
    assert (found.commit, found.source.url, found.source.ref) == (COMMIT, URL, Ref())
    assert not found.app.deploys
    assert found.app.rendering.overrides == (".argocd-source.yaml", ".argocd-source-web.yaml")


@pytest.mark.parametrize(
    ("target", "ref"),
    [
        ("main", Ref(RefKind.ANY, "main")),
        ("", Ref()),
        ("HEAD", Ref()),
        ("1.*", Ref()),
        ("v1.2", Ref(RefKind.ANY, "v1.2")),
    ],
)
def test_the_reference_that_it_follows_is_fetched(target: str, ref: Ref) -> None:
    """For a range of versions that is the default branch: the commit counts in any case."""
    assert deployed(application(source(targetRevision=target), COMMIT)).source.ref == ref


def test_a_plain_folder_is_read_without_its_subfolders_unless_told() -> None:
    """As Argo CD does."""
    assert deployed(application(source(), COMMIT)).app.rendering.plain == PlainFiles(recurse=False)
    directory = {"recurse": True, "include": "*.yaml", "exclude": "{a,b}.yaml"}
    found = deployed(application(source(directory=directory), COMMIT))
    assert found.app.rendering.plain == PlainFiles(recurse=True, include="*.yaml", exclude="{a,b}.yaml")
    assert "jsonnet" in reason(application(source(directory={"jsonnet": {"tlas": [{"name": "a"}]}}), COMMIT))


def test_what_it_sets_for_kustomize_is_written_into_the_kustomization() -> None:
    """Images as `kustomize edit set image` reads them; labels reach selectors unless told otherwise."""
    kustomize = {
        "namePrefix": "eu-",
        "nameSuffix": "-1",
        "namespace": "shop",
        "commonLabels": {"team": "web"},
        "commonAnnotations": {"a": "b"},
        "images": ["nginx:1.27", "old=registry:5000/new:2", "app@sha256:abc", "x=y"],
        "replicas": [{"name": "web", "count": "3"}, {"name": "api", "count": 2}],
        "patches": [{"target": {"kind": "Deployment"}, "patch": "[]"}],
        "components": ["../components/a"],
    }
    edits = deployed(application(source(kustomize=kustomize), COMMIT)).app.rendering.edits
    assert json.loads(edits or "") == {
        "namePrefix": "eu-",
        "nameSuffix": "-1",
        "namespace": "shop",
        "commonLabels": {"team": "web"},
        "commonAnnotations": {"a": "b"},
        "images": [
            {"name": "nginx", "newTag": "1.27", "replaces": True},
            {"name": "old", "newName": "registry:5000/new", "newTag": "2", "replaces": True},
            {"name": "app", "digest": "sha256:abc", "replaces": True},
            {"name": "x", "newName": "y", "replaces": True},
        ],
        "replicas": [{"name": "web", "count": 3}, {"name": "api", "count": 2}],
        "patches": [{"target": {"kind": "Deployment"}, "patch": "[]"}],
        "components": ["../components/a"],
    }
    assert deployed(application(source(), COMMIT)).app.rendering.edits is None


def test_what_it_sets_for_helm_is_given_to_the_chart() -> None:
    """Values as an object win over those as a text; commas in a parameter are no separators."""
    helm = {
        "releaseName": "shop",
        "valueFiles": ["prod.yaml"],
        "values": "a: text",
        "valuesObject": {"a": 1},
        "parameters": [
            {"name": "list", "value": "{a,b}"},
            {"name": "text", "value": "a,b", "forceString": True},
        ],
        "skipCrds": True,
        "ignoreMissingValueFiles": True,
    }
    options = deployed(application(source(helm=helm), COMMIT)).app.rendering
    assert (options.release, options.values_files, options.values) == ("shop", ("prod.yaml",), ('{"a":1}',))
    assert options.parameters == (
        HelmParameter("list", "{a,b}"),
        HelmParameter("text", "a\\,b", is_string=True),
    )
    assert options.skip_crds
    assert options.ignore_missing_values_files
    assert deployed(application(source(helm={"values": "a: text"}), COMMIT)).app.rendering.values == ("a: text",)
    assert deployed(application(source(), COMMIT)).app.rendering.release == "web"


def with_sources(*sources: dict[str, Any], revisions: list[str]) -> dict[str, Any]:
    body = application(source(), COMMIT)
    body["status"]["history"].append({"id": 2, "sources": list(sources), "revisions": revisions})
    return body


def test_each_source_of_several_is_an_app() -> None:
    """One that is there for values files only is none; its files are read where they are in the same repository."""
    helm = {"valueFiles": ["$values/env/prod.yaml"]}
    chart, other = source(path="charts/web", helm=helm), source(path="apps/other")
    values = {"repoURL": URL, "ref": "values"}
    body = with_sources(chart, values, other, revisions=[COMMIT, COMMIT, "b" * 40])
    first, second = deployed_by_application(body, "prod")
    assert isinstance(first, DeployedApp)
    assert isinstance(second, DeployedApp)
    assert (first.app.name, second.app.name) == ("application/argocd/web#1", "application/argocd/web#3")
    assert first.app.rendering.values_files == ("/env/prod.yaml",)
    assert second.commit == "b" * 40
    assert "does not say which commit" in reason(with_sources(chart, other, revisions=[COMMIT]))


def test_values_files_of_another_repository_are_added_to_the_chart() -> None:
    """At the commit of theirs that was applied; just these files, in a folder with the name that they have there."""
    helm = {"valueFiles": ["$values/env/prod.yaml"], "fileParameters": [{"name": "a", "path": "$values/b.txt"}]}
    elsewhere = {"repoURL": "https://git.example.com/values.git", "ref": "values", "targetRevision": "main"}
    chart = source(repoURL="https://charts.example.com", chart="stable/redis", path="", helm=helm)
    found = deployed(with_sources(chart, elsewhere, revisions=["1.2.3", COMMIT]))
    assert (found.app.path, found.commit) == ("redis", f"1.2.3 {COMMIT}")
    assert found.app.rendering.values_files == ("/$values/env/prod.yaml",)
    assert found.app.rendering.file_parameters == (("a", "/$values/b.txt"),)
    assert isinstance(found.source, ComposedSource)
    [mount] = found.source.mounts
    assert (mount.source.url, mount.to_path, mount.files) == (
        elsewhere["repoURL"],
        "$values",
        ("b.txt", "env/prod.yaml"),
    )
    assert found.source.address == "https://charts.example.com and https://git.example.com/values.git"
    refused = with_sources(chart, {**chart, "ref": "values"}, revisions=["1.2.3", "1.2.3"])
    assert all("is in a chart" in each.reason for each in deployed_by_application(refused, "prod"))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("repository", "chart", "kind", "url"),
    [
        ("https://charts.example.com/x", "redis", ArtifactKind.REPOSITORY_CHART, "https://charts.example.com/x"),
        ("registry.example.com/charts", "redis", ArtifactKind.REGISTRY_CHART, "registry.example.com/charts/redis"),
        ("oci://registry.example.com/a", "redis", ArtifactKind.REGISTRY_CHART, "registry.example.com/a/redis"),
        ("oci://registry.example.com/a/b", "", ArtifactKind.REGISTRY, "registry.example.com/a/b"),
    ],
)
def test_a_chart_comes_from_a_helm_repository_or_a_registry(
    repository: str, chart: str, kind: ArtifactKind, url: str
) -> None:
    """An address without a protocol is that of a registry, as in Argo CD."""
    found = deployed(application(source(repoURL=repository, chart=chart), "1.2.3"))
    assert isinstance(found.source, ArtifactSource)
    assert (found.source.kind, found.source.url, found.commit) == (kind, url, "1.2.3")


def test_the_build_environment_is_replaced() -> None:
    """In parameters, in the names of files, and in annotations where that is asked for."""
    helm = {
        "parameters": [{"name": "a", "value": "$ARGOCD_APP_NAME"}],
        "valueFiles": ["$ARGOCD_APP_REVISION_SHORT/x.yaml", "${ARGOCD_APP_NAMESPACE}.yaml"],
    }
    kustomize = {"commonAnnotations": {"a": "$ARGOCD_APP_NAME"}, "commonAnnotationsEnvsubst": True}
    options = deployed(application(source(helm=helm, kustomize=kustomize), COMMIT)).app.rendering
    assert options.parameters == (HelmParameter("a", "web"),)
    assert options.values_files == (f"{COMMIT[:7]}/x.yaml", "web.yaml")
    assert json.loads(options.edits or "")["commonAnnotations"] == {"a": "web"}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"source": source(repoURL="http://a.example.com", chart="redis")}, "not read by https"),
        ({"source": source(repoURL=f"{URL}?x", chart="redis")}, "no login and no query"),
        ({"source": source(repoURL="https://ann:hunter2@a.example.com", chart="redis")}, "no login and no query"),
        ({"source": source(helm={"kubeVersion": "1.20"})}, "another cluster than this one (kubeVersion)"),
        ({"source": source(plugin={"name": "x"})}, "config management plugin"),
        ({"source": source(repoURL="/etc")}, "https or ssh address"),
        ({"source": source(repoURL="https://user:hunter2@example.com/a")}, "credentials"),
        ({"source": source(helm={"kubeVersion": "1.30.0"})}, "another cluster than this one (kubeVersion)"),
        ({"source": source(helm={"apiVersions": ["a/v1"]})}, "another cluster than this one (apiVersions)"),
        ({"source": source(helm={"parameters": [{"name": "a", "value": "$KUBE_VERSION"}]})}, "build environment"),
        ({"source": source(kustomize={"replicas": [{"name": "a", "count": "many"}]})}, "replicas cannot be read"),
        ({"commit": None}, "has not synced it yet"),
        ({"commit": "1.2.3"}, "does not name a commit"),
        ({"destination": {"server": "https://other.example.com", "namespace": "web"}}, "https://other.example.com"),
        ({"destination": {"name": "other", "namespace": "web"}}, "another cluster (other)"),
        ({"ignoreDifferences": [{"kind": "A", "jqPathExpressions": [".a | select(.b)"]}]}, "of jq, driftd knows paths"),
    ],
)
def test_what_cannot_be_judged_is_said_with_its_reason(changed: dict[str, Any], says: str) -> None:
    """And never taken for in sync; no password is shown."""
    changed = {"source": source(), "commit": COMMIT, **changed}
    found = reason(application(changed.pop("source"), changed.pop("commit"), **changed))
    assert says in found
    assert "hunter2" not in found


def test_the_cluster_may_be_named() -> None:
    """Argo CD calls its own in-cluster."""
    assert (
        deployed(application(source(), COMMIT, destination={"name": "in-cluster", "namespace": "a"})).app.namespace
        == "a"
    )


def test_what_argo_cd_gives_to_its_namespace_is_its_own() -> None:
    """Git may declare that Namespace without it; nothing else of the Namespace is ignored."""
    managed = {"labels": {"istio-injection": "enabled"}, "annotations": {"example.com/owner": "shop"}}
    policy = {"syncOptions": ["CreateNamespace=true"], "managedNamespaceMetadata": managed}
    [rule] = deployed(application(source(), COMMIT, syncPolicy=policy)).ignore
    assert (rule.kinds, rule.names) == (("Namespace",), ("web",))
    assert rule.paths == ("metadata.labels.istio-injection", 'metadata.annotations["example.com/owner"]')


def test_what_argo_cd_ignores_is_ignored() -> None:
    """By pointers, by paths of jq, and by managers; each only for the objects that it names."""
    ignored = [
        {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas", "/metadata/annotations/a~1b"]},
        {
            "kind": "ConfigMap",
            "name": "web",
            "namespace": "shop",
            "jqPathExpressions": ['.data["a.b"]', ".x[]?.y", '."q-r".s'],
        },
        {"group": "*", "kind": "*", "managedFieldsManagers": ["kube-controller-manager"]},
        {"kind": "Service", "jsonPointers": ["/spec/ports/0/nodePort"]},
    ]
    rules = deployed(application(source(), COMMIT, ignoreDifferences=ignored)).ignore
    assert [rule.paths for rule in rules] == [
        ("spec.replicas", "metadata.annotations.a/b"),
        ('data["a.b"]', "x[*].y", "q-r.s"),
        (),
        ("spec.ports[*].nodePort",),
    ]
    assert [rule.kinds for rule in rules] == [("Deployment",), ("ConfigMap",), (), ("Service",)]
    assert (rules[0].groups, rules[1].names, rules[1].namespaces) == (("apps",), ("web",), ("shop",))
    assert rules[2].managers == ("kube-controller-manager",)


NEXT = "b" * 40


def pending(body: dict[str, Any]) -> tuple[str | None, str | None] | None:
    """The commit that is still to be synced, and why it has not been."""
    found = deployed(body)
    return (found.next.pending.revision, found.next.pending.reason) if found.next is not None else None


def out_of_sync(target: dict[str, Any] | None = None, revision: str = NEXT, **state: Any) -> dict[str, Any]:
    """An Application that Argo CD has compared with a later commit, or with other parameters."""
    body = application(source(), COMMIT, syncPolicy={"automated": {}})
    compared = {"source": target or source(), "destination": body["spec"]["destination"]}
    body["status"]["sync"] = {"status": "OutOfSync", "revision": revision, "comparedTo": compared}
    body["status"]["operationState"] = state
    return body


def test_what_is_still_to_be_synced_is_what_argo_cd_compares_with() -> None:
    """With the reason that it gives, where it gives one."""
    assert pending(application(source(), COMMIT)) is None
    assert pending(out_of_sync()) == (NEXT, None)
    assert pending(out_of_sync(phase="Running")) == (NEXT, "it is being synced")
    failed = out_of_sync(phase="Failed", message="one or more\nobjects failed", syncResult={"revision": NEXT})
    assert pending(failed) == (NEXT, "its last sync failed: one or more objects failed")
    earlier = out_of_sync(phase="Failed", message="no", syncResult={"revision": COMMIT})
    assert pending(earlier) == (NEXT, None)
    by_hand = out_of_sync()
    del by_hand["spec"]["syncPolicy"]
    assert pending(by_hand) == (NEXT, "it is synced by hand")
    switched_off = out_of_sync()
    switched_off["spec"]["syncPolicy"]["automated"]["enabled"] = False
    assert pending(switched_off) == (NEXT, "its automated sync is switched off")


def test_out_of_sync_at_the_deployed_commit_is_drift_and_nothing_is_pending() -> None:
    """Unless the parameters have changed since."""
    assert pending(out_of_sync(revision=COMMIT)) is None
    changed = deployed(out_of_sync(source(kustomize={"images": ["nginx:1.28"]}), COMMIT))
    assert changed.next is not None
    assert changed.next.pending.revision == COMMIT
    assert "1.28" in str(changed.next.app.rendering.edits)
    assert changed.app.rendering.edits is None


def test_what_argo_cd_cannot_compare_may_be_pending() -> None:
    """It says why."""
    body = application(source(), COMMIT)
    body["status"]["sync"] = {"status": "Unknown"}
    body["status"]["conditions"] = [{"type": "ComparisonError", "message": "repository not found"}]
    assert pending(body) == (None, "Argo CD cannot compare it: repository not found")


def test_what_is_pending_and_cannot_be_rendered_does_not_hide_what_is_deployed() -> None:
    """It is said of what is pending."""
    found = deployed(out_of_sync(source(plugin={"name": "own"})))
    assert found.next is not None
    assert (
        found.next.pending.reason == "driftd cannot render what it is to deploy: a config management plugin renders it"
    )


def test_what_a_deployer_says_of_a_secret_is_not_shown() -> None:
    """The API server quotes what it refuses."""
    message = 'Secret "login" is invalid: data[password]: Invalid value: "hunter2"'
    found = pending(out_of_sync(phase="Failed", message=message, syncResult={"revision": NEXT}))
    assert found == (NEXT, "its last sync failed: its message is about a Secret, and is not shown")


def test_each_of_several_sources_has_its_own_pending_commit() -> None:
    """One that stays has none."""
    sources = [source(), source(path="apps/api")]
    body = application(source(), COMMIT)
    body["status"]["history"][-1] = {"sources": sources, "revisions": [COMMIT, COMMIT]}
    body["status"]["sync"] = {"status": "OutOfSync", "revisions": [COMMIT, NEXT], "comparedTo": {"sources": sources}}
    first, second = [one for one in deployed_by_application(body, "prod") if isinstance(one, DeployedApp)]
    assert first.next is None
    assert second.next is not None
    assert second.next.pending.revision == NEXT
