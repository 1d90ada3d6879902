"""Built-in rules: differences that Kubernetes itself causes and that are no drift, with the reasons."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from driftd.diff.autoscaler import ReplicaRange
from driftd.diff.rules.field_managers import Managers
from driftd.diff.rules.globs import matches_any
from driftd.diff.typed.go_fields import DEFAULTS
from driftd.diff.typed.values import decode_base64
from driftd.model.drift import Change, FieldDrift, FieldOwner
from driftd.model.path import format_path
from driftd.model.resource import Json, JsonObject, ResourceRef


@dataclass(frozen=True, slots=True)
class Requests:
    """The owners of what came with the requests of an object's deployer and creator, and whether the cluster has
    admission of its own that may have changed these.

    What admission adds to an apply is an update by the same manager; what it changes stays the apply's.
    """

    owners: tuple[FieldOwner, ...] = ()
    deployer: FieldOwner | None = None
    admission: bool = False

    def made(self, drift: FieldDrift) -> bool:
        """Whether the live value came with such a request, or is the API server's: nobody owns it."""
        return drift.by is None or drift.by in self.owners


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What a rule may use besides the drift itself."""

    ref: ResourceRef
    declared: JsonObject
    live: JsonObject
    managers: Managers
    requests: Requests
    autoscaler: ReplicaRange | None = None
    drifted_paths: frozenset[str] = field(default_factory=frozenset)


Condition = Callable[[FieldDrift, RuleContext], bool]


@dataclass(frozen=True, slots=True)
class BuiltInRule:
    """Differences that do not count. `*` in patterns matches any run of characters; empty tuples match everything."""

    name: str
    reason: str
    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    subresource: str | None = None
    changes: frozenset[Change] = frozenset(Change)
    when: Condition | None = None

    def matches(self, context: RuleContext, drift: FieldDrift, path: str) -> bool:
        if drift.change not in self.changes or (self.kinds and context.ref.kind not in self.kinds):
            return False
        if self.managers:
            manager = drift.by.manager if drift.by else ""
            if not any(fnmatchcase(manager, pattern) for pattern in self.managers):
                return False
        if self.subresource is not None and (drift.by is None or drift.by.subresource != self.subresource):
            return False
        if self.paths and not matches_any(self.paths, path):
            return False
        return self.when is None or self.when(drift, context)


def first_match(rules: tuple[BuiltInRule, ...], context: RuleContext, drift: FieldDrift) -> BuiltInRule | None:
    """The first rule by which this drift does not count, or None."""
    path = format_path(drift.path)
    return next((rule for rule in rules if rule.matches(context, drift, path)), None)


def _is_blank(value: Json) -> bool:
    """Whether a value is a placeholder: empty, or base64 of only white space, as generators write it."""
    if value is None or value in ("", 0):
        return not isinstance(value, bool)
    raw = decode_base64(value) if isinstance(value, str) else None
    return raw is not None and not raw.strip()


def _declared_blank(drift: FieldDrift, _: RuleContext) -> bool:
    return _is_blank(drift.desired)


def _in_range(drift: FieldDrift, context: RuleContext) -> bool:
    if context.autoscaler is None or isinstance(drift.live, bool) or not isinstance(drift.live, int):
        return False
    minimum, maximum = context.autoscaler
    return minimum <= drift.live <= maximum


def _range_unknown(_: FieldDrift, context: RuleContext) -> bool:
    return context.autoscaler is None


def _is_aggregated(_: FieldDrift, context: RuleContext) -> bool:
    return bool(context.declared.get("aggregationRule"))


def _is_allocated(drift: FieldDrift, context: RuleContext) -> bool:
    """Whether the server chose a Service's port: it does when the type changes, and under the changer's name."""
    return drift.by is None or "spec.type" in context.drifted_paths


def _is_token_secret(_: FieldDrift, context: RuleContext) -> bool:
    return bool(context.declared.get("type") == "kubernetes.io/service-account-token")


def _own_name(drift: FieldDrift, context: RuleContext) -> bool:
    return bool(drift.live == context.ref.name)


def _is_counter(drift: FieldDrift, _: RuleContext) -> bool:
    return drift.change is Change.ADDED or (drift.by is not None and drift.by.manager == "kube-controller-manager")


def _adds_default_tolerations(drift: FieldDrift, _: RuleContext) -> bool:
    declared = drift.desired if isinstance(drift.desired, list) else []
    if not isinstance(drift.live, list):
        return False
    added = drift.live[len(declared) :]
    return drift.live[: len(declared)] == declared and added == [t for t in _DEFAULT_TOLERATIONS if t in added]


def _is_mark(drift: FieldDrift, context: RuleContext) -> bool:
    return drift.by is not None and context.managers.is_mark(drift.by, format_path(drift.path))


def _came_with_request(drift: FieldDrift, context: RuleContext) -> bool:
    return context.requests.made(drift)


def _limited(drift: FieldDrift, context: RuleContext) -> bool:
    annotations = (context.live.get("metadata") or {}).get("annotations") or {}
    return "kubernetes.io/limit-ranger" in annotations and context.requests.made(drift)


def _from_a_mirror(drift: FieldDrift, context: RuleContext) -> bool:
    """Whether admission may have replaced an image by the same one of another registry: its name and tag stay."""
    requests = context.requests
    if not requests.admission or drift.by is None or drift.by not in (*requests.owners, requests.deployer):
        return False
    return isinstance(drift.desired, str) and isinstance(drift.live, str) and is_same_image(drift.desired, drift.live)


def is_same_image(declared: str, live: str) -> bool:
    """Whether two references name one image, up to the registry and the folder, and a digest that was pinned."""
    name, _, digest = declared.partition("@")
    live_name, _, live_digest = live.partition("@")
    if digest and digest != live_digest:
        return False
    return _named(name) == _named(live_name)


def _named(reference: str) -> tuple[str, str]:
    name, _, tag = reference.rpartition("/")[2].partition(":")
    return name, tag or "latest"


def _enforces_validation(drift: FieldDrift, _: RuleContext) -> bool:
    return (drift.desired, drift.live) == ("Ignore", "Fail")


def _exempts_the_platform(drift: FieldDrift, _: RuleContext) -> bool:
    """Whether a selector was given only AKS' own conditions, which keep webhooks off its system namespaces."""
    live, declared = (
        side.get("matchExpressions") if isinstance(side, dict) else side for side in (drift.live, drift.desired)
    )
    if not isinstance(live, list) or not isinstance(declared or [], list):
        return False
    added = [expression for expression in live if expression not in (declared or [])]
    return len(added) == len(live) - len(declared or []) and all(
        isinstance(expression, dict) and expression.get("key") in _AKS_KEYS and expression.get("operator") == "NotIn"
        for expression in added
    )


def _is_default_annotation(drift: FieldDrift, _: RuleContext) -> bool:
    if not isinstance(drift.desired, str) or not isinstance(drift.live, str):
        return False
    try:
        declared, live = (_in_v2_form(json.loads(text)) for text in (drift.desired, drift.live))
    except ValueError:
        return False
    return _equal_but_defaults(declared, live, _BEHAVIOR if "behavior" in str(drift.path[-1]) else None)


def _in_v2_form(value: Json) -> Json:
    """The contents of an autoscaling/v1 annotation without nulls, and with the field names of v2 (`scaleUp`)."""
    if isinstance(value, dict):
        return {f"{key[:1].lower()}{key[1:]}": _in_v2_form(item) for key, item in value.items() if item is not None}
    return [_in_v2_form(item) for item in value] if isinstance(value, list) else value


def _equal_but_defaults(declared: Json, live: Json, default: Json) -> bool:
    """Whether a live value equals the declared one, except for defaults in its maps."""
    if not isinstance(declared, dict) or not isinstance(live, dict):
        return bool(declared == live)
    defaults = default if isinstance(default, dict) else {}
    return declared.keys() <= live.keys() and all(
        _equal_but_defaults(declared[key], item, defaults.get(key)) if key in declared else item == defaults.get(key)
        for key, item in live.items()
    )


_BEHAVIOR: Json = DEFAULTS["io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec"]["behavior"][0]
_DEFAULT_TOLERATIONS: tuple[Json, ...] = tuple(
    {"key": f"node.kubernetes.io/{condition}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for condition in ("not-ready", "unreachable")
)
_ADDED = frozenset({Change.ADDED})
_DECLARED = frozenset({Change.CHANGED, Change.REMOVED})
_AKS_KEYS = ("control-plane", "kubernetes.azure.com/managedby")
_SCALERS = ("kube-controller-manager", "horizontal-pod-autoscaler", "keda*", "vpa-*")
_INJECTORS = (
    "cainjector", "cert-manager-cainjector", "kube-controller-manager", "gatekeeper*", "pilot-discovery", "istiod*",
    "linkerd-*", "kyverno*",
)  # fmt: skip

BUILT_IN_RULES: tuple[BuiltInRule, ...] = (
    BuiltInRule(
        "rollout-restart",
        "`kubectl rollout restart` only asks for new pods",
        paths=('spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]',),
        changes=_ADDED,
    ),
    BuiltInRule(
        "reconcile-request",
        "somebody only asked a controller to look again",
        paths=(
            'metadata.annotations["reconcile.fluxcd.io/*At"]', 'metadata.annotations["fluxcd.io/reconcileAt"]',
            'metadata.annotations["argocd.argoproj.io/refresh"]', "metadata.annotations.force-sync",
        ),
        changes=_ADDED,
    ),
    BuiltInRule(
        "deployer-mark",
        "the deployer marks what it deploys",
        changes=frozenset({Change.ADDED, Change.CHANGED}),
        when=_is_mark,
    ),
    BuiltInRule(
        "autoscaler-range",
        "an autoscaler owns the number of replicas, and this one is within its range",
        paths=("spec.replicas",),
        when=_in_range,
    ),
    BuiltInRule(
        "autoscaler-replicas",
        "an autoscaler set the number of replicas",
        paths=("spec.replicas",),
        managers=_SCALERS,
        subresource="scale",
        when=_range_unknown,
    ),
    BuiltInRule(
        "autoscaler-status",
        "autoscaling/v1 has no room for an autoscaler's status but in annotations",
        kinds=("HorizontalPodAutoscaler",),
        paths=(
            'metadata.annotations["autoscaling.alpha.kubernetes.io/conditions"]',
            'metadata.annotations["autoscaling.alpha.kubernetes.io/current-metrics"]',
        ),
        changes=_ADDED,
    ),
    BuiltInRule(
        "deployment-revision",
        "the Deployment controller counts revisions",
        paths=('metadata.annotations["deployment.kubernetes.io/*"]',),
        kinds=("Deployment", "ReplicaSet"),
        when=_is_counter,
    ),
    BuiltInRule(
        "autoscaler-fields",
        "autoscaling/v1 keeps some of an autoscaler's fields in annotations, which the API server fills in",
        kinds=("HorizontalPodAutoscaler",),
        paths=(
            'metadata.annotations["autoscaling.alpha.kubernetes.io/behavior"]',
            'metadata.annotations["autoscaling.alpha.kubernetes.io/metrics"]',
        ),
        changes=_DECLARED,
        when=_is_default_annotation,
    ),
    BuiltInRule(
        "daemonset-generation",
        "the API server counts the versions of a DaemonSet's template",
        paths=('metadata.annotations["deprecated.daemonset.template.generation"]',),
        kinds=("DaemonSet",),
    ),
    BuiltInRule(
        "service-address",
        "the API server allocates a Service's addresses",
        kinds=("Service",),
        paths=("spec.clusterIP", "spec.clusterIPs", "spec.clusterIPs[*"),
        changes=_ADDED,
    ),
    BuiltInRule(
        "service-port",
        "the API server allocates a Service's ports when its type wants some",
        kinds=("Service",),
        paths=("spec.ports[*].nodePort", "spec.healthCheckNodePort"),
        changes=_ADDED,
        when=_is_allocated,
    ),
    BuiltInRule(
        "left-to-the-server",
        "Git declares an empty value, which leaves the choice to the API server",
        kinds=("Service", "PersistentVolumeClaim"),
        paths=("spec.clusterIP", "spec.ports[*].nodePort", "spec.healthCheckNodePort", "spec.volumeName"),
        changes=_DECLARED,
        when=_declared_blank,
    ),
    BuiltInRule(
        "service-account-secrets",
        "the token controller lists the secrets of a ServiceAccount",
        kinds=("ServiceAccount",),
        paths=("secrets", "secrets[*"),
        managers=("kube-controller-manager", "openshift-*", ""),
        changes=_ADDED,
    ),
    BuiltInRule(
        "service-account-token",
        "the token controller fills in the Secret of a ServiceAccount's token",
        kinds=("Secret",),
        paths=("data", "data*", 'metadata.annotations["kubernetes.io/service-account.uid"]'),
        managers=("kube-controller-manager", ""),
        changes=_ADDED,
        when=_is_token_secret,
    ),
    BuiltInRule(
        "certificate-requester",
        "the API server writes down who asks for a certificate",
        kinds=("CertificateSigningRequest",),
        paths=("spec.username", "spec.uid", "spec.groups", "spec.extra*"),
        changes=_ADDED,
    ),
    BuiltInRule(
        "pod-tolerations",
        "the API server lets every pod stay on a node for its first minutes of trouble",
        kinds=("Pod",),
        paths=("spec.tolerations",),
        when=_adds_default_tolerations,
    ),
    BuiltInRule(
        "pod-admission",
        "the API server gives every pod its account and token, a priority, and a node",
        kinds=("Pod",),
        paths=(
            "spec.serviceAccount", "spec.serviceAccountName", "spec.imagePullSecrets[*", "spec.priority",
            "spec.priorityClassName", "spec.preemptionPolicy", "spec.nodeName", "spec.nodeSelector*", "spec.overhead*",
            "spec.volumes[name=kube-api-access-*]", "spec.volumes[name=*-token-*]",
            "spec.*ontainers[name=*].volumeMounts[mountPath=/var/run/secrets/kubernetes.io/serviceaccount]",
        ),
        changes=_ADDED,
        when=_came_with_request,
    ),
    BuiltInRule(
        "pod-limits",
        "a LimitRange gives a pod the resources that it does not ask for",
        kinds=("Pod",),
        paths=("spec.*ontainers[name=*].resources*", 'metadata.annotations["kubernetes.io/limit-ranger"]'),
        changes=_ADDED,
        when=_limited,
    ),
    BuiltInRule(
        "default-class",
        "the API server chooses the default class where Git leaves it out",
        kinds=("PersistentVolumeClaim", "Ingress"),
        paths=("spec.storageClassName", "spec.ingressClassName"),
        changes=_ADDED,
        when=_came_with_request,
    ),
    BuiltInRule(
        "image-mirror",
        "admission takes the same image from another registry",
        paths=("*.image",),
        changes=frozenset({Change.CHANGED}),
        when=_from_a_mirror,
    ),
    BuiltInRule(
        "volume-binding",
        "a claim is bound to its volume by a controller",
        kinds=("PersistentVolumeClaim", "PersistentVolume"),
        paths=(
            "spec.volumeName", "spec.claimRef*", 'metadata.annotations["pv.kubernetes.io/*"]',
            'metadata.annotations["volume.*"]',
        ),
        changes=_ADDED,
    ),
    BuiltInRule(
        "endpoints-trigger-time",
        "the endpoints controllers note when they last had a reason to write",
        kinds=("Endpoints", "EndpointSlice"),
        paths=('metadata.annotations["endpoints.kubernetes.io/last-change-trigger-time"]',),
        changes=_ADDED,
    ),
    BuiltInRule(
        "protection-finalizer",
        "Kubernetes protects what is in use from being deleted",
        paths=tuple(f"metadata.finalizers[=kubernetes.io/{what}-protection]" for what in ("pv", "pvc", "vac")),
        changes=_ADDED,
    ),
    BuiltInRule(
        "namespace-itself",
        "the API server labels a Namespace with its name, and finalizes it",
        kinds=("Namespace",),
        paths=('metadata.labels["kubernetes.io/metadata.name"]',),
        changes=_ADDED,
        when=_own_name,
    ),
    BuiltInRule(
        "namespace-finalizer",
        "the API server finalizes every Namespace",
        kinds=("Namespace",),
        paths=("spec", "spec.finalizers*"),
        changes=_ADDED,
    ),
    BuiltInRule(
        "job-selector",
        "the API server makes a Job's selector, and labels its pods with it",
        kinds=("Job",),
        paths=(
            "spec.selector", "spec.selector.matchLabels*", "spec.template.metadata.labels.controller-uid",
            "spec.template.metadata.labels.job-name", 'spec.template.metadata.labels["batch.kubernetes.io/*"]',
            "metadata.labels.controller-uid", "metadata.labels.job-name", 'metadata.labels["batch.kubernetes.io/*"]',
        ),
        changes=_ADDED,
    ),
    BuiltInRule(
        "injected-ca",
        "certificates are injected where Git leaves them out",
        paths=("*.caBundle", "caBundle"),
        changes=_ADDED,
    ),
    BuiltInRule(
        "injected-ca-placeholder",
        "certificates are injected where Git has a placeholder",
        paths=("*.caBundle",),
        changes=_DECLARED,
        when=_declared_blank,
    ),
    BuiltInRule(
        "injected-ca-by-controller",
        "a certificate injector owns the bundle",
        paths=("*.caBundle",),
        managers=_INJECTORS,
    ),
    BuiltInRule(
        "istio-validation",
        "Istio lets its webhook fail requests as soon as it can answer them",
        kinds=("ValidatingWebhookConfiguration",),
        paths=("webhooks[name=*istio.io].failurePolicy",),
        managers=("pilot-discovery", "istiod*"),
        changes=frozenset({Change.CHANGED}),
        when=_enforces_validation,
    ),
    BuiltInRule(
        "aks-admissions-enforcer",
        "AKS keeps all webhooks off its system namespaces",
        kinds=("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"),
        paths=("webhooks[name=*].namespaceSelector", "webhooks[name=*].namespaceSelector.matchExpressions"),
        managers=("admissionsenforcer",),
        when=_exempts_the_platform,
    ),
    BuiltInRule(
        "aggregated-cluster-role",
        "the rules of an aggregated ClusterRole come from the roles that it aggregates",
        kinds=("ClusterRole",),
        paths=("rules", "rules[*"),
        managers=("clusterrole-aggregation-controller", "kube-controller-manager", ""),
        when=_is_aggregated,
    ),
)  # fmt: skip
