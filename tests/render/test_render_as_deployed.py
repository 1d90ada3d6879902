"""What deployers add to the files of a repository: overlays, values, and a choice of files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driftd.model.app import HelmParameter, PlainFiles
from driftd.model.errors import RenderError
from driftd.render.app import Rendering, RenderKind, RenderOptions, render
from driftd.render.glob import glob_pattern
from tests.render.repositories import config_map, tree

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx:1.25}]}
"""
BASE = {"app/deployment.yaml": DEPLOYMENT, "app/kustomization.yaml": "resources: [deployment.yaml]\n"}
OVERLAY = {
    "namespace": "shop",
    "namePrefix": "eu-",
    "images": [{"name": "nginx", "newTag": "1.27"}],
    "commonAnnotations": {"team": "web"},
    "patches": [{"target": {"kind": "Deployment"}, "patch": '[{"op": "add", "path": "/spec/replicas", "value": 3}]'}],
}


def overlaid(root: Path, files: dict[str, str], options: RenderOptions, overlay: dict[str, Any]) -> Rendering:
    return render(tree(root, "app", files), replace(options, overlay=json.dumps(overlay)))


@pytest.mark.parametrize("files", [BASE, {"app/deployment.yaml": DEPLOYMENT}], ids=["kustomization", "plain"])
def test_an_overlay_is_built_on_top_of_a_folder(tmp_path: Path, programs: RenderOptions, files: dict[str, str]) -> None:
    """Whether or not it has a kustomization file; the file and line in Git are those of the object."""
    rendering = overlaid(tmp_path, files, programs, OVERLAY)
    assert rendering.errors == ()
    assert rendering.kind is RenderKind.KUSTOMIZE
    [manifest] = rendering.manifests
    assert manifest.body["metadata"] == {"name": "eu-web", "namespace": "shop", "annotations": {"team": "web"}}
    assert manifest.body["spec"]["replicas"] == 3
    assert manifest.body["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.27"
    assert (manifest.source.file, manifest.source.line) == ("app/deployment.yaml", 1)


def test_a_generated_object_below_an_overlay_has_its_generator_as_source(
    tmp_path: Path, programs: RenderOptions
) -> None:
    """The file is the repository's own, not the overlay."""
    files = {"app/kustomization.yaml": "\nconfigMapGenerator:\n- name: settings\n  literals: [a=b]\n"}
    [manifest] = overlaid(tmp_path, files, programs, {"namePrefix": "eu-"}).manifests
    assert manifest.ref.name.startswith("eu-settings-")
    assert manifest.source.file == "app/kustomization.yaml"


def test_the_subfolders_of_a_plain_folder_are_built_below_the_overlay(tmp_path: Path, programs: RenderOptions) -> None:
    """As Flux does where there is no kustomization file; what cannot be read is an error as ever."""
    files = {
        "app/a.yaml": config_map("a"),
        "app/below/b.yaml": config_map("b"),
        "app/built/kustomization.yaml": "resources: [c.yaml]\nnameSuffix: -built\n",
        "app/built/c.yaml": config_map("c"),
        "app/chart/Chart.yaml": "name: x",
    }
    rendering = overlaid(tmp_path, files, programs, {"namePrefix": "eu-"})
    assert sorted(manifest.ref.name for manifest in rendering.manifests) == ["eu-a", "eu-b", "eu-c-built"]
    [error] = rendering.errors
    assert error.file == "app/chart/Chart.yaml"


def test_components_of_an_overlay_are_found_from_the_folder(tmp_path: Path, programs: RenderOptions) -> None:
    """Wherever in the repository they are; remote ones and those that are not there are errors."""
    component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -c\n"
    files = {**BASE, "components/c/kustomization.yaml": component}
    [manifest] = overlaid(tmp_path, files, programs, {"components": ["../components/c"]}).manifests
    assert manifest.ref.name == "web-c"
    for entry, says in (
        ("../nothing", "no folder of the repository"),
        ("https://example.com/c?ref=main", "is remote"),
        ("../../..", "leads out of the repository"),
    ):
        [error] = overlaid(tmp_path, files, programs, {"components": [entry]}).errors
        assert says in error.message
        assert error.file == "app/kustomization.yaml"


def test_values_and_parameters_win_over_files(tmp_path: Path, programs: RenderOptions) -> None:
    """Parameters over values, these over the values files; a text stays one where it is told so."""
    files = {
        "app/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        "app/values.yaml": "a: chart\nb: chart\nc: chart\nd: chart\n",
        "app/prod.yaml": "b: file\nc: file\nd: file\n",
        "app/crds/crd.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: things.example.com}\n",
        "app/templates/a.yaml": config_map("a") + "data: {{ toJson (pick .Values `a` `b` `c` `d` `n` `s`) }}\n",
    }
    options = replace(
        programs,
        values_files=("prod.yaml", "missing.yaml"),
        ignore_missing_values_files=True,
        values=("c: inline\nd: inline\nn: {x: y}\n", "d: second\n"),
        parameters=(HelmParameter("n.x", "z"), HelmParameter("s", "1", is_string=True)),
        skip_crds=True,
    )
    rendering = render(tree(tmp_path, "app", files), options)
    assert rendering.errors == ()
    [manifest] = rendering.manifests
    assert manifest.body["data"] == {"a": "chart", "b": "file", "c": "inline", "d": "second", "n": {"x": "z"}, "s": "1"}
    [error] = render(tree(tmp_path, "app", files), replace(options, ignore_missing_values_files=False)).errors
    assert "there is no values file app/missing.yaml" in error.message


@pytest.mark.parametrize(
    ("plain", "names"),
    [
        (PlainFiles(), {"a", "b", "c"}),
        (PlainFiles(recurse=False), {"a"}),
        (PlainFiles(include="{below/*,x}.yaml"), {"b", "c"}),
        (PlainFiles(exclude="*/deep/*"), {"a", "b"}),
        (PlainFiles(include="below/*", exclude="below/b.yam?"), {"c"}),
    ],
)
def test_a_plain_folder_is_read_as_far_as_its_deployer_reads_it(
    tmp_path: Path, programs: RenderOptions, plain: PlainFiles, names: set[str]
) -> None:
    """With or without subfolders, and by patterns."""
    files = {"app/a.yaml": config_map("a"), "app/below/b.yaml": config_map("b")}
    files["app/below/deep/c.yaml"] = config_map("c")
    rendering = render(tree(tmp_path, "app", files), replace(programs, plain=plain))
    assert rendering.errors == ()
    assert {manifest.ref.name for manifest in rendering.manifests} == names


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("*.yaml", ["a.yaml", "b/a.yaml"], ["a.yml"]),
        ("{a,b}/*", ["a/x", "b/x/y"], ["c/x"]),
        ("a?[0-9].[!j]*", ["ab1.yaml"], ["ab1.json", "abc.yaml"]),
        ("a\\*b", ["a*b"], ["axb"]),
        ("a,b", ["a,b"], ["a"]),
        ("[ab", ["[ab"], ["a"]),
    ],
)
def test_a_pattern_matches_as_for_argo_cd(pattern: str, matches: list[str], others: list[str]) -> None:
    """A star stands for any text, with slashes."""
    found = glob_pattern(pattern)
    assert all(found.fullmatch(text) for text in matches)
    assert not any(found.fullmatch(text) for text in others)


@pytest.mark.parametrize("pattern", ["{a", "a}", "}{", "*a*b*c*d*e*f", "x" * 600])
def test_a_pattern_that_is_none_or_could_take_long_is_refused(pattern: str) -> None:
    """By an error of the app."""
    with pytest.raises(RenderError, match="pattern"):
        glob_pattern(pattern)


def test_what_flux_leaves_out_of_a_repository_is_left_out(tmp_path: Path, programs: RenderOptions) -> None:
    """By `.sourceignore` files in, below and above the folder, and by patterns that win over them."""
    files = {name: config_map(name.rpartition("/")[2].partition(".")[0]) for name in (
        "app/a.yaml", "app/b.yaml", "app/below/c.yaml", "app/below/d.yaml", "app/e.yaml",
    )}  # fmt: skip
    files |= {".sourceignore": "b.yaml\ne.yaml\n", "app/below/.sourceignore": "c.yaml\n"}

    def names(source_ignore: str | None) -> set[str]:
        options = replace(programs, plain=PlainFiles(source_ignore=source_ignore))
        return {manifest.ref.name for manifest in render(tree(tmp_path, "app", files), options).manifests}

    assert names(None) == {"a", "b", "c", "d", "e"}
    assert names("") == {"a", "d"}
    assert names("/app/a.yaml\n!/app/e.yaml\n") == {"d", "e"}
