"""The objects of Argo CD and Flux, as these write them."""

from __future__ import annotations

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
