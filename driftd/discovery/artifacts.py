"""Flux' ExternalArtifacts that an ArtifactGenerator makes of folders of one Git repository.

Source: source-watcher 2.1, docs/spec/v1beta1/artifactgenerators.md.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from driftd.discovery.deployed import Object, items, section, text

ARTIFACT_GENERATOR = ("source.extensions.fluxcd.io", "ArtifactGenerator")

_FROM = re.compile(r"@(?P<alias>[^/]+)/(?:(?P<folder>.+)/)?\*\*")
_TO = re.compile(r"@artifact/(?P<folder>.*)")
_OVERWRITES = ("", "Overwrite")


def deployed_from_repository(kustomization: Object, generators: Iterable[Object]) -> Object:
    """The same Kustomization as if it were deployed from the repository that its ExternalArtifact is a part of.

    Unless its source is another one, or the artifact is more than folders of one repository at their places to each
    other: then it is as it was.
    """
    reference = section(kustomization, "spec", "sourceRef")
    if text(reference, "kind") != "ExternalArtifact":
        return kustomization
    namespace = text(reference, "namespace") or kustomization["metadata"]["namespace"]
    for generator in generators:
        if generator["metadata"]["namespace"] != namespace:
            continue
        for artifact in items(section(generator, "spec"), "artifacts"):
            if isinstance(artifact, Mapping) and text(artifact, "name") == text(reference, "name"):
                return _from_repository(kustomization, generator, artifact)
    return kustomization


def _from_repository(kustomization: Object, generator: Object, artifact: Object) -> Object:
    alias = text(artifact, "originRevision").removeprefix("@")
    repository = next((each for each in items(section(generator, "spec"), "sources") if _is_git(each, alias)), None)
    path = _path_in_repository(artifact, alias, text(section(kustomization, "spec"), "path"))
    if repository is None or path is None:
        return kustomization
    namespace = text(repository, "namespace") or generator["metadata"]["namespace"]
    reference = {"kind": "GitRepository", "name": text(repository, "name"), "namespace": namespace}
    status: dict[str, Any] = dict(section(kustomization, "status"))
    status["lastAppliedRevision"] = text(status, "lastAppliedOriginRevision")
    status.pop("lastAttemptedRevision", None)  # that of the artifact: the repository's is not known
    spec = {**section(kustomization, "spec"), "sourceRef": reference, "path": path}
    return {**kustomization, "spec": spec, "status": status}


def _is_git(source: Any, alias: str) -> bool:
    return isinstance(source, Mapping) and text(source, "alias") == alias and text(source, "kind") == "GitRepository"


def _path_in_repository(artifact: Object, alias: str, path: str) -> str | None:
    """Where a path of an artifact is in the repository; None if its parts are at other places to each other there."""
    roots = {_root(copy, alias) for copy in items(artifact, "copy")}
    root = roots.pop() if len(roots) == 1 else None
    return None if root is None else posixpath.join(root, path.removeprefix("./"))


def _root(copy: Any, alias: str) -> str | None:
    """The folder of the repository that is the artifact's root, as far as one copy says it."""
    origin, target = _FROM.fullmatch(text(copy, "from")), _TO.fullmatch(text(copy, "to"))
    if origin is None or target is None or origin["alias"] != alias:
        return None
    if items(copy, "exclude") or text(copy, "strategy") not in _OVERWRITES:
        return None
    folder, below = origin["folder"] or "", target["folder"].strip("/")
    if not below:
        return folder
    return folder.removesuffix(below).rstrip("/") if f"/{folder}".endswith(f"/{below}") else None
