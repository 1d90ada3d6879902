"""Flux' Kustomizations as apps.

Source: kustomize-controller 1.9, docs/spec/v1/kustomizations.md; source-controller, docs/spec/v1/gitrepositories.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from driftd.discovery.deployed import (
    DeployedApp,
    NotJudged,
    Object,
    Unsupported,
    app_name,
    condition,
    git_source,
    items,
    message_of,
    name_of,
    section,
    text,
)
from driftd.discovery.kustomize import KustomizationFields
from driftd.git.source import Ref, RefKind
from driftd.model.app import App, PlainFiles, RenderOptions
from driftd.model.deployer import Deployer
from driftd.model.errors import DriftdError
from driftd.model.next_deployment import NextDeployment, PendingRevision
from driftd.model.resource import ResourceRef
from driftd.render.kustomization_edits import IGNORE_MISSING_COMPONENTS

KUSTOMIZATION = ("kustomize.toolkit.fluxcd.io", "Kustomization")
GIT_REPOSITORY = ("source.toolkit.fluxcd.io", "GitRepository")

_COMMIT = re.compile(r"(?:.*[@/])?(?:sha1:|sha256:)?([0-9a-f]{40}|[0-9a-f]{64})")
"""`main@sha1:HEX`, `refs/heads/main@sha1:HEX`, `sha1:HEX`; before Flux 2 `main/HEX`."""

_FAILED_AFTER_APPLYING = frozenset({"HealthCheckFailed", "PruneFailed"})
"""Of the condition Ready: all was applied by then, though Flux does not say so before it is healthy as well."""

Variables = Mapping[ResourceRef, Mapping[str, str]]
"""The data of the ConfigMaps and Secrets that were read for variables."""


def deployed_by_kustomization(
    kustomization: Object, repositories: Mapping[str, Object], variables: Variables, cluster: str
) -> Iterator[DeployedApp | NotJudged]:
    """What a Kustomization deploys. `repositories` are the GitRepositories by `NAMESPACE/NAME`."""
    name = app_name("kustomization", kustomization)
    try:
        yield _deployed(name, kustomization, repositories, variables, cluster)
    except (Unsupported, DriftdError) as error:
        yield NotJudged(name, str(error))


def variable_sources(kustomization: Object) -> Sequence[tuple[ResourceRef, bool]]:
    """The ConfigMaps and Secrets that it takes variables from, and whether each may be missing."""
    namespace = kustomization["metadata"]["namespace"]
    return [
        (ResourceRef("", text(each, "kind"), namespace, text(each, "name")), each.get("optional") is True)
        for each in items(section(kustomization, "spec", "postBuild"), "substituteFrom")
        if isinstance(each, Mapping)
    ]


def _deployed(
    name: str, kustomization: Object, repositories: Mapping[str, Object], variables: Variables, cluster: str
) -> DeployedApp:
    spec = section(kustomization, "spec")
    if "kubeConfig" in spec:
        raise Unsupported("it deploys to another cluster: run driftd there, or configure that cluster")
    repository = _repository(kustomization, repositories)
    commit = _applied(kustomization)
    shown, secret = _substitutions(kustomization, variables)
    namespace = text(spec, "targetNamespace") or None
    url = text(section(repository, "spec"), "url")
    app = App(
        name=name,
        source=url,
        cluster=cluster,
        path=text(spec, "path").removeprefix("./").strip("/").removeprefix("."),
        namespace=namespace,
        deploys=False,
        rendering=RenderOptions(
            release=kustomization["metadata"]["name"],
            namespace=namespace or "default",
            plain=PlainFiles(source_ignore=text(section(repository, "spec"), "ignore")),
            edits=_edits(spec),
            labels=_pairs(section(spec, "commonMetadata", "labels")),
            annotations=_pairs(section(spec, "commonMetadata", "annotations")),
            substitutions=shown,
            secret_substitutions=secret,
            allow_empty=True,  # Flux takes it for what is meant
        ),
    )
    pending = _pending(kustomization, repository, commit)
    next_ = NextDeployment(app, pending) if pending is not None else None
    return DeployedApp(app, git_source(url, _ref(repository)), commit, next=next_)


def _applied(kustomization: Object) -> str:
    """The commit that was applied last. Raises: Unsupported: there is none."""
    status = section(kustomization, "status")
    applied, attempted = text(status, "lastAppliedRevision"), text(status, "lastAttemptedRevision")
    if attempted and text(condition(kustomization, "Ready"), "reason") in _FAILED_AFTER_APPLYING:
        applied = attempted
    if not applied:
        raise Unsupported("Flux has not applied it yet")
    if (commit := _commit_in(applied)) is None:
        raise Unsupported(f"the revision that Flux has applied ({applied}) names no commit")
    return commit


def _commit_in(revision: str) -> str | None:
    commit = _COMMIT.fullmatch(revision)
    return commit[1] if commit is not None else None


def _pending(kustomization: Object, repository: Object, applied: str) -> PendingRevision | None:
    """What Flux has fetched and not applied, or that it cannot fetch."""
    fetched = _commit_in(text(section(repository, "status", "artifact"), "revision"))
    suspended = section(repository, "spec").get("suspend") is True
    ready = condition(repository, "Ready")
    pending = PendingRevision(Deployer.FLUX.product, None)
    if fetched is None or fetched == applied:
        if text(ready, "status") == "False":
            return replace(pending, reason=f"its GitRepository cannot be fetched: {message_of(ready)}")
        return replace(pending, reason="its GitRepository is suspended") if suspended else None
    return replace(pending, revision=fetched, reason=_why_not_applied(kustomization, fetched))


def _why_not_applied(kustomization: Object, fetched: str) -> str | None:
    if section(kustomization, "spec").get("suspend") is True:
        return "it is suspended"
    ready = condition(kustomization, "Ready")
    if text(ready, "status") == "False":
        attempted = _commit_in(text(section(kustomization, "status"), "lastAttemptedRevision"))
        return message_of(ready) if attempted == fetched or text(ready, "reason") == "DependencyNotReady" else None
    return None


def _ref(repository: Object) -> Ref:
    """The reference that a GitRepository follows."""
    ref = section(repository, "spec", "ref")
    if name := text(ref, "name").removeprefix("refs/heads/").removeprefix("refs/tags/"):
        return Ref(RefKind.ANY, name) if not name.startswith("refs/") else Ref()  # all that counts is the commit
    for kind in (RefKind.COMMIT, RefKind.SEMVER, RefKind.TAG, RefKind.BRANCH):
        if value := text(ref, str(kind)):
            return Ref(kind, value)
    return Ref(RefKind.BRANCH, "master")


def _repository(kustomization: Object, repositories: Mapping[str, Object]) -> Object:
    reference = section(kustomization, "spec", "sourceRef")
    kind = text(reference, "kind")
    if kind != GIT_REPOSITORY[1]:
        raise Unsupported(f"it is deployed from {'an' if kind[:1] in 'AEIOU' else 'a'} {kind}, not from Git")
    name = f"{text(reference, 'namespace') or kustomization['metadata']['namespace']}/{text(reference, 'name')}"
    repository = repositories.get(name)
    if repository is None:
        raise Unsupported(f"its GitRepository {name} is not there, or cannot be read")
    if section(repository, "spec").get("include"):
        raise Unsupported(f"its GitRepository {name_of(repository)} includes other repositories")
    return repository


def _edits(spec: Object) -> str | None:
    edits = KustomizationFields()
    edits.set("namespace", text(spec, "targetNamespace"))
    edits.set("namePrefix", text(spec, "namePrefix"))
    edits.set("nameSuffix", text(spec, "nameSuffix"))
    edits.set("images", items(spec, "images"))
    edits.set("patches", list(items(spec, "patches")))
    edits.set("components", items(spec, "components"))
    edits.set(IGNORE_MISSING_COMPONENTS, spec.get(IGNORE_MISSING_COMPONENTS) is True)
    edits.set("buildMetadata", items(spec, "buildMetadata"))
    return edits.text()


def _pairs(pairs: Object) -> tuple[tuple[str, str], ...]:
    return tuple([(key, str(value)) for key, value in pairs.items()])


_Values = tuple[tuple[str, str], ...]


def _substitutions(kustomization: Object, variables: Variables) -> tuple[_Values, _Values]:
    """The values of its variables by name: those that may be shown, and those that come from Secrets."""
    found: dict[str, tuple[str, bool]] = {}
    for ref, optional in variable_sources(kustomization):
        if ref in variables:
            found |= {key: (value, ref.kind == "Secret") for key, value in variables[ref].items()}
        elif not optional:
            raise Unsupported(f"its variables come from {ref.kind} {ref.namespace}/{ref.name}, which cannot be read")
    own = section(kustomization, "spec", "postBuild", "substitute")
    found |= {key: (str(value), False) for key, value in own.items()}
    values = sorted((key, value.replace("\n", ""), is_secret) for key, (value, is_secret) in found.items())
    shown = tuple([(key, value) for key, value, is_secret in values if not is_secret])
    return shown, tuple([(key, value) for key, value, is_secret in values if is_secret])
