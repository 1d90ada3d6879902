"""Which objects mutating webhooks and policies may change, as far as their rules and selectors tell. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_WRITES = frozenset({"CREATE", "UPDATE", "*"})

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One webhook, or one policy with a binding: its resource rules and its selectors.

    What else it has (match conditions, versions) is taken as met: it may change what it selects.
    """

    rules: Sequence[Mapping[str, Any]]
    namespace_selector: Mapping[str, Any]
    object_selector: Mapping[str, Any]

    def concerns(self, group: str, plural: str) -> bool:
        """Whether a rule names the resource for creations or updates."""
        return any(
            not _WRITES.isdisjoint(rule.get("operations") or ())
            and not {group, "*"}.isdisjoint(rule.get("apiGroups") or ())
            and not {plural, "*", "*/*"}.isdisjoint(rule.get("resources") or ())
            for rule in self.rules
        )

    def selects(self, namespace_labels: Labels | None, labels: Labels) -> bool:
        """Whether it selects an object by its labels, and those of its namespace (None: it has none)."""
        in_namespace = namespace_labels is None or _selects(self.namespace_selector, namespace_labels)
        return in_namespace and _selects(self.object_selector, labels)


def mutations_of(
    webhooks: Sequence[Mapping[str, Any]], policies: Sequence[Mapping[str, Any]], bindings: Sequence[Mapping[str, Any]]
) -> list[Mutation]:
    """From live MutatingWebhookConfigurations, MutatingAdmissionPolicies and their bindings."""
    return [*_of_webhooks(webhooks), *_of_policies(policies, bindings)]


def _of_webhooks(configurations: Sequence[Mapping[str, Any]]) -> Iterator[Mutation]:
    for configuration in configurations:
        for hook in configuration.get("webhooks") or ():
            rules = hook.get("rules") or ()
            yield Mutation(rules, hook.get("namespaceSelector") or {}, hook.get("objectSelector") or {})


def _of_policies(policies: Sequence[Mapping[str, Any]], bindings: Sequence[Mapping[str, Any]]) -> Iterator[Mutation]:
    bound = {(binding.get("spec") or {}).get("policyName") for binding in bindings}
    for policy in policies:
        if policy["metadata"]["name"] in bound:
            match = (policy.get("spec") or {}).get("matchConstraints") or {}
            rules = match.get("resourceRules") or ()
            yield Mutation(rules, match.get("namespaceSelector") or {}, match.get("objectSelector") or {})


def _selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a LabelSelector selects these labels. Source: apimachinery, metav1.LabelSelectorAsSelector."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_meets(expression, labels) for expression in selector.get("matchExpressions") or ())


def _meets(expression: Mapping[str, Any], labels: Labels) -> bool:
    value, values = labels.get(str(expression.get("key"))), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
