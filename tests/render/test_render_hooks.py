"""Hooks are no part of the desired state, whatever they were rendered by."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftd.desired.state import Desired
from driftd.model.app import App
from driftd.model.revision import Revision
from driftd.render.app import RenderOptions, render
from tests.render.repositories import config_map, tree


def job(annotation: str, name: str = "name: migrate") -> str:
    return f"apiVersion: batch/v1\nkind: Job\nmetadata:\n  {name}\n  annotations: {{{annotation}}}\n"


HOOKS = {
    "helm.sh/hook: pre-delete": "pre-delete",
    "helm.sh/hook: test": "test",
    "argocd.argoproj.io/hook: 'PreSync,Sync'": "PreSync,Sync",
    "argocd.argoproj.io/hook: Skip": "Skip",
    "kluctl.io/hook: pre-deploy": "pre-deploy",
}


@pytest.mark.parametrize("annotation", HOOKS)
def test_a_hook_in_plain_yaml_is_left_out_and_named(tmp_path: Path, annotation: str) -> None:
    """Also without a name of its own: its deployer makes one up."""
    files = {
        "app/config.yaml": config_map("settings"),
        "app/hook.yaml": job(annotation) + "---\n" + job(annotation, "generateName: migrate-"),
    }
    rendering = render(tree(tmp_path, "app", files), RenderOptions())
    assert rendering.errors == ()
    assert [manifest.ref.name for manifest in rendering.manifests] == ["settings"]
    assert [(hook.kind, hook.name, hook.when) for hook in rendering.hooks] == [
        ("Job", "migrate", HOOKS[annotation]),
        ("Job", "migrate-", HOOKS[annotation]),
    ]
    assert [(hook.source.file, hook.source.line) for hook in rendering.hooks] == [
        ("app/hook.yaml", 1),
        ("app/hook.yaml", 7),
    ]


def test_an_object_that_each_deployment_creates_anew_is_left_out_and_named(tmp_path: Path) -> None:
    """With `generateName` alone there is none that could be missing."""
    files = {"app/a.yaml": config_map("a") + "---\n" + job("a: b", "generateName: migrate-")}
    rendering = render(tree(tmp_path, "app", files), RenderOptions())
    assert rendering.errors == ()
    assert [manifest.ref.name for manifest in rendering.manifests] == ["a"]
    assert [(hook.name, hook.when) for hook in rendering.hooks] == [("migrate-", "generateName")]


@pytest.mark.parametrize("deploys", [True, False])
def test_driftd_itself_deploys_no_object_without_a_name(tmp_path: Path, deploys: bool) -> None:
    """For an app that it deploys such an object is a mistake; it would never be there, and nobody would know."""
    files = {"app/a.yaml": config_map("a") + "---\n" + job("a: b", "generateName: migrate-")}
    rendering = render(tree(tmp_path, "app", files), RenderOptions())
    now = datetime(2026, 1, 5, tzinfo=UTC)
    app = App("web", "shop", "prod", path="app", deploys=deploys)
    desired = Desired.of(Revision("a" * 40, "Ann", now, "Declare", "main"), rendering, app)
    assert (desired.error is not None) is deploys
    if desired.error is not None:
        assert desired.error.startswith("app/a.yaml:5: the Job has generateName and no name")


@pytest.mark.parametrize(
    "annotation", ["helm.sh/hook: crd-install", "argocd.argoproj.io/hook-delete-policy: HookSucceeded", "a: b"]
)
def test_what_is_there_to_stay_is_an_ordinary_object(tmp_path: Path, annotation: str) -> None:
    """Helm 2 marked CRDs as hooks; a policy alone makes no hook."""
    rendering = render(tree(tmp_path, "app", {"app/a.yaml": job(annotation)}), RenderOptions())
    assert [manifest.ref.name for manifest in rendering.manifests] == ["migrate"]
    assert rendering.hooks == ()


def test_a_hook_that_kustomize_or_helm_renders_is_left_out_and_named(tmp_path: Path, programs: RenderOptions) -> None:
    """In a List, too."""
    hook = job("helm.sh/hook: post-install")
    kustomized = {
        "app/kustomization.yaml": "namePrefix: web-\nresources: [hook.yaml, config.yaml]\n",
        "app/hook.yaml": hook,
        "app/config.yaml": config_map("settings"),
    }
    rendering = render(tree(tmp_path / "kustomize", "app", kustomized), programs)
    assert [manifest.ref.name for manifest in rendering.manifests] == ["web-settings"]
    assert [(h.name, h.source.file, h.source.origin) for h in rendering.hooks] == [
        ("web-migrate", "app/hook.yaml", "kustomize")
    ]
    chart = {
        "app/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        "app/templates/hook.yaml": hook,
        "app/templates/tests/test.yaml": job("helm.sh/hook: test", "name: check"),
        "app/templates/config.yaml": config_map("settings"),
    }
    rendering = render(tree(tmp_path / "helm", "app", chart), programs)
    assert [manifest.ref.name for manifest in rendering.manifests] == ["settings"]
    assert sorted((h.name, h.when, h.source.file) for h in rendering.hooks) == [
        ("check", "test", "app/templates/tests/test.yaml"),
        ("migrate", "post-install", "app/templates/hook.yaml"),
    ]
