"""The corpora in repositories as people keep them: a folder for each project."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

PROJECTS = ("kube-prometheus", "istio", "knative", "pinniped", "cert-manager", "gatekeeper")
EXAMPLES = "argocd-example-apps"
FLUX_EXAMPLE = "flux2-kustomize-helm-example"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

_WORDS = {
    "knative": ("knative",),
    "pinniped": ("pinniped", "local-user-authenticator"),
    "cert-manager": ("cert-manager",),
    "gatekeeper": ("gatekeeper", "k8srequiredlabels", "pod-must-have-gk"),
    "istio": ("istio",),
}
_REFUSED = ("_--k8srequiredlabels.constraints.gatekeeper.sh", "knative-serving--webhook-192", "_--pod-must-have-gk")
"""What no API server takes: see `tests/corpora/test_corpora_on_a_real_cluster.py`."""


def write_projects(corpora: Path, into: Path) -> None:
    """Copies the manifests of each project into a folder of its name."""
    for file in sorted((corpora / "kube-prometheus").rglob("*.yaml")):
        _copy(file, into / "kube-prometheus" / file.relative_to(corpora / "kube-prometheus"))
    for file in sorted((corpora / "kapp-examples").rglob("*.yaml")):
        if not file.name.startswith(_REFUSED):
            _copy(file, into / _project(file.name) / file.relative_to(corpora / "kapp-examples"))


def _project(name: str) -> str:
    return next(project for project, words in _WORDS.items() if any(word in name for word in words))


def write_example(corpora: Path, name: str, into: Path) -> None:
    """Copies an example repository as it is."""
    for file in sorted((corpora / name).rglob("*")):
        if file.is_file():
            _copy(file, into / file.relative_to(corpora / name))


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)  # without its mode: the corpora may be read-only


def definition(group: str, version: str, kind: str, plural: str, *, cluster: bool = False) -> dict[str, Any]:
    """A CRD of a kind that the corpora have objects of, and no CRD."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": group,
            "scope": "Cluster" if cluster else "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": ANYTHING},
                    "subresources": {"status": {}},
                }
            ],
        },
    }
