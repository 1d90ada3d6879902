"""A Kustomization of Flux says what it deploys: an app at the commit that was applied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from driftd.artifacts.source import ArtifactSource
from driftd.desired.sources import ComposedSource
from driftd.discovery.deployed import DeployedApp, NotJudged
from driftd.discovery.flux import deployed_by_kustomization
from driftd.discovery.flux_sources import Sources
from driftd.git.source import Ref, RefKind
from driftd.model.resource import ResourceRef
from tests.discovery.objects import git_repository, kustomization

URL = "https://git.example.com/shop/deploy.git"
COMMIT = "a" * 40


def found(
    body: dict[str, Any],
    repository: dict[str, Any] | None = None,
    variables: Mapping[ResourceRef, Mapping[str, str]] | None = None,
) -> DeployedApp | NotJudged:
    body_of_source = git_repository(URL) if repository is None else repository
    repositories = {(body_of_source.get("kind", "GitRepository"), "flux-system/shop"): body_of_source}
    [one] = deployed_by_kustomization(body, Sources(repositories), variables or {}, "prod")
    return one


def deployed(body: dict[str, Any], *others: Any) -> DeployedApp:
    one = found(body, *others)
    assert isinstance(one, DeployedApp)
    return one


def reason(body: dict[str, Any], *others: Any) -> str:
    one = found(body, *others)
    assert isinstance(one, NotJudged)
    assert one.name == "kustomization/flux-system/web"
    return one.reason


@pytest.mark.parametrize(
    "revision", [f"main@sha1:{COMMIT}", f"refs/heads/a/b@sha1:{COMMIT}", f"sha1:{COMMIT}", f"main/{COMMIT}"]
)
def test_the_applied_commit_counts(revision: str) -> None:
    """In all the ways in which Flux writes it."""
    body = kustomization("./apps/web/", COMMIT)
    body["status"]["lastAppliedRevision"] = revision
    one = deployed(body)
    assert (one.app.name, one.app.path, one.commit) == ("kustomization/flux-system/web", "apps/web", COMMIT)
    assert (one.source.url, one.source.ref) == (URL, Ref(RefKind.BRANCH, "main"))
    assert not one.app.deploys


@pytest.mark.parametrize("path", ["./", ".", "", "/"])
def test_the_root_of_the_repository_is_a_folder(path: str) -> None:
    """However it is written."""
    assert deployed(kustomization(path, COMMIT)).app.path == ""


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ({"branch": "dev"}, Ref(RefKind.BRANCH, "dev")),
        ({"tag": "v1"}, Ref(RefKind.TAG, "v1")),
        ({"semver": ">=1.0.0"}, Ref(RefKind.SEMVER, ">=1.0.0")),
        ({"branch": "dev", "commit": COMMIT}, Ref(RefKind.COMMIT, COMMIT)),
        ({}, Ref(RefKind.BRANCH, "master")),
        ({"branch": "dev", "name": "refs/heads/main"}, Ref(RefKind.BRANCH, "main")),
        ({"name": "refs/tags/v1"}, Ref(RefKind.TAG, "v1")),
        ({"name": "refs/pull/7/head"}, Ref()),
    ],
)
def test_the_reference_that_it_follows_is_fetched(ref: dict[str, str], expected: Ref) -> None:
    """By Flux' precedence; without any it is the branch master."""
    assert deployed(kustomization("a", COMMIT), git_repository(URL, ref=ref)).source.ref == expected


def test_what_it_sets_is_written_into_the_kustomization() -> None:
    """Common metadata is set in what was built, and reaches neither selectors nor pod templates."""
    body = kustomization(
        "a",
        COMMIT,
        targetNamespace="shop",
        namePrefix="eu-",
        nameSuffix="-1",
        commonMetadata={"labels": {"team": "web"}, "annotations": {"a": "b"}},
        images=[{"name": "nginx", "newTag": "1.27"}],
        patches=[{"patch": "[]", "target": {"kind": "Deployment"}}],
        components=["../c"],
    )
    one = deployed(body)
    assert one.app.namespace == "shop"
    assert json.loads(one.app.rendering.edits or "") == {
        "namespace": "shop",
        "namePrefix": "eu-",
        "nameSuffix": "-1",
        "images": [{"name": "nginx", "newTag": "1.27"}],
        "patches": [{"patch": "[]", "target": {"kind": "Deployment"}}],
        "components": ["../c"],
    }
    assert one.app.rendering.labels == (("team", "web"),)
    assert one.app.rendering.annotations == (("a", "b"),)
    assert len(body["spec"]["patches"]) == 1, "the object itself is not changed"
    assert deployed(kustomization("a", COMMIT)).app.rendering.edits is None


def test_variables_come_from_objects_and_from_itself() -> None:
    """Its own win; line breaks are left out; what may be missing may be missing."""
    post_build = {
        "substitute": {"A": "own", "N": 3},
        "substituteFrom": [
            {"kind": "ConfigMap", "name": "vars"},
            {"kind": "Secret", "name": "secrets"},
            {"kind": "ConfigMap", "name": "none", "optional": True},
        ],
    }
    variables = {
        ResourceRef("", "ConfigMap", "flux-system", "vars"): {"A": "map", "B": "map\n"},
        ResourceRef("", "Secret", "flux-system", "secrets"): {"B": "secret\n", "C": "c"},
    }
    body = kustomization("a", COMMIT, postBuild=post_build)
    one = deployed(body, None, variables)
    assert dict(one.app.rendering.substitutions) == {"A": "own", "N": "3"}
    assert dict(one.app.rendering.secret_substitutions) == {"B": "secret", "C": "c"}
    assert "secret" not in repr(one)
    assert "come from Secret flux-system/secrets, which cannot be read" in reason(
        body, None, {ref: data for ref, data in variables.items() if ref.kind == "ConfigMap"}
    )


@pytest.mark.parametrize(
    ("spec", "repository", "says"),
    [
        ({"sourceRef": {"kind": "OCIRepository", "name": "x"}}, None, "its OCIRepository flux-system/x is not there"),
        ({"sourceRef": {"kind": "ExternalArtifact", "name": "x"}}, None, "deployed from an ExternalArtifact, of which"),
        ({"sourceRef": {"kind": "Bucket", "name": "x"}}, None, "deployed from a Bucket"),
        ({"sourceRef": {"kind": "GitRepository", "name": "x"}}, None, "GitRepository flux-system/x is not there"),
        ({"kubeConfig": {"secretRef": {"name": "x"}}}, None, "another cluster"),
        ({}, git_repository(URL, include=[{"repository": {"name": "x"}}]), "and fetched them anew since"),
        ({}, git_repository("/etc"), "https or ssh address"),
    ],
)
def test_what_cannot_be_judged_is_said_with_its_reason(
    spec: dict[str, Any], repository: dict[str, Any] | None, says: str
) -> None:
    """And never taken for in sync."""
    assert says in reason(kustomization("a", COMMIT, **spec), repository)


def test_what_the_repository_leaves_out_is_left_out() -> None:
    """By its specification, besides `.sourceignore` files."""
    repository = git_repository(URL, ignore="/*\n!/a")
    assert deployed(kustomization("a", COMMIT), repository).app.rendering.plain.source_ignore == "/*\n!/a"
    assert deployed(kustomization("a", COMMIT)).app.rendering.plain.source_ignore == ""


def test_what_was_never_applied_cannot_be_judged() -> None:
    """Nor what was applied from something other than a commit."""
    assert "has not applied it yet" in reason(kustomization("a", None))
    body = kustomization("a", COMMIT)
    body["status"]["lastAppliedRevision"] = "latest@sha512:abc"
    assert "names no commit" in reason(body)


NEXT = "b" * 40


def fetched(commit: str, **spec: Any) -> dict[str, Any]:
    """A GitRepository of which Flux has fetched a commit."""
    return {**git_repository(URL, **spec), "status": {"artifact": {"revision": f"main@sha1:{commit}"}}}


def not_ready(reason: str, message: str, attempted: str | None = NEXT, **spec: Any) -> dict[str, Any]:
    body = kustomization("./apps/web", COMMIT, **spec)
    if attempted is not None:
        body["status"]["lastAttemptedRevision"] = f"main@sha1:{attempted}"
    body["status"]["conditions"] = [{"type": "Ready", "status": "False", "reason": reason, "message": message}]
    return body


def pending(body: dict[str, Any], repository: dict[str, Any]) -> tuple[str | None, str | None] | None:
    """The commit that is still to be applied, and why it has not been."""
    one = deployed(body, repository)
    return (one.next.pending.revision, one.next.pending.reason) if one.next is not None else None


def test_what_was_fetched_and_not_applied_is_pending() -> None:
    """With the reason that Flux gives, where it gives one of that revision."""
    body = kustomization("./apps/web", COMMIT)
    assert pending(body, fetched(COMMIT)) is None
    assert pending(body, fetched(NEXT)) == (NEXT, None)
    assert pending({**body, "spec": {**body["spec"], "suspend": True}}, fetched(NEXT)) == (NEXT, "it is suspended")
    failed = not_ready("BuildFailed", "kustomize build failed")
    assert pending(failed, fetched(NEXT)) == (NEXT, "kustomize build failed")
    assert pending(failed, fetched("c" * 40)) == ("c" * 40, None)
    waits = not_ready("DependencyNotReady", "dependency 'flux-system/infra' is not ready", None)
    assert pending(waits, fetched(NEXT)) == (NEXT, "dependency 'flux-system/infra' is not ready")


def test_a_repository_that_flux_cannot_fetch_may_have_more() -> None:
    """It is said, and what was applied is judged."""
    repository = fetched(COMMIT)
    repository["status"]["conditions"] = [{"type": "Ready", "status": "False", "message": "authentication required"}]
    expected = (None, "its GitRepository cannot be fetched: authentication required")
    assert pending(kustomization("./apps/web", COMMIT), repository) == expected
    suspended = fetched(COMMIT, suspend=True)
    assert pending(kustomization("./apps/web", COMMIT), suspended) == (None, "its GitRepository is suspended")


@pytest.mark.parametrize(
    ("reason", "commit"), [("HealthCheckFailed", NEXT), ("PruneFailed", NEXT), ("BuildFailed", COMMIT)]
)
def test_a_revision_that_is_not_healthy_yet_has_been_applied(reason: str, commit: str) -> None:
    """Flux calls a revision applied only once it is healthy, too. Source: kustomize-controller 1.9, its reconcile()."""
    assert deployed(not_ready(reason, "timeout waiting for: [Deployment/web]"), fetched(NEXT)).commit == commit


def test_an_artifact_is_fetched_by_the_digest_that_was_applied() -> None:
    """Of the layer that the OCIRepository selects."""
    digest = f"sha256:{'b' * 64}"
    repository = {
        "kind": "OCIRepository",
        "metadata": {"name": "shop", "namespace": "flux-system"},
        "spec": {"url": "oci://ghcr.io/shop/manifests", "layerSelector": {"mediaType": "application/x"}},
    }
    body = kustomization("./web", None, sourceRef={"kind": "OCIRepository", "name": "shop"})
    body["status"] = {"lastAppliedRevision": f"latest@{digest}"}
    one = deployed(body, repository)
    assert isinstance(one.source, ArtifactSource)
    assert (one.source.url, one.source.media_type, one.commit) == ("ghcr.io/shop/manifests", "application/x", digest)
    repository["spec"]["layerSelector"] = {"operation": "copy"}
    assert "copies its layer" in reason(body, repository)
    body["status"] = {"lastAppliedRevision": "latest"}
    assert "names no digest" in reason(body, repository)


def test_what_a_repository_includes_is_taken_at_the_commits_that_were_applied() -> None:
    """As long as the repository has not been fetched anew; in the folders that it names."""
    including = git_repository(
        URL, include=[{"repository": {"name": "base"}, "fromPath": "deploy", "toPath": "vendor/base"}]
    )
    including["status"] = {
        "artifact": {"revision": f"main@sha1:{COMMIT}"},
        "includedArtifacts": [{"revision": f"main@sha1:{'b' * 40}"}],
    }
    base = git_repository("https://git.example.com/base.git", name="base")
    sources = Sources({("GitRepository", "flux-system/shop"): including, ("GitRepository", "flux-system/base"): base})
    [one] = deployed_by_kustomization(kustomization("./web", COMMIT), sources, {}, "prod")
    assert isinstance(one, DeployedApp)
    assert one.commit == f"{COMMIT} {'b' * 40}"
    assert isinstance(one.source, ComposedSource)
    [mount] = one.source.mounts
    assert (mount.source.name, mount.from_path, mount.to_path, mount.files) == ("base", "deploy", "vendor/base", None)
    assert "and fetched them anew since" in reason(kustomization("./web", "c" * 40), including)


def test_what_a_kustomization_ignores_is_ignored() -> None:
    """Since Flux 1.9 of its controller: by pointers, in the objects that are named."""
    ignore = [{"paths": ["/spec/replicas"], "target": {"kind": "Deployment"}}, {"paths": ["/data"]}]
    rules = deployed(kustomization("./web", COMMIT, ignore=ignore)).ignore
    assert [(rule.paths, rule.kinds) for rule in rules] == [(("spec.replicas",), ("Deployment",)), (("data",), ())]
    selected = [{"paths": ["/data"], "target": {"labelSelector": "a=b"}}]
    assert "by their labels" in reason(kustomization("./web", COMMIT, ignore=selected))
