"""What an app may write to: its own namespace, and what its configuration names besides."""

from __future__ import annotations

import pytest

from driftd.model.app import App
from driftd.model.resource import ResourceRef
from driftd.policy.borders import Borders

OWN = ResourceRef("", "ConfigMap", "web", "a")
KUBE_SYSTEM = ResourceRef("", "ConfigMap", "kube-system", "a")
BINDING = ResourceRef("rbac.authorization.k8s.io", "ClusterRoleBinding", None, "a")


def borders(**app: object) -> Borders:
    return Borders.of(App("web", "shop", "prod", **{"namespace": "web", **app}), "default")


def test_by_default_an_app_is_written_in_its_own_namespace_only() -> None:
    """Not what its folder declares in kube-system, and nothing that holds for the whole cluster."""
    assert borders().outside(OWN) is None
    assert "kube-system" in str(borders().outside(KUBE_SYSTEM))
    assert "ClusterRoleBinding is cluster-scoped" in str(borders().outside(BINDING))


def test_without_a_namespace_an_apps_own_is_that_of_its_kubeconfig() -> None:
    """Where `kubectl apply` would write, too."""
    assert borders(namespace=None).outside(ResourceRef("", "ConfigMap", "default", "a")) is None
    assert borders(namespace=None).outside(OWN) is not None


@pytest.mark.parametrize("names", [{"kube-system"}, {"*"}])
def test_further_namespaces_are_named(names: set[str]) -> None:
    """Or all of them; cluster-scoped objects are in none."""
    named = borders(namespaces=frozenset(names))
    assert named.outside(KUBE_SYSTEM) is None
    assert named.outside(OWN) is None
    assert named.outside(BINDING) is not None


@pytest.mark.parametrize("kind", ["ClusterRoleBinding", "ClusterRoleBinding.rbac.authorization.k8s.io", "*"])
def test_cluster_scoped_kinds_are_named(kind: str) -> None:
    """With or without their group; namespaced objects of another namespace stay outside."""
    named = borders(kinds=frozenset({kind}))
    assert named.outside(BINDING) is None
    assert named.outside(KUBE_SYSTEM) is not None


@pytest.mark.parametrize("kind", ["ClusterRole", "ClusterRoleBinding.example.com"])
def test_a_kind_of_another_name_or_group_is_not_meant(kind: str) -> None:
    """A CRD may have the same kind."""
    assert borders(kinds=frozenset({kind})).outside(BINDING) is not None
