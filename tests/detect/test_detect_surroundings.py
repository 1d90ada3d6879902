"""A verdict takes the autoscaler of an object into account, and what the cluster's own admission may have done."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.detect.detector import Detector
from driftd.diff.compare import Comparison
from driftd.diff.explain import Explanation
from driftd.diff.redact import Redactor
from driftd.kube.openapi import SchemaSource
from driftd.live.cluster import ClusterView
from driftd.live.mapping import map_manifests
from driftd.model.drift import Status
from driftd.model.path import format_path
from driftd.model.plan import Mode
from driftd.render.manifests import read_manifests
from tests.support.world import World, config_map, deployment, statuses
from tests.support.worlds import OpenWorld

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"], "scope": "*"}
SCALED_OBJECTS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "scaledobjects.keda.sh"},
    "spec": {
        "group": "keda.sh",
        "scope": "Namespaced",
        "names": {"plural": "scaledobjects", "singular": "scaledobject", "kind": "ScaledObject"},
        "versions": [
            {
                "name": "v1alpha1", "served": True, "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}  # fmt: skip


def _webhook(**selected: str) -> dict[str, Any]:
    hook = {
        "name": "labels.example.com",
        "clientConfig": {"url": "https://labels.example.com"},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
        "rules": [RULE],
        "namespaceSelector": {"matchLabels": selected},
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"labels-{len(selected)}"},
        "webhooks": [hook],
    }


async def _status(world: World, name: str) -> Status:
    world.restart()
    return statuses((await world.run()).report)[name]


async def _explained(world: World) -> dict[str, Explanation]:
    """Every field of the ConfigMap, by its path."""
    view = ClusterView(world.cluster, SchemaSource(world.cluster, world.folder / "openapi"))
    manifests = read_manifests(config_map(a="1").encode(), "config.yaml").manifests
    [item] = await map_manifests(manifests, world.app, view)
    detector = Detector(world.app, view, Comparison(Redactor(b"k" * 32)))
    return {format_path(each.path): each for each in await detector.explain(item)}


async def test_what_came_with_the_deployers_request_is_drift_unless_admission_may_have_added_it(
    open_world: OpenWorld,
) -> None:
    """helm leaves no record of what it sent: the cluster's webhooks tell what else may have been at work."""
    async with open_world() as world:
        labels = {"added": "x"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "labels": labels}}
        declared = (await world.run()).report
        assert statuses(declared)["ConfigMap/web"] is Status.MISSING
        await world.request("POST", "/api/v1/namespaces/web/configmaps?fieldManager=helm", {**body, "data": {"a": "1"}})
        assert await _status(world, "ConfigMap/web") is Status.DRIFTED
        await world.request("POST", WEBHOOKS, _webhook(team="another"))
        assert await _status(world, "ConfigMap/web") is Status.DRIFTED
        await world.request("POST", WEBHOOKS, _webhook())
        assert await _status(world, "ConfigMap/web") is Status.IN_SYNC


async def test_what_nobody_owns_may_have_come_by_admission_where_there_is_some(open_world: OpenWorld) -> None:
    """What a policy sets at the creation is in no entry of managedFields."""
    async with open_world() as world:
        await world.request(
            "POST", "/api/v1/namespaces/web/configmaps?fieldManager=helm",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"a": "1"}},
        )  # fmt: skip
        live = await world.get("ConfigMap")
        entries = live["metadata"]["managedFields"]
        await world.edit("ConfigMap", {"metadata": {"labels": {"injected": "yes"}}})
        await world.edit("ConfigMap", {"metadata": {"managedFields": entries}})
        assert await _status(world, "ConfigMap/web") is Status.DRIFTED
        await world.request("POST", WEBHOOKS, _webhook())
        assert await _status(world, "ConfigMap/web") is Status.IN_SYNC


@pytest.mark.parametrize("kind", ["mutatingwebhookconfigurations", "mutatingadmissionpolicies", "namespaces"])
async def test_what_admission_may_have_set_is_unknown_and_not_healed_while_admission_cannot_be_read(
    open_world: OpenWorld, kind: str
) -> None:
    """Taken out, it would not come back: many webhooks only look at creations. What a hand changed is put back."""
    async with open_world() as world:
        labels = {"injected": "yes"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "labels": labels}}
        await world.request("POST", "/api/v1/namespaces/web/configmaps?fieldManager=helm", {**body, "data": {"a": "1"}})
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.request("POST", WEBHOOKS, _webhook(team="another"))
        world.sandbox.faults.forbid("*", kind)
        world.restart(mode=Mode.OBSERVE)
        report = (await world.run()).report
        [verdict] = [verdict for verdict in report.verdicts if verdict.ref.kind == "ConfigMap"]
        assert [format_path(field.path) for field in verdict.fields] == ["data.a"]
        assert "whether admission set metadata.labels.injected could not be read" in (verdict.error or "")
        explained = await _explained(world)
        assert explained["data.a"].verdict == "changed"
        assert explained["metadata.labels.injected"].verdict == "unknown"
        assert "could not be read" in explained["metadata.labels.injected"].rule
        world.restart(mode=Mode.HEAL)
        report = (await world.run()).report
        [verdict] = [verdict for verdict in report.verdicts if verdict.ref.kind == "ConfigMap"]
        assert verdict.status is Status.UNKNOWN
        live = await world.get("ConfigMap")
        assert (live["data"], live["metadata"]["labels"]) == ({"a": "1"}, labels)


async def test_keda_may_scale_to_zero(open_world: OpenWorld) -> None:
    """Its ScaledObject says so, and whoever else scales within that range changes nothing that Git decides."""
    async with open_world() as world:
        await world.apply("Deployment", deployment())
        await world.edit("Deployment", {"spec": {"replicas": 0}}, manager="kubectl-scale")
        assert await _status(world, "Deployment/web") is Status.DRIFTED
        await world.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", SCALED_OBJECTS)
        scaled = {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": {"name": "web"}, "maxReplicaCount": 5},
        }
        await world.request("POST", "/apis/keda.sh/v1alpha1/namespaces/web/scaledobjects", scaled)
        assert await _status(world, "Deployment/web") is Status.IN_SYNC
