"""What Argo CD ignores by jq, and in its settings for all Applications."""

from __future__ import annotations

import pytest

from driftd.diff.rules.ignore import IgnoreRule
from driftd.discovery.argo import deployed_by_application
from driftd.discovery.argo_ignore import excluded_kinds, system_rules
from driftd.discovery.deployed import DeployedApp, NotJudged, Unsupported
from driftd.discovery.jq_paths import path_patterns
from driftd.model.app import ExcludedKinds
from driftd.model.drift import Change, FieldDrift
from driftd.model.resource import ResourceRef
from tests.discovery.objects import application

TEMPLATE = "spec.template.spec"


@pytest.mark.parametrize(
    ("expression", "patterns"),
    [
        (".spec.replicas", ["spec.replicas"]),
        (".spec | .replicas", ["spec.replicas"]),
        ('.metadata.annotations["a.io/b"]', ['metadata.annotations["a.io/b"]']),
        ('.metadata.annotations."a.io/b"', ['metadata.annotations["a.io/b"]']),
        (".webhooks[]?.clientConfig.caBundle", ["webhooks[*].clientConfig.caBundle"]),
        (".spec.ports[0].nodePort", ["spec.ports[*].nodePort"]),
        (".spec.a, .spec.b", ["spec.a", "spec.b"]),
        (".spec | (.a, .b[]) | .c", ["spec.a.c", "spec.b[*].c"]),
        (".spec.a, .spec.b | .c", ["spec.a.c", "spec.b.c"]),
        (".spec.(.a)", None),
        (
            '.spec.template.spec.containers[] | select(.name == "x") | .image',
            [f"{TEMPLATE}.containers[name=x].image"],
        ),
        (
            '.spec.template.spec.initContainers[]? | select(.name=="x").env[] | select(.name == "A").value',
            [f"{TEMPLATE}.initContainers[name=x].env[name=A].value"],
        ),
        (
            '.spec.template.spec.initContainers[] | select(.name | startswith("istio"))',
            [f"{TEMPLATE}.initContainers[name=istio*]"],
        ),
        ('.spec.template.spec.volumes[] | select(.name | contains("token"))', [f"{TEMPLATE}.volumes[name=*token*]"]),
        ('.webhooks[] | select(.name == "a.b.io") | .failurePolicy', ["webhooks[name=a.b.io].failurePolicy"]),
        ('.spec.x[] | select(.name == "x")', None),
        ('.spec.template.spec.containers[] | select(.image == "x")', None),
        ('.spec | select(.name == "x")', None),
        (".spec | to_entries", None),
        (".spec | del(.a)", None),
        (".", None),
        ("", None),
        (".a |", None),
        ("(.a", None),
        ("..", None),
        ("." + "a," * 200, None),
    ],
)
def test_an_expression_of_jq_is_read_as_the_fields_that_it_names(expression: str, patterns: list[str] | None) -> None:
    """Or it is said that it is not known: nothing is approximated, and nothing is run."""
    if patterns is None:
        with pytest.raises(Unsupported, match="of jq, driftd knows"):
            path_patterns(expression, built_in=True)
    else:
        assert path_patterns(expression, built_in=True) == patterns


def test_items_of_custom_resources_are_not_selected() -> None:
    """By what the API server tells them apart, only their own definition says."""
    with pytest.raises(Unsupported, match="of jq, driftd knows"):
        path_patterns('.spec.template.spec.containers[] | select(.name == "x")', built_in=False)


SETTINGS = {
    "resource.customizations.ignoreDifferences.all": "managedFieldsManagers: [kube-controller-manager]\n",
    "resource.customizations.ignoreDifferences.apps_Deployment": "jsonPointers: [/spec/replicas]\n",
    "resource.customizations.ignoreDifferences.ConfigMap": "jqPathExpressions: ['.data.a']\n",
    "resource.customizations": "apps/StatefulSet:\n  ignoreDifferences: |\n    jsonPointers: [/spec/b]\n",
    "resource.customizations.health.apps_Deployment": "return {}",
    "resource.exclusions": "- apiGroups: ['*.cilium.io', cilium.io]\n  kinds: [CiliumIdentity]\n  clusters: ['*']\n"
    "- kinds: [Other]\n  clusters: [https://other.example.com]\n",
    "url": "https://argocd.example.com",
}


def test_what_argo_cd_ignores_for_all_applications_is_ignored() -> None:
    """For all kinds or for one, in both forms; kinds that it leaves out are not expected to be live."""
    rules = system_rules(SETTINGS)
    assert [(rule.groups, rule.kinds, rule.paths, rule.managers) for rule in rules] == [
        ((), (), (), ("kube-controller-manager",)),
        (("apps",), ("Deployment",), ("spec.replicas",), ()),
        (("",), ("ConfigMap",), ("data.a",), ()),
        (("apps",), ("StatefulSet",), ("spec.b",), ()),
    ]
    assert excluded_kinds(SETTINGS) == (ExcludedKinds(("*.cilium.io", "cilium.io"), ("CiliumIdentity",)),)
    with pytest.raises(Unsupported, match="all kinds but some"):
        excluded_kinds({"resource.inclusions": "- kinds: [ConfigMap]"})


def test_the_settings_count_for_each_application_beside_its_own() -> None:
    """A setting that cannot be read makes what it may concern unknown."""
    source = {"repoURL": "https://git.example.com/a.git", "path": "a"}
    body = application(source, "a" * 40, ignoreDifferences=[{"kind": "A", "jsonPointers": ["/b"]}])
    [found] = deployed_by_application(body, "prod", settings=SETTINGS)
    assert isinstance(found, DeployedApp)
    assert found.ignore[0] == IgnoreRule(
        paths=("b",), kinds=("A",), groups=("",), reason="Argo CD ignores it", origin="ignoreDifferences"
    )
    assert len(found.ignore) == 5
    [excluded] = found.app.excluded
    assert excluded.covers("cilium.io", "CiliumIdentity")
    assert not excluded.covers("cilium.io", "CiliumNode")
    for key, broken in (("resource.exclusions", "a: ["), ("resource.customizations", "a: &a [*a]")):
        [unknown] = deployed_by_application(body, "prod", settings={key: broken})
        assert isinstance(unknown, NotJudged)
        assert key in unknown.reason


def test_an_entry_without_a_group_is_for_the_core_group_alone() -> None:
    """As in Argo CD; `*` is for all."""
    drift = FieldDrift(path=("data", "a"), change=Change.CHANGED, desired="b", live="c", at=("data", "a"))
    for group, kinds in (("", {"": True, "apps": False}), ("*", {"": True, "apps": True})):
        entry = {"group": group, "kind": "ConfigMap", "jsonPointers": ["/data/a"]}
        source = {"repoURL": "https://git.example.com/a.git", "path": "a"}
        [found] = deployed_by_application(application(source, "a" * 40, ignoreDifferences=[entry]), "prod")
        assert isinstance(found, DeployedApp)
        [rule] = found.ignore
        assert {each: rule.matches(ResourceRef(each, "ConfigMap", "a", "b"), drift) for each in kinds} == kinds
