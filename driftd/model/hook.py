"""Hooks: objects that a deployer creates when something happens, and that are not there to stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from driftd.model.resource import Json, Source

_ANNOTATIONS = ("helm.sh/hook", "argocd.argoproj.io/hook", "kluctl.io/hook")
GENERATED = "generateName"
"""Of an object that is no hook, and has no name."""

_CRD_INSTALL = "crd-install"
"""What Helm 2 wrote at CRDs, which are there to stay. Source: argoproj/gitops-engine, pkg/sync/hook/helm."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A declared object that is no part of the desired state. `name` is its generateName where it has no name.

    `when` is the value of its annotation: `pre-install`, `PreSync,Sync`; `generateName` of one that is no hook, and has
    no name, so that each deployment creates another one.
    """

    api_version: str
    kind: str
    namespace: str | None
    name: str
    when: str
    source: Source


def hook_when(body: Json) -> str | None:
    """When an object is created that is no part of the desired state; None for others. `body` may be anything."""
    metadata = body.get("metadata") if isinstance(body, Mapping) else None
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    if isinstance(annotations, Mapping):
        when = next((annotations[key] for key in _ANNOTATIONS if key in annotations), None)
        if when is not None and when != _CRD_INSTALL:
            return str(when)
    is_generated = isinstance(metadata, Mapping) and not metadata.get("name") and metadata.get("generateName")
    return GENERATED if is_generated else None


def hook_of(body: Json, source: Source) -> Hook | None:
    """The hook that an object declares, or None if it is an ordinary object."""
    when = hook_when(body)
    if when is None:
        return None
    metadata = body["metadata"]
    name, namespace = metadata.get("name") or metadata.get("generateName"), metadata.get("namespace")
    return Hook(
        api_version=str(body.get("apiVersion") or ""),
        kind=str(body.get("kind") or ""),
        namespace=str(namespace) if namespace else None,
        name=str(name or ""),
        when=when,
        source=source,
    )
