"""Every field of one object can be explained."""

from __future__ import annotations

from driftd.diff.compare import Comparison
from driftd.diff.explain import Explanation
from driftd.diff.redact import Redactor
from driftd.diff.rules.ignore import IgnoreRuleSet, parse_rules
from driftd.model.path import format_path
from driftd.model.resource import Manifest, Source
from tests.diff.objects import DEPLOYMENT, changed_manually, deployed, deployment, merged, owned, pod_spec, schema_of

SCHEMA = schema_of(*DEPLOYMENT)


def _explained() -> dict[str, Explanation]:
    desired = deployment(stdin=False)
    live = deployed(deployment(), SCHEMA, "helm", "Update")
    live["spec"] |= {"replicas": 3, "paused": True, "progressDeadlineSeconds": 600}
    pod_spec(live)["hostPID"] = True
    live["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "now"}
    restarted = owned("f:spec", "f:template", "f:metadata", "f:annotations", "f:kubectl.kubernetes.io/restartedAt")
    hand = merged(owned("f:spec", "f:replicas"), owned("f:spec", "f:paused"), restarted)
    hand = merged(hand, owned("f:spec", "f:template", "f:spec", "f:hostPID"))
    comparison = Comparison(Redactor(b"k" * 32), ignore_rules=IgnoreRuleSet(parse_rules([{"path": "spec.paused"}])))
    manifest = Manifest.of(desired, Source("a.yaml", 1))
    result = comparison.explain(manifest, changed_manually(live, hand), SCHEMA)
    return {format_path(one.path): one for one in result}


def test_each_field_has_its_verdict_its_owner_and_its_rule() -> None:
    """What is in sync as well as what is not, what is ignored, and what is the server's."""
    result = _explained()
    replicas = result["spec.replicas"]
    assert (replicas.verdict, replicas.desired, replicas.live) == ("changed", 2, 3)
    assert replicas.owner is not None
    assert replicas.owner.manager == "kubectl-edit"
    assert result["spec.template.spec.hostPID"].verdict == "added"
    assert (result["spec.paused"].verdict, result["spec.paused"].rule) == ("ignored", "ignore[0]: path spec.paused")
    restart = result['spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]']
    assert restart.verdict == "ignored"
    assert restart.rule.startswith("rollout-restart: ")
    image = result["spec.template.spec.containers[name=web].image"]
    assert (image.verdict, image.rule) == ("in_sync", "the same value")
    assert image.owner is not None
    assert image.owner.manager == "helm"
    assert result["spec.progressDeadlineSeconds"].rule == "the API server's default"
    assert result["spec.template.spec.containers[name=web].stdin"].rule.startswith("a value that leaves no trace")


def test_every_declared_field_is_explained_once() -> None:
    """None is missing, and none is duplicated."""
    result = _explained()
    for path in ("metadata.labels.app", "spec.replicas", "spec.selector.matchLabels.app"):
        assert path in result
