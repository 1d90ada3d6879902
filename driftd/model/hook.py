"""Hooks: objects that a deployer creates when something happens, and that are not there to stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from driftd.model.resource import Json, Source

_ANNOTATIONS = ("helm.sh/hook", "argocd.argoproj.io/hook", "kluctl.io/hook")
_CRD_INSTALL = "crd-install"
"""What Helm 2 wrote at CRDs, which are there to stay. Source: argoproj/gitops-engine, pkg/sync/hook/helm."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A declared object that is no part of the desired state. `name` is its generateName where it has no name.

    `when` is the value of its annotation: `pre-install`, `PreSync,Sync`.
    """

    api_version: str
    kind: str
    namespace: str | None
    name: str
    when: str
    source: Source


def hook_when(body: Json) -> str | None:
    """When an object's deployer creates it, if it is a hook; else None. `body` may be anything that was parsed."""
    metadata = body.get("metadata") if isinstance(body, Mapping) else None
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    if not isinstance(annotations, Mapping):
        return None
    when = next((annotations[key] for key in _ANNOTATIONS if key in annotations), None)
    return None if when is None or when == _CRD_INSTALL else str(when)


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
