"""Flux' Kustomizations as apps.

Source: kustomize-controller 1.9, docs/spec/v1/kustomizations.md; source-controller, docs/spec/v1/gitrepositories.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from driftd.discovery.deployed import (
    DeployedApp,
    NotJudged,
    Object,
    Unsupported,
    app_name,
    items,
    section,
    text,
)
from driftd.discovery.flux_ignore import ignore_rules
from driftd.discovery.flux_sources import Sources
from driftd.discovery.flux_sync import applied_revision, pending_revision
from driftd.discovery.kustomize import KustomizationFields
from driftd.model.app import App, PlainFiles, RenderOptions
from driftd.model.errors import DriftdError
from driftd.model.next_deployment import NextDeployment
from driftd.model.resource import ResourceRef
from driftd.render.kustomization_edits import IGNORE_MISSING_COMPONENTS

KUSTOMIZATION = ("kustomize.toolkit.fluxcd.io", "Kustomization")

Variables = Mapping[ResourceRef, Mapping[str, str]]
"""The data of the ConfigMaps and Secrets that were read for variables."""


def deployed_by_kustomization(
    kustomization: Object, sources: Sources, variables: Variables, cluster: str
) -> Iterator[DeployedApp | NotJudged]:
    """What a Kustomization deploys."""
    name = app_name("kustomization", kustomization)
    try:
        yield _deployed(name, kustomization, sources, variables, cluster)
    except (Unsupported, DriftdError) as error:
        yield NotJudged(name, str(error), sources.repositories_of(kustomization))


def variable_sources(kustomization: Object) -> Sequence[tuple[ResourceRef, bool]]:
    """The ConfigMaps and Secrets that it takes variables from, and whether each may be missing."""
    namespace = kustomization["metadata"]["namespace"]
    return [
        (ResourceRef("", text(each, "kind"), namespace, text(each, "name")), each.get("optional") is True)
        for each in items(section(kustomization, "spec", "postBuild"), "substituteFrom")
        if isinstance(each, Mapping)
    ]


def _deployed(name: str, kustomization: Object, sources: Sources, variables: Variables, cluster: str) -> DeployedApp:
    spec = section(kustomization, "spec")
    if "kubeConfig" in spec:
        raise Unsupported("it deploys to another cluster: run driftd there, or configure that cluster")
    found = sources.of(kustomization, applied_revision(kustomization))
    shown, secret = _substitutions(kustomization, variables)
    namespace = text(spec, "targetNamespace") or None
    app = App(
        name=name,
        source=found.url,
        cluster=cluster,
        path=text(spec, "path").removeprefix("./").strip("/").removeprefix("."),
        namespace=namespace,
        deploys=False,
        rendering=RenderOptions(
            release=kustomization["metadata"]["name"],
            namespace=namespace or "default",
            plain=PlainFiles(source_ignore=found.ignored),
            edits=_edits(spec),
            labels=_pairs(section(spec, "commonMetadata", "labels")),
            annotations=_pairs(section(spec, "commonMetadata", "annotations")),
            substitutions=shown,
            secret_substitutions=secret,
            allow_empty=True,  # Flux takes it for what is meant
        ),
    )
    pending = pending_revision(kustomization, found.body, found.applied.partition(" ")[0])
    next_ = NextDeployment(app, pending) if pending is not None else None
    return DeployedApp(app, found.source, found.applied, ignore_rules(items(spec, "ignore"), "spec.ignore"), next_)


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
