"""Known field managers: controllers with the fields that they are trusted with, deployers, and interactive tools.

Extensible by configuration. Managers are identified by name alone, and any client may choose any name: so a controller
is trusted only with the fields that it has to write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache

from driftd.diff.rules.globs import matches_any
from driftd.model.drift import FieldOwner


@dataclass(frozen=True, slots=True)
class TrustedController:
    """A controller (a pattern of manager names) and the undeclared fields that it may write.

    Empty `kinds` mean all kinds, empty `paths` all fields; `*` in a path matches any run of characters.
    """

    manager: str
    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def covers(self, kind: str, path: str) -> bool:
        return (not self.kinds or kind in self.kinds) and (not self.paths or matches_any(self.paths, path))


_CA = "*caBundle"
_META = ("metadata.annotations*", "metadata.labels*", "metadata.finalizers*", "metadata.ownerReferences*")
_LINKS = ("metadata.finalizers*", "metadata.ownerReferences*")
_SCALE = ("spec.replicas", "spec.minReplicas", "spec.maxReplicas")
_PODS = ("*metadata.annotations*", "*metadata.labels*", "*spec.containers*", "*spec.initContainers*", "*spec.volumes*")

TRUSTED_CONTROLLERS: tuple[TrustedController, ...] = (
    # Kubernetes' own components, which write all kinds.
    *(
        TrustedController(name)
        for name in (
            "kube-controller-manager", "kube-apiserver", "kube-scheduler", "kubelet", "cloud-controller-manager",
            "*-cloud-controller-manager", "endpoint-controller", "deployment-controller",
            "clusterrole-aggregation-controller", "horizontal-pod-autoscaler", "node-problem-detector",
            "cluster-autoscaler", "snapshot-controller", "kubeadm", "k3s", "rke2",
        )
    ),
    TrustedController("vpa-*", ("*resources*", *_META), ()),
    TrustedController("keda*", (*_META, *_SCALE)),
    TrustedController("cainjector", (_CA, *_META)),
    TrustedController("cert-manager-*", (_CA, *_META, "data*", "type")),
    TrustedController("istiod*", (_CA, *_META, *_PODS)),
    TrustedController("pilot-discovery", (_CA, *_META, *_PODS)),
    TrustedController("linkerd-*", (_CA, *_META, *_PODS)),
    TrustedController("external-dns*", _META),
    TrustedController("external-secrets*", (*_META, "data*", "type", "immutable")),
    TrustedController("sealed-secrets*", (*_META, "data*", "type")),
    TrustedController("nginx-ingress-controller", _META),
    TrustedController("traefik*", _META),
    TrustedController("gatekeeper*", (_CA, *_META)),
    TrustedController("kyverno*", (_CA, *_META)),
    TrustedController("PrometheusOperator", (*_META, "spec.*"), ("StatefulSet", "Secret", "ConfigMap")),
    TrustedController("prometheus-operator", (*_META, "spec.*"), ("StatefulSet", "Secret", "ConfigMap")),
    TrustedController("argo-rollouts*", ("spec.selector*", *_META), ()),
    TrustedController("rollouts-controller", ("spec.selector*", *_META, *_SCALE)),
    TrustedController("flagger", ("spec.selector*", *_META, *_SCALE)),
    TrustedController("csi-*", (*_META, "spec.volumeName"), ()),
    TrustedController("speaker", _META, ("Service",)),
    TrustedController("metallb*", _META, ("Service",)),
    TrustedController("reloader*", ("spec.template.metadata.annotations*", "spec.template.spec.containers[*].env*")),
    TrustedController("crossplane*", (*_META, "spec.*"), ()),
    TrustedController("*-operator", _LINKS),
    TrustedController("manager", _LINKS),
)  # fmt: skip
"""The controllers that are trusted by default."""

INTERACTIVE_TOOLS: tuple[str, ...] = (
    "kubectl-edit", "kubectl-patch", "kubectl-set", "kubectl-label", "kubectl-annotate", "kubectl-scale",
    "kubectl-rollout", "kubectl-taint", "kubectl-autoscale", "k9s", "node-fetch", "Mozilla", "dashboard", "octant",
    "lens*", "headlamp*",
)  # fmt: skip
"""Managers that people change single fields with: none of these ever deploys an object."""

DEPLOYERS: tuple[str, ...] = (
    "kubectl-client-side-apply", "helm", "Helm", "helm-controller", "kustomize-controller", "argocd-*", "argocd",
    "flux*", "Terraform", "HashiCorp", "terraform*", "pulumi*", "kapp*", "fleet*", "driftd", "werf", "skaffold",
    "tilt", "garden*", "ansible*", "spinnaker*", "carvel*", "config-sync*", "configsync*", "rancher-*",
)  # fmt: skip
"""Managers that deploy whole objects."""

GITOPS_CONTROLLERS: tuple[str, ...] = (
    "helm-controller", "kustomize-controller", "argocd-*", "fleet*", "driftd", "configsync*",
)  # fmt: skip
"""Deployers that no person uses: fields under their names were set by them, or by admission of their requests."""


@dataclass(frozen=True, slots=True)
class Managers:
    """Classifies field managers by name."""

    controllers: tuple[TrustedController, ...] = TRUSTED_CONTROLLERS
    interactive_tools: tuple[str, ...] = INTERACTIVE_TOOLS
    deployers: tuple[str, ...] = DEPLOYERS
    _controllers_by_name: dict[str, tuple[TrustedController, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def extended(self, *, controllers: tuple[str, ...] = (), deployers: tuple[str, ...] = ()) -> Managers:
        """The same with additional controllers (patterns, trusted with every field) and deployers."""
        additional = tuple(TrustedController(pattern) for pattern in controllers)
        return Managers((*self.controllers, *additional), self.interactive_tools, (*self.deployers, *deployers))

    def is_controller(self, owner: FieldOwner) -> bool:
        """Whether this is a controller, by name or because it writes the status; controllers deploy nothing."""
        if owner.subresource == "status":
            return True
        return bool(self._controllers_named(owner.manager))

    def is_trusted(self, owner: FieldOwner, kind: str | None = None, path: str | None = None) -> bool:
        """Whether this is a controller that is trusted with the field at `path`; without `path`, with every field."""
        if owner.subresource == "status":
            return True
        controllers = self._controllers_named(owner.manager)
        if path is None:
            return any(not controller.paths and not controller.kinds for controller in controllers)
        return any(controller.covers(kind or "", path) for controller in controllers)

    def _controllers_named(self, manager: str) -> tuple[TrustedController, ...]:
        controllers = self._controllers_by_name.get(manager)
        if controllers is None:
            controllers = tuple(c for c in self.controllers if fnmatchcase(manager, c.manager))
            self._controllers_by_name[manager] = controllers
        return controllers

    def is_interactive(self, owner: FieldOwner) -> bool:
        return _matches_any(owner.manager, self.interactive_tools)

    def is_deployer(self, owner: FieldOwner) -> bool:
        return _matches_any(owner.manager, self.deployers)


@lru_cache(maxsize=1024)
def _matches_any(manager: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(manager, pattern) for pattern in patterns)


@lru_cache(maxsize=1024)
def is_gitops_controller(manager: str) -> bool:
    return any(fnmatchcase(manager, pattern) for pattern in GITOPS_CONTROLLERS)


DEFAULT_MANAGERS = Managers()
