"""How an app is rendered."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.model.errors import RenderError
from driftd.model.resource import Manifest


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What rendering needs besides the files.

    `namespace` is that of objects that name none; `release` is Helm's release name. `values_files` are Helm's, in the
    order in which they override each other: relative to the chart, or to the repository's root with a leading `/`.
    `kustomize` and `helm` are programs by name or path; `timeout` is in seconds, for each run of one of them.
    `kube_version` and `api_versions` are what a chart sees as the cluster's capabilities; without them, Helm's own.
    """

    release: str = "release"
    namespace: str = "default"
    values_files: tuple[str, ...] = ()
    kustomize: str = "kustomize"
    helm: str = "helm"
    timeout: float = 60.0
    kube_version: str | None = None
    api_versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Objects:
    """What a part of an app declares, and what of it could not be read."""

    manifests: tuple[Manifest, ...] = ()
    errors: tuple[RenderError, ...] = ()
