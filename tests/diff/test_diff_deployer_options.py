"""What a manifest tells its deployer to leave as it is, is no drift: each option of each deployer."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from driftd.diff.rules.deployer_options import created_by_others, kept_without_declaration
from driftd.model.drift import Status, Verdict
from driftd.model.path import format_path
from driftd.model.resource import Manifest, Source
from tests.diff.objects import COMPARISON, JsonObject, changed_manually, deployed, owned, schema_of

FLUX = "kustomize.toolkit.fluxcd.io"
KAPP = "kapp.k14s.io"
SCHEMA = schema_of("v1", "ConfigMap")

UNTOUCHED = [
    (f"{FLUX}/reconcile", "disabled"),
    (f"{FLUX}/ssa", "Ignore"),
    (f"{KAPP}/noop", ""),
    ("configmanagement.gke.io/managed", "disabled"),
    ("config.kubernetes.io/local-config", "true"),
    ("kluctl.io/ignore", "true"),
    ("kluctl.io/delete", "true"),
]
"""The deployer does not look at the object at all."""
ONLY_CREATED = [
    (f"{FLUX}/ssa", "IfNotPresent"),
    (f"{KAPP}/update-strategy", "skip"),
    ("client.lifecycle.config.k8s.io/mutation", "ignore"),
    ("kluctl.io/ignore-diff", "true"),
    ("helm.toolkit.fluxcd.io/driftDetection", "disabled"),
    ("pipecd.dev/ignore-drift-detection", "true"),
    ("projectsveltos.io/driftDetectionIgnore", "ok"),
]
"""The deployer creates it, or tells that it is missing, and leaves it as it is then."""
WITHOUT_EFFECT = [
    (f"{FLUX}/reconcile", "enabled"),
    (f"{FLUX}/ssa", "Override"),
    (f"{FLUX}/prune", "disabled"),
    (f"{KAPP}/update-strategy", "fallback-on-replace"),
    ("configmanagement.gke.io/managed", "enabled"),
    ("config.kubernetes.io/local-config", "false"),
    ("kluctl.io/delete", "false"),
    ("helm.toolkit.fluxcd.io/driftDetection", "enabled"),
    ("pipecd.dev/server-side-apply", "true"),
    ("argocd.argoproj.io/sync-options", "Replace=true,ServerSideApply=true,Prune=false"),
    ("argocd.argoproj.io/compare-options", "IgnoreExtraneous"),
    ("helm.sh/resource-policy", "keep"),
]
"""They change how it is applied, or whether it is deleted."""


def config_map(option: tuple[str, str] | None, where: str = "annotations") -> JsonObject:
    metadata: dict[str, Any] = {"name": "c", "namespace": "n"}
    if option is not None:
        metadata[where] = dict([option])
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}


def verdict_on(declared: JsonObject, live: JsonObject | None) -> Verdict:
    return COMPARISON.verdict(Manifest.of(declared, Source("app.yaml", 1)), live, SCHEMA)


def edited(declared: JsonObject, **data: str) -> JsonObject:
    """The object as it was deployed, then changed by hand."""
    live = changed_manually(deployed(copy.deepcopy(declared), SCHEMA), owned("f:data", *(f"f:{key}" for key in data)))
    live["data"] |= data
    return live


@pytest.mark.parametrize("where", ["annotations", "labels"])
@pytest.mark.parametrize("option", [*UNTOUCHED, *ONLY_CREATED, (f"{KAPP}/exists", "")])
def test_what_the_deployer_leaves_as_it_is_is_ignored(option: tuple[str, str], where: str) -> None:
    """It is shown as ignored, by the option; what is equal is in sync."""
    declared = config_map(option, where)
    assert verdict_on(declared, deployed(copy.deepcopy(declared), SCHEMA)).status is Status.IN_SYNC
    result = verdict_on(declared, edited(declared, a="2", b="2"))
    assert (result.status, result.fields) == (Status.IGNORED, ())
    assert sorted(format_path(field.path) for field in result.ignored) == ["data.a", "data.b"]


@pytest.mark.parametrize("option", UNTOUCHED)
def test_what_the_deployer_never_applies_need_not_be_there(option: tuple[str, str]) -> None:
    """So that it is not created either."""
    assert verdict_on(config_map(option), None).status is Status.IGNORED


@pytest.mark.parametrize("option", [*ONLY_CREATED, *WITHOUT_EFFECT])
def test_what_the_deployer_creates_is_missing_where_it_is_not_there(option: tuple[str, str]) -> None:
    """Whatever becomes of it afterwards."""
    declared = config_map(option)
    assert verdict_on(declared, None).status is Status.MISSING
    assert created_by_others(declared) is None


def test_what_kapp_waits_for_is_missing_and_left_to_others() -> None:
    """It does not create it."""
    declared = config_map((f"{KAPP}/exists", ""))
    assert verdict_on(declared, None).status is Status.MISSING
    assert created_by_others(declared) == f"people: kapp only waits for it to be there ({KAPP}/exists)"


def test_what_kapp_names_by_versions_is_unknown_under_its_own_name() -> None:
    """It is there under another one."""
    result = verdict_on(config_map((f"{KAPP}/versioned", "")), None)
    assert result.status is Status.UNKNOWN
    assert "under a name of its own" in (result.error or "")


def test_what_others_add_is_ignored_where_flux_merges() -> None:
    """What Git declares counts all the same."""
    declared = config_map((f"{FLUX}/ssa", "Merge"))
    result = verdict_on(declared, edited(declared, b="2"))
    assert (result.status, len(result.ignored)) == (Status.IGNORED, 1)
    result = verdict_on(declared, edited(declared, a="2", b="2"))
    assert [format_path(field.path) for field in result.fields] == ["data.a"]


@pytest.mark.parametrize("option", [*WITHOUT_EFFECT, None])
def test_other_options_make_no_drift_ignored(option: tuple[str, str] | None) -> None:
    """Nor does an option that only the live object has: a hand could exempt itself."""
    declared = config_map(option)
    assert verdict_on(declared, edited(declared, a="2")).status is Status.DRIFTED
    live = edited(declared, a="2")
    live["metadata"].setdefault("annotations", {})[f"{FLUX}/reconcile"] = "disabled"
    assert "data.a" in [format_path(field.path) for field in verdict_on(declared, live).fields]


@pytest.mark.parametrize(
    ("option", "kept"),
    [
        (("argocd.argoproj.io/sync-options", "Replace=true, Prune=false"), True),
        (("argocd.argoproj.io/sync-options", "Prune=true"), False),
        (("argocd.argoproj.io/compare-options", "IgnoreExtraneous"), True),
        ((f"{FLUX}/prune", "disabled"), True),
        (("helm.sh/resource-policy", "keep"), True),
        ((f"{KAPP}/delete-strategy", "orphan"), True),
        (("client.lifecycle.config.k8s.io/deletion", "detach"), True),
        (("cli-utils.sigs.k8s.io/on-remove", "keep"), True),
        (("kluctl.io/skip-delete", "true"), True),
        (("a", "Prune=false"), False),
    ],
)
def test_what_is_meant_to_stay_without_git_says_so(option: tuple[str, str], kept: bool) -> None:
    """By its last manifest."""
    assert (kept_without_declaration(config_map(option)) is not None) is kept
