"""Flux' Kustomizations as apps.

Source: kustomize-controller 1.9, docs/spec/v1/kustomizations.md; source-controller, docs/spec/v1/gitrepositories.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from driftd.discovery.deployed import (
    DeployedApp,
    NotJudged,
    Object,
    Unsupported,
    app_name,
    git_source,
    items,
    name_of,
    section,
    text,
)
from driftd.discovery.overlay import Overlay
from driftd.git.source import Ref, RefKind
from driftd.model.app import App, PlainFiles, RenderOptions
from driftd.model.errors import DriftdError
from driftd.model.resource import ResourceRef

KUSTOMIZATION = ("kustomize.toolkit.fluxcd.io", "Kustomization")
GIT_REPOSITORY = ("source.toolkit.fluxcd.io", "GitRepository")

_COMMIT = re.compile(r"(?:.*[@/])?(?:sha1:|sha256:)?([0-9a-f]{40}|[0-9a-f]{64})")
"""`main@sha1:HEX`, `refs/heads/main@sha1:HEX`, `sha1:HEX`; before Flux 2 `main/HEX`."""

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
        yield NotJudged(name, str(error), _repositories(kustomization, repositories))


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
    applied = text(section(kustomization, "status"), "lastAppliedRevision")
    if not applied:
        raise Unsupported("Flux has not applied it yet")
    commit = _COMMIT.fullmatch(applied)
    if commit is None:
        raise Unsupported(f"the revision that Flux has applied ({applied}) names no commit")
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
            overlay=_overlay(spec),
            substitutions=shown,
            secret_substitutions=secret,
            allow_empty=True,  # Flux takes it for what is meant
        ),
    )
    return DeployedApp(app, git_source(url, _ref(repository)), commit[1])


def _ref(repository: Object) -> Ref:
    """The reference that a GitRepository follows."""
    ref = section(repository, "spec", "ref")
    for kind in (RefKind.COMMIT, RefKind.SEMVER, RefKind.TAG, RefKind.BRANCH):
        if value := text(ref, str(kind)):
            return Ref(kind, value)
    return Ref(RefKind.BRANCH, "master")


def _repositories(kustomization: Object, repositories: Mapping[str, Object]) -> tuple[str, ...] | None:
    """The address of its repository; none where it is not deployed from Git, None where that is not known."""
    if text(section(kustomization, "spec", "sourceRef"), "kind") != GIT_REPOSITORY[1]:
        return ()
    repository = repositories.get(_repository_name(kustomization))
    return None if repository is None else (text(section(repository, "spec"), "url"),)


def _repository_name(kustomization: Object) -> str:
    reference = section(kustomization, "spec", "sourceRef")
    return f"{text(reference, 'namespace') or kustomization['metadata']['namespace']}/{text(reference, 'name')}"


def _repository(kustomization: Object, repositories: Mapping[str, Object]) -> Object:
    kind = text(section(kustomization, "spec", "sourceRef"), "kind")
    if kind != GIT_REPOSITORY[1]:
        raise Unsupported(f"it is deployed from {'an' if kind[:1] in 'AEIOU' else 'a'} {kind}, not from Git")
    name = _repository_name(kustomization)
    repository = repositories.get(name)
    if repository is None:
        raise Unsupported(f"its GitRepository {name} is not there, or cannot be read")
    if section(repository, "spec").get("include"):
        raise Unsupported(f"its GitRepository {name_of(repository)} includes other repositories")
    return repository


def _overlay(spec: Object) -> str | None:
    metadata = section(spec, "commonMetadata")
    overlay = Overlay()
    overlay.set("namespace", text(spec, "targetNamespace"))
    overlay.set("namePrefix", text(spec, "namePrefix"))
    overlay.set("nameSuffix", text(spec, "nameSuffix"))
    overlay.set("images", items(spec, "images"))
    overlay.set("patches", list(items(spec, "patches")))
    overlay.set("components", items(spec, "components"))
    overlay.add_labels(section(metadata, "labels"), selectors=False)
    overlay.add_metadata(section(metadata, "annotations"))
    return overlay.text()


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
