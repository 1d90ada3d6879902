"""Ignored differences are counted, and never hidden silently."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.diff.rules.ignore import IgnoreRuleSet, annotation_rules, parse_rules
from driftd.model.drift import Status, Verdict
from driftd.model.errors import DriftdError
from driftd.model.path import format_path
from driftd.model.resource import Manifest, Source
from tests.diff.objects import (
    DEPLOYMENT,
    JsonObject,
    changed_manually,
    deployed,
    deployment,
    owned,
    pod_spec,
    schema_of,
)

SCHEMA = schema_of(*DEPLOYMENT)


def _drifted() -> JsonObject:
    """Another image and more replicas, by hand."""
    live = deployed(deployment(), SCHEMA)
    live["spec"]["replicas"] = 5
    pod_spec(live)["containers"][0]["image"] = "nginx:1.26"
    image = owned("f:template", "f:spec", "f:containers", 'k:{"name":"web"}', "f:image")
    return changed_manually(live, {"f:spec": {"f:replicas": {}, **image}}, "night-shift")


def _verdict(rules: list[dict[str, Any]], desired: JsonObject | None = None) -> tuple[Verdict, IgnoreRuleSet]:
    ignored = IgnoreRuleSet(parse_rules(rules))
    manifest = Manifest.of(desired or deployment(), Source("app.yaml", 1))
    return Comparison(Redactor(b"k" * 32), ignore_rules=ignored).verdict(manifest, _drifted(), SCHEMA), ignored


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ({"path": "spec.replicas"}, ["spec.template.spec.containers[name=web].image"]),
        ({"path": "spec.template.spec.containers[name=*].image"}, ["spec.replicas"]),
        ({"path": "spec.template.spec.containers[name=db].image"}, None),
        ({"path": "spec.template"}, ["spec.replicas"]),
        ({"path": "spec.rep"}, None),
        ({"path": ["spec.replicas", "*.image"]}, []),
        ({"kind": "Deployment"}, []),
        ({"kind": "StatefulSet"}, None),
        ({"kind": "Deployment", "name": "w*", "namespace": "shop"}, []),
        ({"namespace": "other"}, None),
        ({"manager": "night-*"}, []),
        ({"manager": "kubectl-edit", "path": "spec.replicas"}, None),
        ({"group": "apps", "path": "spec.replicas"}, ["spec.template.spec.containers[name=web].image"]),
    ],
)
def test_a_rule_takes_fields_out_of_the_drift(rule: dict[str, Any], left: list[str] | None) -> None:
    """They are kept separately; an object in which nothing else differs is ignored."""
    result, ignored = _verdict([rule])
    expected = ["spec.replicas", "spec.template.spec.containers[name=web].image"] if left is None else left
    assert [format_path(drift.path) for drift in result.fields] == expected
    assert len(result.ignored) == 2 - len(expected)
    assert result.status is (Status.DRIFTED if expected else Status.IGNORED)
    assert len(ignored.unused()) == (1 if left is None else 0)


def test_the_annotation_in_git_ignores_fields_of_its_object() -> None:
    """Several paths, or all of it."""
    desired = deployment()
    desired["metadata"]["annotations"] = {"driftd.io/ignore": "spec.replicas, spec.template"}
    live = _drifted()
    live["metadata"]["annotations"] = desired["metadata"]["annotations"]
    manifest = Manifest.of(desired, Source("app.yaml", 1))
    result = Comparison(Redactor(b"k" * 32)).verdict(manifest, live, SCHEMA)
    assert (result.status, len(result.ignored)) == (Status.IGNORED, 2)
    assert annotation_rules({"metadata": {"annotations": {"driftd.io/ignore": "*"}}})[0].paths == ()
    assert annotation_rules({"metadata": {"annotations": {"driftd.io/ignore": 'a["b c"]'}}})[0].paths == ('a["b c"]',)
    assert annotation_rules({"metadata": {"annotations": {"driftd.io/ignore": "false"}}}) == ()


def test_an_annotation_that_only_lives_in_the_cluster_ignores_nothing() -> None:
    """A manual change could exempt itself."""
    live = _drifted()
    live["metadata"]["annotations"] = {"driftd.io/ignore": "*"}
    manifest = Manifest.of(deployment(), Source("app.yaml", 1))
    assert Comparison(Redactor(b"k" * 32)).verdict(manifest, live, SCHEMA).status is Status.DRIFTED


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"paths": "x"}, "ignore[0]: 'paths' is no key of an ignore rule"),
        ({"path": 1}, "ignore[0].path: give a string or a list of strings"),
        ({}, "ignore[0]: a rule that names nothing would ignore everything"),
        ({"reason": "x"}, "ignore[0]: a rule that names nothing would ignore everything"),
    ],
)
def test_a_mistake_in_a_rule_is_reported_with_its_position(rule: dict[str, Any], message: str) -> None:
    """Instead of a rule that ignores nothing, or all."""
    with pytest.raises(DriftdError) as refused:
        parse_rules([rule])
    assert str(refused.value).startswith(message)
