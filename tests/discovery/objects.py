"""The objects of Argo CD and Flux, as these write them."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

IN_CLUSTER = "https://kubernetes.default.svc"


def application(
    source: dict[str, Any], commit: str | None, *, name: str = "web", namespace: str = "web", **spec: Any
) -> dict[str, Any]:
    """An Application that was synced at a commit, or never."""
    status: dict[str, Any] = {"sync": {"status": "Synced", "revision": commit or ""}}
    if commit is not None:
        status["history"] = [
            {
                "id": 0,
                "revision": "0" * 40,
                "source": {**source, "path": "before"},
                "deployedAt": "2026-01-01T00:00:00Z",
            },
            {"id": 1, "revision": commit, "source": source, "deployedAt": "2026-01-02T00:00:00Z"},
        ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": source,
            "destination": {"server": IN_CLUSTER, "namespace": namespace},
            **spec,
        },
        "status": status,
    }


def git_repository(url: str, *, name: str = "shop", **spec: Any) -> dict[str, Any]:
    """A GitRepository that follows `main`."""
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {"url": url, "interval": "1m", "ref": {"branch": "main"}, **spec},
    }


def kustomization(path: str, commit: str | None, *, name: str = "web", **spec: Any) -> dict[str, Any]:
    """A Kustomization that was applied at a commit, or never."""
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {
            "path": path,
            "interval": "10m",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": "shop"},
            **spec,
        },
        "status": {"lastAppliedRevision": f"main@sha1:{commit}"} if commit else {},
    }


def helm_release(name: str, version: int | None, *, namespace: str = "web", **spec: Any) -> dict[str, Any]:
    """A HelmRelease that installed a revision of a release of the same name, or none yet."""
    history = [{"name": name, "namespace": namespace, "version": version, "status": "deployed"}] if version else []
    return {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {"interval": "10m", "targetNamespace": namespace, **spec},
        "status": {"storageNamespace": namespace, "history": history},
    }


def stored_release(
    manifest: str, *, name: str = "web", namespace: str = "web", version: int = 3, kind: str = "Secret"
) -> dict[str, Any]:
    """A release as Helm stores it: JSON, packed, as base64, and in a Secret as base64 once more."""
    release = {
        "name": name,
        "namespace": namespace,
        "version": version,
        "manifest": manifest,
        "info": {"status": "deployed", "last_deployed": "2026-02-03T04:05:06.123456789Z"},
        "chart": {"metadata": {"name": "shop", "version": "1.2.3"}},
    }
    text = base64.b64encode(gzip.compress(json.dumps(release).encode()))
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": f"sh.helm.release.v1.{name}.v{version}", "namespace": namespace},
        "data": {"release": (base64.b64encode(text) if kind == "Secret" else text).decode()},
    }
