"""The Helm chart, rendered by the real helm, and what it renders in the form that kustomize's output has."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.manifests import DEPLOY, objects

CHART = DEPLOY / "chart"
_OF_HELM = (
    "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by",
    "helm.sh/chart",
)  # fmt: skip
"""Labels by which Helm's users find what a release has; kustomize adds none of them."""

Values = Mapping[str, Any]


def run_template(
    helm: Path, values: Values | None = None, *, release: str = "driftd", chart: Path = CHART
) -> subprocess.CompletedProcess[str]:
    """`helm template` into the namespace driftd, with values as from a file."""
    command = [helm, "template", release, chart, "--namespace", "driftd", "--values", "-"]
    return subprocess.run(command, input=json.dumps(values or {}), capture_output=True, text=True, check=False)


def template(helm: Path, values: Values | None = None, *, release: str = "driftd", chart: Path = CHART) -> str:
    """The output of `helm template`, which has to succeed without a warning."""
    done = run_template(helm, values, release=release, chart=chart)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def comparable(manifests: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The objects by kind, namespace and name, without the Namespace and without what only Helm's users want.

    The configuration is parsed, since its comments are no part of what is installed. Ports are sorted: their order
    means nothing, and kustomize puts a component's first.
    """
    found = {}
    for obj in map(_without_helms_labels, objects(manifests)):
        if obj["kind"] == "Namespace":  # helm has --create-namespace for it
            continue
        if obj["kind"] == "ConfigMap":
            obj["data"] = {name: yaml.safe_load(text) for name, text in obj["data"].items()}
        pod = obj.get("spec", {}).get("template", {}).get("spec", {})
        for ports in [obj["spec"]] if obj["kind"] == "Service" else pod.get("containers", ()):
            ports["ports"].sort(key=itemgetter("name"))
        metadata = obj["metadata"]
        key = (obj["kind"], metadata.get("namespace", ""), metadata["name"])
        assert key not in found, key
        found[key] = obj
    return found


def _without_helms_labels(obj: dict[str, Any]) -> dict[str, Any]:
    obj = copy.deepcopy(obj)
    for name in _OF_HELM:
        obj["metadata"].get("labels", {}).pop(name, None)
    spec = obj.get("spec", {})
    for selector in (spec.get("selector", {}), spec.get("podSelector", {})):
        for labels in (selector, selector.get("matchLabels", {})):
            labels.pop("app.kubernetes.io/instance", None)
    spec.get("template", {}).get("metadata", {}).get("labels", {}).pop("app.kubernetes.io/instance", None)
    return obj
