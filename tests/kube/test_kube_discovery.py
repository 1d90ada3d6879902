"""Discovery, also while parts of it fail."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from driftd.kube.discovery import ApiResource, Discovery
from driftd.kube.rest_client import Cluster
from driftd.model.errors import Invalid, KubeError, UnknownKind
from tests.kube.scripted import CONFIG_MAPS, NAMESPACES, WIDGETS, Answer, ScriptedApi, data, refused, text


def served(version: str, *resources: tuple[str, str, str], freshness: str = "Current") -> dict[str, Any]:
    return {
        "version": version,
        "freshness": freshness,
        "resources": [
            {
                "resource": plural,
                "responseKind": {"group": "", "version": "", "kind": kind},
                "scope": scope,
                "verbs": ["get", "list"],
                "subresources": [{"subresource": "status", "responseKind": {"kind": kind}, "verbs": ["get"]}],
            }
            for plural, kind, scope in resources
        ],
    }


def groups(**versions: list[dict[str, Any]]) -> dict[str, Any]:
    items = [{"metadata": {"name": name.replace("_", ".")}, "versions": listed} for name, listed in versions.items()]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}


def kinds(api_version: str, *resources: dict[str, Any]) -> Answer:
    return data({"kind": "APIResourceList", "groupVersion": api_version, "resources": list(resources)})


def teach_legacy(api: ScriptedApi) -> None:
    api.on("GET", "/api", data({"kind": "APIVersions", "versions": ["v1"]}))
    api.on(
        "GET",
        "/apis",
        data(
            {
                "kind": "APIGroupList",
                "groups": [
                    {
                        "name": "apps",
                        "versions": [{"groupVersion": "apps/v1beta2"}, {"groupVersion": "apps/v1"}],
                        "preferredVersion": {"groupVersion": "apps/v1"},
                    },
                    {"name": "metrics.k8s.io", "versions": [{"groupVersion": "metrics.k8s.io/v1beta1"}]},
                ],
            }
        ),
    )
    pods = {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get"]}
    api.on("GET", "/api/v1", kinds("v1", pods, {**pods, "name": "pods/eviction", "kind": "Eviction"}))
    for version in ("v1", "v1beta2"):
        deployments = {"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["get"]}
        api.on("GET", f"/apis/apps/{version}", kinds(f"apps/{version}", deployments))


async def test_aggregated_discovery_takes_two_requests(api: ScriptedApi, cluster: Cluster) -> None:
    """Kinds with their scope, the preferred version first, without subresources."""
    api.on("GET", "/api", data(groups(**{"": [served("v1", ("namespaces", "Namespace", "Cluster"))]})))
    hpa = ("horizontalpodautoscalers", "HorizontalPodAutoscaler", "Namespaced")
    api.on("GET", "/apis", data(groups(autoscaling=[served("v2", hpa), served("v1", hpa)])))
    found = await Discovery.load(cluster)
    namespace = found.find("v1", "Namespace")
    assert (namespace.plural, namespace.namespaced, namespace.verbs) == ("namespaces", False, {"get", "list"})
    assert found.find("autoscaling/v1", "HorizontalPodAutoscaler").version == "v1"
    assert found.find_kind("autoscaling", "HorizontalPodAutoscaler").version == "v2"
    assert len(found.resources) == 3
    assert len(api.seen) == 2


async def test_an_old_server_is_read_version_by_version(api: ScriptedApi, cluster: Cluster) -> None:
    """Without aggregated discovery the result is the same, including the preferred versions."""
    teach_legacy(api)
    api.on("GET", "/apis/metrics.k8s.io/v1beta1", kinds("metrics.k8s.io/v1beta1"))
    found = await Discovery.load(cluster)
    assert found.find("v1", "Pod").path("shop", "web") == "/api/v1/namespaces/shop/pods/web"
    assert found.find_kind("apps", "Deployment").api_version == "apps/v1"
    assert found.find("apps/v1beta2", "Deployment").path(None) == "/apis/apps/v1beta2/deployments"
    assert found.failed_groups == {}
    with pytest.raises(UnknownKind):
        found.find("v1", "Eviction")


async def test_one_failed_group_leaves_the_others_usable(api: ScriptedApi, cluster: Cluster) -> None:
    """An APIService without a backend is an error for its own kinds, and "unknown kind" for no other."""
    teach_legacy(api)
    api.on("GET", "/apis/metrics.k8s.io/v1beta1", refused(503, "ServiceUnavailable", "no endpoints available"))
    found = await Discovery.load(cluster)
    assert found.find("apps/v1", "Deployment").kind == "Deployment"
    with pytest.raises(KubeError, match=r"PodMetrics of metrics.k8s.io/v1beta1 cannot be looked up: no endpoints"):
        found.find("metrics.k8s.io/v1beta1", "PodMetrics")
    with pytest.raises(KubeError, match="no endpoints"):
        found.find_kind("metrics.k8s.io", "PodMetrics")
    with pytest.raises(UnknownKind, match="Foo of apps/v1; is its CustomResourceDefinition installed"):
        found.find("apps/v1", "Foo")


async def test_a_stale_group_in_aggregated_discovery_is_a_failed_one(api: ScriptedApi, cluster: Cluster) -> None:
    """What the server itself could not refresh is not "not served"."""
    api.on("GET", "/api", data(groups(**{"": [served("v1", ("pods", "Pod", "Namespaced"))]})))
    api.on("GET", "/apis", data(groups(metrics_k8s_io=[served("v1beta1", freshness="Stale")])))
    found = await Discovery.load(cluster)
    assert list(found.failed_groups) == ["metrics.k8s.io/v1beta1"]
    with pytest.raises(KubeError, match=r"APIService v1beta1.metrics.k8s.io does not answer"):
        found.find("metrics.k8s.io/v1beta1", "PodMetrics")


async def test_the_error_for_an_unserved_version_lists_the_served_ones(api: ScriptedApi, cluster: Cluster) -> None:
    """extensions/v1beta1, for example."""
    api.on("GET", "/api", data(groups(**{"": [served("v1", ("pods", "Pod", "Namespaced"))]})))
    api.on("GET", "/apis", data(groups(batch=[served("v1", ("cronjobs", "CronJob", "Namespaced"))])))
    found = await Discovery.load(cluster)
    with pytest.raises(UnknownKind, match=r"CronJob of batch/v1beta1; it serves it as batch/v1$"):
        found.find("batch/v1beta1", "CronJob")


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"kind": "Pod"},
        {"kind": "Status", "status": "Success"},
        {"kind": "APIGroupDiscoveryList"},
        {"kind": "APIGroupDiscoveryList", "items": None},
        {"kind": "APIGroupDiscoveryList", "items": []},
        {"kind": "APIGroupDiscoveryList", "items": [1]},
        {"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "apps"}}]},
        {"kind": "APIGroupList"},
        {"kind": "APIGroupList", "groups": []},
    ],
)
async def test_a_malformed_discovery_response_is_an_error(api: ScriptedApi, cluster: Cluster, answer: Any) -> None:
    """Not an empty cluster, in which everything would be missing, and no traceback."""
    api.on("GET", "/api", data(groups(**{"": [served("v1", ("pods", "Pod", "Namespaced"))]})))
    api.on("GET", "/apis", data(answer))
    with pytest.raises(KubeError, match="answers discovery with something else"):
        await Discovery.load(cluster)


@pytest.mark.parametrize(
    "answer",
    [data({}), data({"kind": "Status", "status": "Success"}), kinds("apps/v2"), text("", 404)],
)
async def test_a_group_that_is_named_and_not_described_is_a_failed_one(
    api: ScriptedApi, cluster: Cluster, answer: Answer
) -> None:
    """Its kinds are unknown, and not "not served"."""
    teach_legacy(api)
    api.on("GET", "/apis/metrics.k8s.io/v1beta1", answer)
    found = await Discovery.load(cluster)
    with pytest.raises(KubeError, match=r"PodMetrics of metrics.k8s.io/v1beta1 cannot be looked up"):
        found.find("metrics.k8s.io/v1beta1", "PodMetrics")


async def test_a_version_without_kinds_in_aggregated_discovery_is_a_failed_one(
    api: ScriptedApi, cluster: Cluster
) -> None:
    """Whoever names a version serves something in it."""
    api.on("GET", "/api", data(groups(**{"": [served("v1", ("pods", "Pod", "Namespaced"))]})))
    api.on("GET", "/apis", data(groups(apps=[served("v1")])))
    found = await Discovery.load(cluster)
    with pytest.raises(KubeError, match="Deployment of apps/v1 cannot be looked up: discovery names it without"):
        found.find("apps/v1", "Deployment")


def test_paths_follow_the_scope_of_the_kind() -> None:
    """Core and named groups, one namespace, all of them, or none."""
    assert CONFIG_MAPS.path("shop") == "/api/v1/namespaces/shop/configmaps"
    assert CONFIG_MAPS.path(None) == "/api/v1/configmaps"
    assert WIDGETS.path("shop", "w") == "/apis/example.com/v1/namespaces/shop/widgets/w"
    assert NAMESPACES.path("ignored", "shop") == "/api/v1/namespaces/shop"
    with pytest.raises(Invalid, match="needs a namespace"):
        CONFIG_MAPS.path(None, "a")


@given(st.text(string.printable))
@example("")
@example("..")
@example("system:node")
def test_no_name_can_leave_its_path_segment(name: str) -> None:
    """`system:node` is a valid name; names that would address another object, or all of them, are refused."""
    roles = ApiResource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False, frozenset())
    collection = roles.path(None)
    try:
        path = roles.path(None, name)
    except Invalid:
        assert name in ("", ".", "..") or set(name) & set("/%")
    else:
        assert path.startswith(f"{collection}/")
        last = path.removeprefix(f"{collection}/")
        assert last not in ("", ".", "..")
        assert not set(last) & set("/?# \n")
