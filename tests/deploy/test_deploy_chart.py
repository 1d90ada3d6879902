"""The Helm chart gives what kustomize gives for the same choices, with Helm 3 and with Helm 4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from driftd.config.loading import load
from tests.deploy.chart import Values, comparable, run_template, template
from tests.deploy.manifests import DEPLOY, build, single, variant

_NOTHING = {"discover": [], "sources": [], "apps": []}
_AUDIT = {"tokenFile": "token", "certFile": "tls.crt", "keyFile": "tls.key", "listen": "0.0.0.0:8443"}
_EVERY_COMPONENT: dict[str, Values] = {
    "audit": {"config": {"web": {"audit": _AUDIT}}},
    "custom-resources": {"rbac": {"customResources": True}},
    "discover": {"config": {"discover": ["argo"]}},
    "heal": {"rbac": {"heal": True}},
    "heal-secrets": {"rbac": {"healSecrets": True}},
    "network-policy": {"networkPolicy": {"enabled": True}},
    "secrets": {"rbac": {"secrets": True}},
    "servicemonitor": {"serviceMonitor": {"enabled": True}},
}
_CHOICES = [(), *((name,) for name in _EVERY_COMPONENT), tuple(_EVERY_COMPONENT)]


@pytest.fixture(params=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest, assets: Path, chart_tools: Path) -> Path:
    """Each Helm that people have."""
    return assets / "helm" if request.param == "helm4" else chart_tools / "helm3"


def test_every_component_has_a_value():
    """heal-namespaces has a test of its own, heal-role is a part of it and of heal."""
    there = {folder.name for folder in (DEPLOY / "components").iterdir()}
    assert there == {*_EVERY_COMPONENT, "heal-namespaces", "heal-role"}


@pytest.mark.parametrize("components", _CHOICES, ids=lambda names: "+".join(names) or "base")
def test_the_chart_gives_what_kustomize_gives(helm: Path, assets: Path, tmp_path: Path, components: tuple[str, ...]):
    values = _merged({"config": _NOTHING}, *(_EVERY_COMPONENT[name] for name in components))
    chart, kustomize = comparable(template(helm, values)), comparable(variant(assets, tmp_path, components))
    assert chart.keys() == kustomize.keys()
    for key, obj in kustomize.items():
        if key[0] != "ConfigMap":  # a component does not change the configuration, which is the user's
            assert chart[key] == obj


def test_the_chart_without_a_value_is_the_installation_that_finds_apps(helm: Path, assets: Path):
    """`helm install` and `kubectl apply -f install.yaml` give the same, its configuration included."""
    assert comparable(template(helm)) == comparable(build(assets, DEPLOY / "overlays" / "discover"))


def test_named_namespaces_are_healed_as_in_the_example(helm: Path, assets: Path):
    """deploy/overlays/example binds one namespace by a manifest of its own."""
    chart = comparable(template(helm, {"rbac": {"healNamespaces": ["web"]}}))
    example = comparable(build(assets, DEPLOY / "overlays" / "example"))
    for key in example:
        if "heal" in key[2]:
            assert chart[key] == example[key]
    assert {key for key in chart if "heal" in key[2]} == {key for key in example if "heal" in key[2]}


def test_the_configuration_arrives_as_it_was_given(helm: Path, tmp_path: Path):
    """Numbers, durations, lists and nested maps; the defaults of the chart are kept where nothing is said."""
    config = {
        "sources": [{"name": "shop", "url": "https://git.example.com/shop/deploy.git", "interval": "90s"}],
        "apps": [{"name": "web", "source": "shop", "path": "apps/web", "mode": "heal", "deploys": False}],
    }
    text = single(template(helm, {"config": config}), "ConfigMap", "driftd-config")["data"]["driftd.yaml"]
    file = tmp_path / "driftd.yaml"
    file.write_text(text)
    loaded = load(file)
    assert loaded.apps[0].deploys is False
    assert loaded.sources[0].interval.total_seconds() == 90
    assert loaded.store.url == "sqlite:////var/lib/driftd/driftd.db"
    assert loaded.discover == ("argo", "flux")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"config": {"apps": [{"name": "web", "source": "shop", "mod": "heal"}]}}, "mod"),
        ({"config": {"apps": [{"name": "web", "source": "shop", "mode": "repair"}]}}, "mode"),
        ({"config": {"sources": [{"name": "shop", "url": "https://x/y", "interval": "soon"}]}}, "interval"),
        ({"config": {"discover": ["argo", "fleet"]}}, "discover"),
        ({"config": {"sourcess": []}}, "sourcess"),
        ({"rbac": {"heel": True}}, "heel"),
        ({"rbac": {"heal": "yes"}}, "heal"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"config": {"web": {"probes": None}}}, "config.web.probes has to be set"),
        ({"config": {"web": None}}, "config.web.listen has to be set"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm: Path, values: Values, names: str):
    done = run_template(helm, values)
    assert done.returncode != 0
    assert names in done.stderr


def test_a_chart_that_depends_on_it_may_have_global_values(helm: Path):
    assert run_template(helm, {"global": {"imageRegistry": "registry.example.com"}}).returncode == 0


def test_a_release_of_another_name_has_names_of_its_own(helm: Path):
    """Names, selectors and the account that roles are bound to."""
    manifests = template(helm, {"serviceMonitor": {"enabled": True}}, release="shop")
    assert {name for _, _, name in comparable(manifests)} == {
        "shop-driftd", "shop-driftd-config", "shop-driftd-data", "shop-driftd-read", "shop-driftd-read-builtin",
        "shop-driftd-read-discover",
    }  # fmt: skip
    selected = single(manifests, "Deployment", "shop-driftd")["spec"]["selector"]["matchLabels"]
    assert selected == {"app.kubernetes.io/name": "driftd", "app.kubernetes.io/instance": "shop"}
    assert single(manifests, "Service", "shop-driftd")["spec"]["selector"] == selected
    assert single(manifests, "ServiceMonitor", "shop-driftd")["spec"]["selector"]["matchLabels"] == selected
    (subject,) = single(manifests, "ClusterRoleBinding", "shop-driftd-read")["subjects"]
    assert subject["name"] == single(manifests, "ServiceAccount", "shop-driftd")["metadata"]["name"]


def _merged(*values: Values) -> dict[str, Any]:
    """Values on top of each other, as Helm merges them: maps by key."""
    merged: dict[str, Any] = {}
    for one in values:
        for key, value in one.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = _merged(merged[key], value) if both else value
    return merged
