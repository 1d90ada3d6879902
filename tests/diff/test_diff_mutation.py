"""Which objects the cluster's own admission may change."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff.mutation import mutations_of

RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}


def _webhook(rule: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"webhooks": [{"rules": [rule], **more}]}


@pytest.mark.parametrize(
    ("rule", "concerned"),
    [
        (RULE, True),
        ({**RULE, "apiGroups": ["*"], "resources": ["*/*"], "operations": ["*"]}, True),
        ({**RULE, "resources": ["deployments/scale"]}, False),
        ({**RULE, "operations": ["DELETE"]}, False),
        ({**RULE, "apiGroups": [""], "resources": ["pods"]}, False),
    ],
)
def test_a_webhook_concerns_the_resources_of_its_rules(rule: dict[str, Any], concerned: bool) -> None:
    """For creations and updates."""
    (one,) = mutations_of([_webhook(rule)], [], [])
    assert one.concerns("apps", "deployments") == concerned


@pytest.mark.parametrize(
    ("expression", "labels", "selected"),
    [
        ({"key": "team", "operator": "In", "values": ["shop"]}, {"team": "shop"}, True),
        ({"key": "team", "operator": "In", "values": ["shop"]}, {}, False),
        ({"key": "team", "operator": "NotIn", "values": ["shop"]}, {}, True),
        ({"key": "team", "operator": "NotIn", "values": ["shop"]}, {"team": "shop"}, False),
        ({"key": "team", "operator": "Exists"}, {"team": "x"}, True),
        ({"key": "team", "operator": "DoesNotExist"}, {"team": "x"}, False),
    ],
)
def test_it_selects_namespaces_and_objects_by_their_labels(
    expression: dict[str, Any], labels: dict[str, str], selected: bool
) -> None:
    """As every LabelSelector does; an object without a namespace needs none."""
    by_namespace, by_object = mutations_of(
        [
            _webhook(RULE, namespaceSelector={"matchExpressions": [expression]}),
            _webhook(RULE, objectSelector={"matchExpressions": [expression]}),
        ],
        [],
        [],
    )
    assert by_namespace.selects(labels, {}) == selected
    assert by_object.selects({}, labels) == selected
    assert by_namespace.selects(None, {})


def test_a_policy_without_a_binding_changes_nothing() -> None:
    """It is a template until something binds it."""
    policy = {
        "metadata": {"name": "mirror"},
        "spec": {"matchConstraints": {"resourceRules": [RULE], "namespaceSelector": {"matchLabels": {"a": "b"}}}},
    }
    assert mutations_of([], [policy], []) == []
    (one,) = mutations_of([], [policy], [{"spec": {"policyName": "mirror"}}])
    assert one.concerns("apps", "deployments")
    assert one.selects({"a": "b"}, {})
    assert not one.selects({}, {})
