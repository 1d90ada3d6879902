"""Conditions of the built-in rules that patterns of kinds, paths and managers cannot express."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

from driftd.diff.rules.rule import RuleContext
from driftd.diff.typed.go_fields import DEFAULTS
from driftd.diff.typed.values import decode_base64
from driftd.model.drift import Change, FieldDrift
from driftd.model.path import FieldPath, format_path
from driftd.model.resource import Json

_BEHAVIOR: Json = DEFAULTS["io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec"]["behavior"][0]
_DEFAULT_TOLERATIONS: tuple[Json, ...] = tuple(
    {"key": f"node.kubernetes.io/{condition}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for condition in ("not-ready", "unreachable")
)
_REPLICAS: FieldPath = ("spec", "replicas")
_SCALERS = (
    "*[Aa]utoscal*", "*[Ss]caler*", "keda*", "vpa-*", "karpenter*", "flagger*", "argo-rollouts*", "rollouts-controller",
    "kruise*", "kube-green*", "sablier*",
)  # fmt: skip
"""Autoscalers, and what scales workloads while it rolls them out, or puts them to sleep."""
_AKS_KEYS = ("control-plane", "kubernetes.azure.com/managedby")


def _is_blank(value: Json) -> bool:
    """Whether a value is a placeholder: empty, or base64 of only white space, as generators write it."""
    if value is None or value in ("", 0):
        return not isinstance(value, bool)
    raw = decode_base64(value) if isinstance(value, str) else None
    return raw is not None and not raw.strip()


def declared_blank(drift: FieldDrift, _: RuleContext) -> bool:
    return _is_blank(drift.desired)


def counts_replicas(drift: FieldDrift) -> bool:
    """Whether a field is the number of replicas: kinds with a scale subresource may call it otherwise."""
    return drift.path == _REPLICAS or (drift.by is not None and drift.by.subresource == "scale")


def is_autoscaled(drift: FieldDrift, context: RuleContext) -> bool:
    """Whether something that scales sees to a number of replicas that counts as drift.

    An autoscaler brings it into its range by itself, a moment after that was changed; but none scales up from zero. And
    unknown controllers scale by the subresource, or have a name that says so.
    """
    if not counts_replicas(drift):
        return False
    if context.autoscaler is not None and drift.live != 0:
        return True
    if drift.by is None or context.managers.is_of_people(drift.by):
        return False
    return drift.by.subresource == "scale" or any(fnmatchcase(drift.by.manager, name) for name in _SCALERS)


def in_range(drift: FieldDrift, context: RuleContext) -> bool:
    if context.autoscaler is None or not counts_replicas(drift):
        return False
    if isinstance(drift.live, bool) or not isinstance(drift.live, int):
        return False
    minimum, maximum = context.autoscaler
    return minimum <= drift.live <= maximum


def range_unknown(_: FieldDrift, context: RuleContext) -> bool:
    return context.autoscaler is None


def is_aggregated(_: FieldDrift, context: RuleContext) -> bool:
    return bool(context.declared.get("aggregationRule"))


def is_allocated(drift: FieldDrift, context: RuleContext) -> bool:
    """Whether the server chose a Service's port: it does when the type changes, and under the changer's name."""
    return drift.by is None or "spec.type" in context.drifted_paths


def is_token_secret(_: FieldDrift, context: RuleContext) -> bool:
    return bool(context.declared.get("type") == "kubernetes.io/service-account-token")


def own_name(drift: FieldDrift, context: RuleContext) -> bool:
    return bool(drift.live == context.ref.name)


def is_counter(drift: FieldDrift, _: RuleContext) -> bool:
    return drift.change is Change.ADDED or (drift.by is not None and drift.by.manager == "kube-controller-manager")


def adds_default_tolerations(drift: FieldDrift, _: RuleContext) -> bool:
    declared = drift.desired if isinstance(drift.desired, list) else []
    if not isinstance(drift.live, list):
        return False
    added = drift.live[len(declared) :]
    return drift.live[: len(declared)] == declared and added == [t for t in _DEFAULT_TOLERATIONS if t in added]


def is_mark(drift: FieldDrift, context: RuleContext) -> bool:
    return drift.by is not None and context.managers.is_mark(drift.by, format_path(drift.path))


def came_with_request(drift: FieldDrift, context: RuleContext) -> bool:
    return context.requests.made(drift)


def limited(drift: FieldDrift, context: RuleContext) -> bool:
    annotations = (context.live.get("metadata") or {}).get("annotations") or {}
    return "kubernetes.io/limit-ranger" in annotations and context.requests.made(drift)


def from_a_mirror(drift: FieldDrift, context: RuleContext) -> bool:
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


def enforces_validation(drift: FieldDrift, _: RuleContext) -> bool:
    return (drift.desired, drift.live) == ("Ignore", "Fail")


def exempts_the_platform(drift: FieldDrift, _: RuleContext) -> bool:
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


def is_default_annotation(drift: FieldDrift, _: RuleContext) -> bool:
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
