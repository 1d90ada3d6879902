"""Which manager deploys an object, and which ones are controllers at their work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from driftd.diff.normalise import LAST_APPLIED
from driftd.diff.ownership import Entry
from driftd.diff.schema import Schema
from driftd.diff.step import step
from driftd.model.drift import FieldOwner
from driftd.model.resource import Json, JsonObject

CONTROLLERS: tuple[str, ...] = (
    "kube-controller-manager",
    "kube-apiserver",
    "kube-scheduler",
    "kubelet",
    "cloud-controller-manager",
    "aws-cloud-controller-manager",
    "azure-cloud-controller-manager",
    "gce-cloud-controller-manager",
    "cluster-autoscaler",
    "vpa-*",
    "horizontal-pod-autoscaler",
    "keda*",
    "cainjector",
    "cert-manager-*",
    "istiod*",
    "pilot-discovery",
    "linkerd-*",
    "external-dns*",
    "external-secrets*",
    "nginx-ingress-controller",
    "traefik*",
    "gatekeeper*",
    "kyverno*",
    "PrometheusOperator",
    "prometheus-operator",
    "argo-rollouts*",
    "rollouts-controller",
    "endpoint-controller",
    "deployment-controller",
    "snapshot-controller",
    "csi-*",
    "speaker",
    "metallb*",
    "node-problem-detector",
    "reloader*",
    "sealed-secrets*",
    "crossplane*",
)
"""Managers (by pattern) whose own fields are their work, not somebody's hand. Extensible by configuration."""

_HANDS = frozenset({
    "kubectl-annotate", "kubectl-autoscale", "kubectl-debug", "kubectl-edit", "kubectl-label", "kubectl-patch",
    "kubectl-rollout", "kubectl-scale", "kubectl-set", "kubectl-taint",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Managers:
    """Patterns of the managers that are trusted with fields that Git does not declare."""

    controllers: tuple[str, ...] = CONTROLLERS

    def trusted(self, owner: FieldOwner) -> bool:
        """Whether that is a controller at its work: by its name, or because it writes the status."""
        if owner.subresource == "status":
            return True
        return any(fnmatchcase(owner.manager, pattern) for pattern in self.controllers)


DEFAULT_MANAGERS = Managers()


@dataclass(frozen=True, slots=True)
class Deployer:
    """Who deploys an object: a manager by one operation, and what `kubectl apply` recorded of its last manifest."""

    manager: str | None
    operation: str | None
    last_applied: JsonObject | None = None

    def is_entry(self, entry: Entry) -> bool:
        owner = entry.owner
        return owner.manager == self.manager and owner.operation == self.operation and owner.subresource is None


def deployer(
    body: JsonObject,
    declared: Mapping[str, Any],
    schema: Schema | None,
    among: Sequence[Entry],
    managers: Managers = DEFAULT_MANAGERS,
) -> Deployer:
    """The manager that holds the most of what is declared; of two that hold the same, the one that applies.

    kubectl's verbs for a single change (`edit`, `patch`, `scale`…) do not deploy.
    An object that nobody but controllers wrote has none (`manager` is None).
    """
    recorded = last_applied(body)
    candidates = [
        e
        for e in among
        if e.owner.subresource is None and e.owner.manager not in _HANDS and not managers.trusted(e.owner)
    ]
    if not candidates:
        return Deployer(None, None, recorded)
    chosen = candidates[0]
    if len(candidates) > 1:
        chosen = max(candidates, key=lambda e: (held(e.fields, declared, schema), e.applies))
    return Deployer(chosen.owner.manager, chosen.owner.operation, recorded)


def held(fields: Mapping[str, Any], declared: Json, schema: Schema | None) -> int:
    """How many of the declared fields are in a set of owned ones."""
    count = 0
    for key, below in fields.items():
        found = step(declared, schema, key)
        if found is None:
            continue
        count += held(below, found.value, found.schema) if below else 1
    return count


def last_applied(body: JsonObject) -> dict[str, Any] | None:
    """What `kubectl apply` recorded as its last manifest, or None."""
    text = (body.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    if not isinstance(text, str):
        return None
    try:
        parsed = json.loads(text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
