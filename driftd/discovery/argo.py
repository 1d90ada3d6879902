"""Argo CD's Applications as apps.

Source: argo-cd 3.6, pkg/apis/application/v1alpha1/types.go and reposerver/repository.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from driftd.discovery.argo_ignore import ignore_rules
from driftd.discovery.deployed import (
    DeployedApp,
    NotJudged,
    Object,
    Unsupported,
    app_name,
    git_source,
    items,
    section,
    text,
)
from driftd.discovery.overlay import Overlay
from driftd.git.source import Ref, RefKind, is_hash, is_ref_name
from driftd.model.app import App, HelmParameter, PlainFiles, RenderOptions
from driftd.model.errors import DriftdError
from driftd.model.json_text import encode_json

APPLICATION = ("argoproj.io", "Application")

_THIS_CLUSTER = frozenset({"https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local"})
_IN_CLUSTER = "in-cluster"
_BUILD_ENVIRONMENT = re.compile(r"\$\{?(?:ARGOCD_APP_|ARGOCD_ENV_|KUBE_VERSION|KUBE_API_VERSIONS)")
_COMMA = re.compile(r"(^|[^\\]),")
_IMAGE = re.compile(r"(?:(?P<old>[^=]+)=)?(?P<new>[^@]*?)(?::(?P<tag>[^:/@]+))?(?:@(?P<digest>.+))?")


def deployed_by_application(application: Object, cluster: str) -> Iterator[DeployedApp | NotJudged]:
    """What an Application deploys, an app for each of its sources."""
    name = app_name("application", application)
    try:
        _require_this_cluster(application)
        sources, revisions = _applied(application)
        several = len([source for source in sources if not _is_reference(source)]) > 1
        for number, (source, revision) in enumerate(zip(sources, revisions, strict=True), 1):
            if _is_reference(source):
                continue
            each = f"{name}#{number}" if several else name
            try:
                yield _deployed(each, application, source, revision, _Siblings(sources, revisions), cluster)
            except (Unsupported, DriftdError) as error:
                yield NotJudged(each, str(error), _repositories(application))
    except (Unsupported, DriftdError) as error:
        yield NotJudged(name, str(error), _repositories(application))


def _require_this_cluster(application: Object) -> None:
    destination = section(application, "spec", "destination")
    server, name = text(destination, "server"), text(destination, "name")
    if server.rstrip("/") not in _THIS_CLUSTER and name != _IN_CLUSTER:
        raise Unsupported(
            f"it deploys to another cluster ({server or name or 'none is named'}): run driftd there, "
            "or configure that cluster"
        )


def _applied(application: Object) -> tuple[list[Object], list[str]]:
    """The sources that were applied last, and the commit of each.

    The history says it; the specification may have been changed since, and not been synced yet.
    """
    history = items(section(application, "status"), "history")
    latest = history[-1] if history and isinstance(history[-1], Mapping) else None
    if latest is None:
        raise Unsupported("Argo CD has not synced it yet")
    sources = [each for each in items(latest, "sources") if isinstance(each, Mapping)] or [section(latest, "source")]
    revisions = [str(each) for each in items(latest, "revisions")] or [text(latest, "revision")]
    if len(revisions) != len(sources):
        raise Unsupported("its last sync does not say which commit of each source was applied")
    return sources, revisions


def _repositories(application: Object) -> tuple[str, ...]:
    """The addresses of all of its sources: values files of a chart may come from another one than the chart."""
    spec = section(application, "spec")
    sources = [section(spec, "source"), *(each for each in items(spec, "sources") if isinstance(each, Mapping))]
    return tuple([text(source, "repoURL") for source in sources if text(source, "repoURL")])


class _Siblings:
    """The sources of one Application: values files of one may be in the repository of another."""

    def __init__(self, sources: list[Object], revisions: list[str]) -> None:
        self._by_reference = {
            text(source, "ref"): (text(source, "repoURL"), revision)
            for source, revision in zip(sources, revisions, strict=True)
            if text(source, "ref")
        }

    def values_file(self, file: str, repository: str, revision: str) -> str:
        """A path from the root of the source's own repository. Raises: Unsupported: it is in another one."""
        reference, _, path = file[1:].partition("/")
        if self._by_reference.get(reference) != (repository, revision):
            raise Unsupported(f"its values file {file} is in another repository than its chart")
        return f"/{path}"


def _is_reference(source: Object) -> bool:
    """Whether a source is there for the values files of another one only."""
    return bool(text(source, "ref")) and not text(source, "path") and not text(source, "chart")


def _deployed(
    name: str, application: Object, source: Object, revision: str, siblings: _Siblings, cluster: str
) -> DeployedApp:
    repository = text(source, "repoURL")
    if text(source, "chart"):
        raise Unsupported(f"its chart {text(source, 'chart')} comes from the Helm repository {_shown(repository)}")
    if "plugin" in source:
        raise Unsupported("a config management plugin renders it")
    if not is_hash(revision):
        raise Unsupported("its last sync does not name a commit")
    namespace = text(section(application, "spec", "destination"), "namespace") or None
    app = App(
        name=name,
        source=repository,
        cluster=cluster,
        path=_folder(text(source, "path")),
        namespace=namespace,
        deploys=False,
        rendering=RenderOptions(
            release=text(section(source, "helm"), "releaseName") or application["metadata"]["name"],
            namespace=namespace or "default",
            plain=_plain_files(section(source, "directory")),
            overlay=_overlay(section(source, "kustomize")),
            **_helm_options(section(source, "helm"), repository, revision, siblings),
        ),
    )
    return DeployedApp(app, git_source(repository, _ref(source)), revision, ignore_rules(application))


def _ref(source: Object) -> Ref:
    """The reference that a source follows; the default branch where it is a range of versions."""
    target = text(source, "targetRevision")
    return Ref(RefKind.ANY, target) if target not in ("", "HEAD") and is_ref_name(target) else Ref()


def _folder(path: str) -> str:
    folder = posixpath.normpath(path.strip("/") or ".")
    return "" if folder == "." else folder


def _shown(url: str) -> str:
    """An address without what may be a password."""
    return url.rpartition("@")[2]


def _plain_files(directory: Object) -> PlainFiles:
    if section(directory, "jsonnet"):
        raise Unsupported("it is rendered with jsonnet")
    return PlainFiles(
        recurse=directory.get("recurse") is True, include=text(directory, "include"), exclude=text(directory, "exclude")
    )


def _overlay(kustomize: Object) -> str | None:
    labels = section(kustomize, "commonLabels")
    annotations = section(kustomize, "commonAnnotations")
    if kustomize.get("commonAnnotationsEnvsubst") is True:
        _require_no_environment("its annotations", str(annotations))
    overlay = Overlay()
    overlay.set("namespace", text(kustomize, "namespace"))
    overlay.set("namePrefix", text(kustomize, "namePrefix"))
    overlay.set("nameSuffix", text(kustomize, "nameSuffix"))
    overlay.add_labels(
        labels,
        selectors=kustomize.get("labelWithoutSelector") is not True,
        templates=kustomize.get("labelIncludeTemplates") is True,
    )
    overlay.set("commonAnnotations", annotations)
    overlay.set("images", [_image(str(each)) for each in items(kustomize, "images")])
    overlay.set("replicas", [_replicas(each) for each in items(kustomize, "replicas")])
    overlay.set("patches", items(kustomize, "patches"))
    overlay.set("components", items(kustomize, "components"))
    return overlay.text()


def _image(override: str) -> dict[str, str]:
    """An image as `kustomize edit set image` takes it: `[NAME=]NEW[:TAG][@DIGEST]`."""
    match = _IMAGE.fullmatch(override)
    if match is None:
        raise Unsupported(f"its image {override!r} cannot be read")
    new = match["new"]
    image = {"name": match["old"] or new, "newName": new if match["old"] and new else ""}
    image |= {"newTag": match["tag"] or "", "digest": match["digest"] or ""}
    return {key: value for key, value in image.items() if value}


def _replicas(each: Any) -> dict[str, Any]:
    if not isinstance(each, Mapping) or not str(each.get("count")).isdecimal():
        raise Unsupported("its replicas cannot be read")
    return {"name": text(each, "name"), "count": int(str(each["count"]))}


def _helm_options(helm: Object, repository: str, revision: str, siblings: _Siblings) -> dict[str, Any]:
    if items(helm, "fileParameters"):
        raise Unsupported("its chart takes parameters from files")
    values = [text(helm, "values")] if text(helm, "values") else []
    if section(helm, "valuesObject"):
        values = [encode_json(helm["valuesObject"]).decode()]  # it takes the place of the text
    parameters = []
    for each in items(helm, "parameters"):
        value = text(each, "value")
        _require_no_environment("a parameter of its chart", value)
        if not value.startswith("{"):
            value = _COMMA.sub(r"\1\\,", value)
        parameters.append(HelmParameter(text(each, "name"), value, is_string=each.get("forceString") is True))
    files = [str(file) for file in items(helm, "valueFiles")]
    _require_no_environment("a values file of its chart", " ".join(files))
    return {
        "values_files": tuple(
            siblings.values_file(file, repository, revision) if file.startswith("$") else file for file in files
        ),
        "values": tuple(values),
        "parameters": tuple(parameters),
        "skip_crds": helm.get("skipCrds") is True,
        "ignore_missing_values_files": helm.get("ignoreMissingValueFiles") is True,
    }


def _require_no_environment(what: str, value: str) -> None:
    if _BUILD_ENVIRONMENT.search(value):
        raise Unsupported(f"{what} refers to Argo CD's build environment")
