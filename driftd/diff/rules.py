"""Which differences are nobody's drift by the nature of Kubernetes, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from driftd.model.drift import Change, FieldDrift
from driftd.model.path import format_path
from driftd.model.resource import ResourceRef


@dataclass(frozen=True, slots=True)
class Rule:
    """Differences that do not count. Patterns use `*` for any run of characters; an empty tuple matches everything."""

    name: str
    reason: str
    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    subresource: str | None = None
    changes: frozenset[Change] = frozenset(Change)

    def matches(self, ref: ResourceRef, drift: FieldDrift) -> bool:
        if drift.change not in self.changes or (self.kinds and ref.kind not in self.kinds):
            return False
        if self.managers:
            manager = drift.by.manager if drift.by else ""
            if not any(fnmatchcase(manager, pattern) for pattern in self.managers):
                return False
        if self.subresource is not None and (drift.by is None or drift.by.subresource != self.subresource):
            return False
        if not self.paths:
            return True
        path = format_path(drift.path)
        return any(_pattern(pattern).fullmatch(path) for pattern in self.paths)


_ADDED = frozenset({Change.ADDED})

DEFAULT_RULES: tuple[Rule, ...] = (
    Rule(
        "rollout-restart",
        "`kubectl rollout restart` only asks for new pods",
        paths=('spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]',),
        changes=_ADDED,
    ),
    Rule(
        "autoscaler-replicas",
        "an autoscaler owns the number of replicas",
        paths=("spec.replicas",),
        managers=("kube-controller-manager", "horizontal-pod-autoscaler", "keda*"),
        subresource="scale",
    ),
    Rule(
        "deployment-revision",
        "the Deployment controller counts revisions",
        paths=('metadata.annotations["deployment.kubernetes.io/*"]',),
        changes=_ADDED,
    ),
    Rule(
        "service-allocation",
        "the API server allocates addresses and ports",
        kinds=("Service",),
        paths=(
            "spec.clusterIP", "spec.clusterIPs", "spec.clusterIPs[*", "spec.ipFamilies*", "spec.ipFamilyPolicy",
            "spec.ports[*].nodePort", "spec.healthCheckNodePort", "spec.sessionAffinity",
            "spec.internalTrafficPolicy", "spec.externalTrafficPolicy", "spec.allocateLoadBalancerNodePorts",
        ),
        changes=_ADDED,
    ),
    Rule(
        "service-account-secrets",
        "the token controller lists the secrets of a ServiceAccount",
        kinds=("ServiceAccount",),
        paths=("secrets*",),
        changes=_ADDED,
    ),
    Rule(
        "volume-binding",
        "a claim is bound to its volume by a controller",
        kinds=("PersistentVolumeClaim",),
        paths=("spec.volumeName", 'metadata.annotations["pv.kubernetes.io/*"]', 'metadata.annotations["volume.*"]'),
        changes=_ADDED,
    ),
    Rule(
        "injected-ca",
        "certificates are injected where Git leaves them out",
        paths=("*.caBundle", "*.clientConfig.caBundle"),
        changes=_ADDED,
    ),
    Rule(
        "injected-ca-by-controller",
        "a certificate injector owns the bundle",
        paths=("*.caBundle",),
        managers=("cainjector", "cert-manager-cainjector", "kube-controller-manager", "gatekeeper*", "pilot-discovery"),
    ),
    Rule(
        "aggregated-cluster-role",
        "the rules of an aggregated ClusterRole come from the roles that it aggregates",
        kinds=("ClusterRole",),
        paths=("rules", "rules[*"),
        managers=("clusterrole-aggregation-controller", "kube-controller-manager"),
    ),
)  # fmt: skip


def matching(rules: tuple[Rule, ...], ref: ResourceRef, drift: FieldDrift) -> Rule | None:
    """The first rule that says that this difference does not count, or None."""
    return next((rule for rule in rules if rule.matches(ref, drift)), None)


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")))
