"""Which managers are controllers at their work, which fields that covers, and which names are a person's tools.

Extensible by configuration. A name stands for what wrote the field: managers are taken at their word, for whoever may
write to the API may also choose a name; so a controller is trusted only with the fields that are its work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache

from driftd.diff.globs import matches_any
from driftd.model.drift import FieldOwner


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller (by a pattern of its manager's name) and the undeclared fields that are its work.

    Empty `kinds` are all kinds, empty `paths` all fields; `*` in a path stands for any run of characters.
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

CONTROLLERS: tuple[Controller, ...] = (
    # Kubernetes itself: its names belong to the cluster's own machinery, and its work is in all kinds.
    *(
        Controller(name)
        for name in (
            "kube-controller-manager", "kube-apiserver", "kube-scheduler", "kubelet", "cloud-controller-manager",
            "*-cloud-controller-manager", "endpoint-controller", "deployment-controller",
            "clusterrole-aggregation-controller", "horizontal-pod-autoscaler", "node-problem-detector",
            "cluster-autoscaler", "snapshot-controller", "kubeadm", "k3s", "rke2",
        )
    ),
    Controller("vpa-*", ("*resources*", *_META), ()),
    Controller("keda*", (*_META, *_SCALE)),
    Controller("cainjector", (_CA, *_META)),
    Controller("cert-manager-*", (_CA, *_META, "data*", "type")),
    Controller("istiod*", (_CA, *_META, *_PODS)),
    Controller("pilot-discovery", (_CA, *_META, *_PODS)),
    Controller("linkerd-*", (_CA, *_META, *_PODS)),
    Controller("external-dns*", _META),
    Controller("external-secrets*", (*_META, "data*", "type", "immutable")),
    Controller("sealed-secrets*", (*_META, "data*", "type")),
    Controller("nginx-ingress-controller", _META),
    Controller("traefik*", _META),
    Controller("gatekeeper*", (_CA, *_META)),
    Controller("kyverno*", (_CA, *_META)),
    Controller("PrometheusOperator", (*_META, "spec.*"), ("StatefulSet", "Secret", "ConfigMap")),
    Controller("prometheus-operator", (*_META, "spec.*"), ("StatefulSet", "Secret", "ConfigMap")),
    Controller("argo-rollouts*", ("spec.selector*", *_META), ()),
    Controller("rollouts-controller", ("spec.selector*", *_META, *_SCALE)),
    Controller("flagger", ("spec.selector*", *_META, *_SCALE)),
    Controller("csi-*", (*_META, "spec.volumeName"), ()),
    Controller("speaker", _META, ("Service",)),
    Controller("metallb*", _META, ("Service",)),
    Controller("reloader*", ("spec.template.metadata.annotations*", "spec.template.spec.containers[*].env*")),
    Controller("crossplane*", (*_META, "spec.*"), ()),
    Controller("*-operator", _LINKS),
    Controller("manager", _LINKS),
)  # fmt: skip
"""The controllers that driftd knows, with what is their work."""

HANDS: tuple[str, ...] = (
    "kubectl-edit", "kubectl-patch", "kubectl-set", "kubectl-label", "kubectl-annotate", "kubectl-scale",
    "kubectl-rollout", "kubectl-taint", "kubectl-autoscale", "k9s", "node-fetch", "Mozilla", "dashboard", "octant",
    "lens*", "headlamp*",
)  # fmt: skip
"""Names of what people change single fields with: none of these ever deploys an object."""

DEPLOYERS: tuple[str, ...] = (
    "kubectl-client-side-apply", "helm", "Helm", "helm-controller", "kustomize-controller", "argocd-*", "argocd",
    "flux*", "Terraform", "HashiCorp", "terraform*", "pulumi*", "kapp*", "fleet*", "driftd", "werf", "skaffold",
    "tilt", "garden*", "ansible*", "spinnaker*", "carvel*", "config-sync*", "configsync*", "rancher-*",
)  # fmt: skip
"""Names of what deploys whole objects."""

GITOPS: tuple[str, ...] = ("helm-controller", "kustomize-controller", "argocd-*", "fleet*", "driftd", "configsync*")
"""Names of deployers that no person uses: what is written under them is theirs, or came by admission with it."""


@dataclass(frozen=True, slots=True)
class Managers:
    """What is known of managers by their names."""

    controllers: tuple[Controller, ...] = CONTROLLERS
    hands: tuple[str, ...] = HANDS
    deployers: tuple[str, ...] = DEPLOYERS
    _known: dict[str, tuple[Controller, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def extended(self, *, controllers: tuple[str, ...] = (), deployers: tuple[str, ...] = ()) -> Managers:
        """The same with more controllers (patterns, trusted with every field) and deployers."""
        more = tuple(Controller(pattern) for pattern in controllers)
        return Managers((*self.controllers, *more), self.hands, (*self.deployers, *deployers))

    def is_controller(self, owner: FieldOwner) -> bool:
        """Whether that is a controller, by its name or because it writes the status: it deploys nothing."""
        if owner.subresource == "status":
            return True
        return bool(self._named(owner.manager))

    def trusted(self, owner: FieldOwner, kind: str | None = None, path: str | None = None) -> bool:
        """Whether that is a controller at its work; without `path`, whether every field is."""
        if owner.subresource == "status":
            return True
        named = self._named(owner.manager)
        if path is None:
            return any(not one.paths and not one.kinds for one in named)
        return any(one.covers(kind or "", path) for one in named)

    def _named(self, manager: str) -> tuple[Controller, ...]:
        known = self._known.get(manager)
        if known is None:
            known = tuple(one for one in self.controllers if fnmatchcase(manager, one.manager))
            self._known[manager] = known
        return known

    def is_hand(self, owner: FieldOwner) -> bool:
        return _named(owner.manager, self.hands)

    def is_deployer(self, owner: FieldOwner) -> bool:
        return _named(owner.manager, self.deployers)


@lru_cache(maxsize=1024)
def _named(manager: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(manager, pattern) for pattern in patterns)


@lru_cache(maxsize=1024)
def is_gitops(manager: str) -> bool:
    return any(fnmatchcase(manager, pattern) for pattern in GITOPS)


DEFAULT_MANAGERS = Managers()
