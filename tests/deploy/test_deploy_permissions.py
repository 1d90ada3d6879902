"""The permissions that the manifests grant, according to the authorizer of a real API server."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.access import WRITING, Access, Kind, kinds
from tests.deploy.manifests import DEPLOY, build, variant
from tests.support.controlplane import ControlPlane

ACCOUNT = "driftd:driftd"
SECRETS = Kind("", "secrets", "", namespaced=True, verbs=frozenset())
WIDGETS = Kind("example.com", "widgets", "", namespaced=True, verbs=frozenset())
CONFIGMAPS = Kind("", "configmaps", "", namespaced=True, verbs=frozenset())

Install = Callable[..., Access]


@pytest.fixture
def anybody(cluster: ControlPlane) -> Iterator[Access]:
    """The permissions of every account of a cluster, such as querying its own."""
    with Access(cluster, "default:default") as access:
        yield access


@pytest.fixture(scope="module")
def cluster(assets: Path) -> Iterator[ControlPlane]:
    """A separate cluster, since permissions are cluster-wide."""
    with ControlPlane(assets) as running:
        for namespace in ("web", "shop"):
            running.kubectl("create", "namespace", namespace)
        yield running


@pytest.fixture
def install(cluster: ControlPlane, assets: Path, tmp_path: Path) -> Iterator[Install]:
    """Installs the base with components (or an overlay), after removing what another test has installed."""
    opened: list[Access] = []

    def apply(*components: str, overlay: str | None = None) -> Access:
        for kind in ("clusterroles", "clusterrolebindings", "rolebindings"):
            every = () if kind.startswith("cluster") else ("--all-namespaces",)
            previous = cluster.kubectl(
                "get", kind, *every, "-l", "app.kubernetes.io/part-of=driftd", "-o", "json"
            ).stdout
            cluster.kubectl("delete", "-f", "-", "--ignore-not-found", input=previous)
        manifests = build(assets, DEPLOY / overlay) if overlay else variant(assets, tmp_path, components)
        cluster.kubectl("apply", "--server-side", "-f", "-", input=manifests)
        _wait_for_aggregation(cluster)
        access = Access(cluster, ACCOUNT)
        opened.append(access)
        return access

    yield apply
    for access in opened:
        access.__exit__()


def _wait_for_aggregation(cluster: ControlPlane) -> None:
    """The controller manager fills the aggregated roles a moment later, and the authorizer is updated after that."""
    selected = ("-l", "app.kubernetes.io/part-of=driftd", "-o", "json")
    deadline = time.monotonic() + 30
    while True:
        roles = json.loads(cluster.kubectl("get", "clusterroles", *selected).stdout)["items"]
        rules = {role["metadata"]["name"]: role.get("rules") or [] for role in roles}
        parts = {
            name: sum(len(r) for other, r in rules.items() if other.startswith(f"{name}-"))
            for name in ("driftd-read", "driftd-heal")
            if name in rules
        }
        if all(len(rules[name]) == count for name, count in parts.items()):
            return _wait_for_authorizer(cluster, deadline)
        assert time.monotonic() < deadline, rules
        time.sleep(0.05)


def _wait_for_authorizer(cluster: ControlPlane, deadline: float) -> None:
    """Once the authorizer has the latest bindings, cluster-wide and in a namespace, it has all earlier ones."""
    mark = f"mark-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "clusterrole", mark, "--verb=get", "--resource=configmaps", f"--resource-name={mark}")
    for kind, *scope in (("clusterrolebinding",), ("rolebinding", "-n", "web")):
        account = f"mark:{kind}"
        cluster.kubectl("create", kind, mark, f"--clusterrole={mark}", f"--serviceaccount={account}", *scope)
        with Access(cluster, account) as access:
            while not access.may("get", CONFIGMAPS, name=mark):
                assert time.monotonic() < deadline
                time.sleep(0.02)


def test_the_base_can_write_nothing(install: Install, cluster: ControlPlane, anybody: Access):
    """No verb that writes on any resource or subresource, beyond the permissions of every account."""
    access = install()
    writable = [
        f"{verb} {kind}"
        for kind in kinds(cluster)
        for verb in WRITING
        if access.may(verb, kind) and not anybody.may(verb, kind)
    ]
    assert writable == []


def test_the_base_cannot_open_sessions_into_pods_services_or_nodes(install: Install, cluster: ControlPlane):
    """The API server serves exec, attach, port-forward and its proxies on GET, so that "get" alone could run code."""
    access = install()
    connecting = [kind for kind in kinds(cluster) if kind.subresource in ("exec", "attach", "portforward", "proxy")]
    assert {str(kind) for kind in connecting} >= {"pods/exec", "pods/attach", "pods/portforward", "nodes/proxy"}
    assert [str(kind) for kind in connecting if any(access.may(v, kind) for v in ("get", "create"))] == []


@pytest.mark.parametrize("variant", [(), ("heal",)])
def test_nobody_can_be_impersonated_and_no_right_be_granted_that_is_not_held(
    install: Install, variant: tuple[str, ...]
):
    access = install(*variant)
    role = Kind("rbac.authorization.k8s.io", "clusterroles", "", namespaced=False, verbs=frozenset())
    token = Kind("", "serviceaccounts", "token", namespaced=True, verbs=frozenset())
    user = Kind("", "users", "", namespaced=False, verbs=frozenset())
    assert not access.may("escalate", role)
    assert not access.may("bind", role)
    assert not access.may("create", token)
    assert not access.may("impersonate", user)


def test_the_base_can_read_every_built_in_kind_but_secrets(install: Install, cluster: ControlPlane):
    """Get, list and watch on all resources that can be listed."""
    access = install()
    listed = [kind for kind in kinds(cluster) if not kind.subresource and "list" in kind.verbs]
    assert len(listed) > 40
    missing = {
        str(kind)
        for kind in listed
        for verb in ("get", "list", "watch")
        if verb in kind.verbs and not access.may(verb, kind)
    }
    assert missing == {"componentstatuses", "secrets"}


@pytest.mark.parametrize("verb", ["list", "watch"])
def test_custom_resources_are_readable_without_naming_them(install: Install, verb: str):
    assert not install().may(verb, WIDGETS)
    assert install("custom-resources").may(verb, WIDGETS)


def test_what_other_deployers_deploy_is_readable_where_a_component_says_so(install: Install):
    """And nothing else of their groups."""
    kinds = (
        Kind("argoproj.io", "applications", "", namespaced=True, verbs=frozenset()),
        Kind("kustomize.toolkit.fluxcd.io", "kustomizations", "", namespaced=True, verbs=frozenset()),
        Kind("source.toolkit.fluxcd.io", "gitrepositories", "", namespaced=True, verbs=frozenset()),
        Kind("source.extensions.fluxcd.io", "artifactgenerators", "", namespaced=True, verbs=frozenset()),
        Kind("source.toolkit.fluxcd.io", "ocirepositories", "", namespaced=True, verbs=frozenset()),
    )
    assert not any(install().may("list", kind) for kind in kinds)
    access = install("discover")
    assert all(access.may(verb, kind) for verb in ("get", "list", "watch") for kind in kinds)
    assert not any(access.may("patch", kind) for kind in kinds)
    assert not access.may("list", Kind("argoproj.io", "appprojects", "", namespaced=True, verbs=frozenset()))


def test_logins_of_deployers_are_readable_only_in_namespaces_that_are_bound(install: Install, cluster: ControlPlane):
    """The component alone gives nothing."""
    access = install("discover/credentials")
    assert not access.may("list", SECRETS, "argocd")
    cluster.kubectl("create", "namespace", "argocd")
    role, account = "--clusterrole=driftd-deployer-credentials", "--serviceaccount=driftd:driftd"
    cluster.kubectl("-n", "argocd", "create", "rolebinding", "driftd-deployer-credentials", role, account)
    _wait_for_authorizer(cluster, time.monotonic() + 30)
    assert all(access.may(verb, SECRETS, "argocd") for verb in ("get", "list"))
    assert not access.may("watch", SECRETS, "argocd")
    assert not access.may("list", SECRETS, "default")


@pytest.mark.parametrize(
    "path", ["/api", "/apis", "/apis/apps/v1", "/openapi/v3", "/openapi/v3/apis/apps/v1", "/version"]
)
def test_discovery_and_schemas_are_readable(install: Install, path: str):
    assert install().may_visit(path)


def test_discovery_stays_readable_where_the_cluster_has_taken_it_from_everybody(
    install: Install, cluster: ControlPlane, anybody: Access
):
    access = install()
    cluster.kubectl("delete", "clusterrolebinding", "system:discovery", "system:public-info-viewer")
    deadline = time.monotonic() + 10
    while anybody.may_visit("/openapi/v3"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert access.may_visit("/openapi/v3")


def test_healing_can_create_and_patch_and_never_delete(install: Install, cluster: ControlPlane, anybody: Access):
    """On every kind that is kept in Git, and on no subresource."""
    access = install("heal", "heal-secrets")
    served = kinds(cluster)
    for verb in ("delete", "deletecollection", "update"):
        assert [str(kind) for kind in served if access.may(verb, kind) and not anybody.may(verb, kind)] == []
    assert [str(k) for k in served if k.subresource and access.may("patch", k)] == []
    assert [str(k) for k in served if k.subresource and access.may("create", k) and not anybody.may("create", k)] == []
    written = {str(kind) for kind in served if access.may("patch", kind)}
    assert written == {str(kind) for kind in served if access.may("create", kind) and not anybody.may("create", kind)}
    assert written >= {
        "configmaps", "secrets", "services", "serviceaccounts", "namespaces", "deployments.apps", "statefulsets.apps",
        "daemonsets.apps", "jobs.batch", "cronjobs.batch", "ingresses.networking.k8s.io",
        "networkpolicies.networking.k8s.io", "customresourcedefinitions.apiextensions.k8s.io",
        "clusterroles.rbac.authorization.k8s.io", "horizontalpodautoscalers.autoscaling",
        "poddisruptionbudgets.policy", "storageclasses.storage.k8s.io",
    }  # fmt: skip
    assert not written & {"nodes", "events", "leases.coordination.k8s.io"}


def test_the_resources_of_the_healing_rules_are_served_by_a_cluster(install: Install, cluster: ControlPlane):
    """A misspelt resource in a rule would silently have no effect."""
    install("heal")
    served = {(kind.group, kind.resource) for kind in kinds(cluster)}
    roles = json.loads(cluster.kubectl("get", "clusterroles", "-o", "json").stdout)["items"]
    rules = [r for role in roles if role["metadata"]["name"].startswith("driftd-") for r in role["rules"]]
    named = {(g, r) for rule in rules for g in rule.get("apiGroups", []) for r in rule.get("resources", [])}
    assert {(g, r) for g, r in named if r != "*"} <= served


def test_healing_is_limited_to_the_namespaces_that_are_bound(install: Install):
    """The example can heal only in the namespace "web", and no cluster-scoped objects."""
    access = install(overlay="overlays/example")
    deployments = Kind("apps", "deployments", "", namespaced=True, verbs=frozenset())
    nodes = Kind("", "namespaces", "", namespaced=False, verbs=frozenset())
    assert access.may("patch", deployments, namespace="web")
    assert access.may("create", deployments, namespace="web")
    assert not access.may("delete", deployments, namespace="web")
    assert not access.may("patch", deployments, namespace="shop")
    assert not access.may("patch", nodes)
    assert access.may("list", deployments, namespace="shop")


@pytest.mark.parametrize("components", [(), ("heal",), ("audit", "heal", "network-policy")])
def test_no_secret_can_be_read_or_written_unless_a_component_says_so(install: Install, components: tuple[str, ...]):
    """Not even by the response to a patch, which is the whole object."""
    access = install(*components)
    assert [v for v in ("get", "list", "watch", *WRITING) if access.may(v, SECRETS)] == []
    assert access.may("get", CONFIGMAPS)
    assert access.may("patch", CONFIGMAPS) == ("heal" in components)


@pytest.mark.parametrize(
    ("components", "verbs"),
    [
        (("secrets",), {"get", "list", "watch"}),
        (("custom-resources",), {"list", "watch"}),
        (("heal-secrets",), set()),  # nothing lets it write anything
        (("heal-secrets", "heal"), {"get", "create", "patch"}),
        (("heal", "heal-secrets"), {"get", "create", "patch"}),
        (("secrets", "heal"), {"get", "list", "watch"}),
    ],
)
def test_each_component_gives_what_it_names_in_whichever_order(
    install: Install, components: tuple[str, ...], verbs: set[str]
):
    access = install(*components)
    assert {verb for verb in ("get", "list", "watch", *WRITING) if access.may(verb, SECRETS)} == verbs


def test_a_labelled_role_adds_custom_resources(install: Install, cluster: ControlPlane):
    """As documented for clusters without the rule for all groups, and for healing custom resources."""
    access = install("heal")
    assert not access.may("list", WIDGETS)
    role = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: driftd-read-widgets
  labels:
    app.kubernetes.io/part-of: driftd
    driftd.io/aggregate-to-read: "true"
    driftd.io/aggregate-to-heal: "true"
rules:
  - apiGroups: [example.com]
    resources: [widgets]
    verbs: [get, list, watch, create, patch]
"""
    cluster.kubectl("apply", "--server-side", "-f", "-", input=role)
    deadline = time.monotonic() + 15
    while not (access.may("patch", WIDGETS) and access.may("get", WIDGETS)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_kubectl_agrees(install: Install, cluster: ControlPlane):
    """`kubectl auth can-i`, as in the documentation."""
    install("heal")

    def can_i(*question: str) -> bool:
        done = cluster.kubectl("auth", "can-i", *question, f"--as=system:serviceaccount:{ACCOUNT}", check=False)
        return done.stdout.strip() == "yes"

    assert can_i("list", "deployments.apps", "--all-namespaces")
    assert can_i("patch", "deployments.apps", "--namespace=web")
    assert not can_i("delete", "deployments.apps", "--namespace=web")
    assert not can_i("get", "pods", "--subresource=exec", "--namespace=web")
