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
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
EDITS = {
    "namespace": "shop",
    "namePrefix": "eu-",
    "images": [{"name": "nginx", "newTag": "1.27"}],
    "commonAnnotations": {"team": "web"},
    "patches": [{"target": {"kind": "Deployment"}, "patch": '[{"op": "add", "path": "/spec/replicas", "value": 3}]'}],
}


def edited(root: Path, files: dict[str, str], options: RenderOptions, edits: dict[str, Any]) -> Rendering:
    return render(tree(root, "app", files), replace(options, edits=json.dumps(edits)))


@pytest.mark.parametrize("files", [BASE, {"app/deployment.yaml": DEPLOYMENT}], ids=["kustomization", "plain"])
def test_what_a_deployer_adds_is_built_with_the_folder(
    tmp_path: Path, programs: RenderOptions, files: dict[str, str]
) -> None:
    """Whether or not it has a kustomization file; the file and line in Git are those of the object."""
    rendering = edited(tmp_path, files, programs, EDITS)
    assert rendering.errors == ()
    assert rendering.kind is RenderKind.KUSTOMIZE
    [manifest] = rendering.manifests
    assert manifest.body["metadata"] == {"name": "eu-web", "namespace": "shop", "annotations": {"team": "web"}}
    assert manifest.body["spec"]["replicas"] == 3
    assert manifest.body["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.27"
    assert (manifest.source.file, manifest.source.line) == ("app/deployment.yaml", 1)


def test_a_generated_object_has_its_generator_as_source_whatever_a_deployer_adds(
    tmp_path: Path, programs: RenderOptions
) -> None:
    """The file is the repository's own, and so are its lines."""
    files = {"app/kustomization.yaml": "\nconfigMapGenerator:\n- name: settings\n  literals: [a=b]\n"}
    [manifest] = edited(tmp_path, files, programs, {"namePrefix": "eu-"}).manifests
    assert manifest.ref.name.startswith("eu-settings-")
    assert (manifest.source.file, manifest.source.line) == ("app/kustomization.yaml", 2)
    assert "annotations" not in manifest.body["metadata"]


OWN = """\
resources: [deployment.yaml]
namePrefix: own-
namespace: own
commonLabels: {team: own, tier: own}
commonAnnotations: {a: own}
images:
- {name: nginx, newName: mirror/nginx, newTag: "1"}
patches:
- target: {kind: Deployment}
  patch: '[{"op": "add", "path": "/spec/replicas", "value": 1}]'
replicas:
- {name: web, count: 1}
"""


def test_edits_take_the_place_of_what_the_folder_has(tmp_path: Path, programs: RenderOptions) -> None:
    """As `kustomize edit` writes them into its file: prefixes do not add up, and an image has one name."""
    edits = {
        "namePrefix": "eu-", "namespace": "shop", "commonLabels": {"team": "web"}, "commonAnnotations": {"a": "b"},
        "replicas": [{"name": "web", "count": 5}],
        "patches": [{"target": {"name": "web"}, "patch": '[{"op": "add", "path": "/spec/paused", "value": true}]'}],
    }  # fmt: skip
    files = {**BASE, "app/kustomization.yaml": OWN}
    rendering = edited(tmp_path, files, programs, edits)
    assert rendering.errors == ()
    [manifest] = rendering.manifests
    labels, annotations = {"team": "web", "tier": "own"}, {"a": "b"}
    expected = {"name": "eu-web", "namespace": "shop", "labels": labels, "annotations": annotations}
    assert manifest.body["metadata"] == expected
    assert (manifest.body["spec"]["replicas"], manifest.body["spec"]["paused"]) == (5, True)
    assert manifest.body["spec"]["selector"]["matchLabels"] == {"app": "web", **labels}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"name": "nginx", "newTag": "2"}, "mirror/nginx:2"),
        ({"name": "nginx", "newName": "other/nginx"}, "other/nginx:1"),
        ({"name": "nginx", "digest": "sha256:" + "a" * 64}, "mirror/nginx@sha256:" + "a" * 64),
        ({"name": "nginx", "newTag": "2", "replaces": True}, "nginx:2"),
        ({"name": "nginx", "newName": "*", "newTag": "2", "replaces": True}, "mirror/nginx:2"),
        ({"name": "nginx", "newName": "other/nginx", "newTag": "*", "replaces": True}, "other/nginx:1"),
        ({"name": "redis", "newTag": "2"}, "mirror/nginx:1"),
    ],
)
def test_an_image_is_merged_by_flux_and_replaced_by_argo_cd(
    tmp_path: Path, programs: RenderOptions, image: dict[str, Any], expected: str
) -> None:
    """Where the folder's own kustomization names it, too; what is a star stays as it is."""
    rendering = edited(tmp_path, {**BASE, "app/kustomization.yaml": OWN}, programs, {"images": [image]})
    assert rendering.errors == ()
    [manifest] = rendering.manifests
    assert manifest.body["spec"]["template"]["spec"]["containers"][0]["image"] == expected


def test_a_component_of_a_deployer_is_part_of_the_folders_own_kustomization(
    tmp_path: Path, programs: RenderOptions
) -> None:
    """What it brings in gets the folder's namespace and prefix; one that is not there may be passed over."""
    files = {
        "app/kustomization.yaml": "namespace: own\nnamePrefix: own-\ncomponents: [../components/a]\n",
        "components/a/kustomization.yaml": f"{COMPONENT}resources: [a.yaml]\n",
        "components/a/a.yaml": config_map("a"),
        "components/b/kustomization.yaml": f"{COMPONENT}resources: [b.yaml]\n",
        "components/b/b.yaml": config_map("b"),
    }
    edits = {"components": ["../components/b", "../components/gone"], "ignoreMissingComponents": True}
    rendering = edited(tmp_path, files, programs, edits)
    assert rendering.errors == ()
    assert sorted(f"{one.ref.namespace}/{one.ref.name}" for one in rendering.manifests) == ["own/own-a", "own/own-b"]


@pytest.mark.parametrize("files", [{**BASE, "app/kustomization.yaml": OWN}, {"app/deployment.yaml": DEPLOYMENT}])
def test_common_metadata_is_set_in_objects_alone(
    tmp_path: Path, programs: RenderOptions, files: dict[str, str]
) -> None:
    """It wins over what the folder says, and reaches neither selectors nor pod templates."""
    options = replace(programs, labels=(("team", "flux"),), annotations=(("a", "flux"),))
    rendering = render(tree(tmp_path, "app", files), options)
    assert rendering.errors == ()
    [manifest] = rendering.manifests
    metadata, spec = manifest.body["metadata"], manifest.body["spec"]
    assert (metadata["labels"]["team"], metadata["annotations"]) == ("flux", {"a": "flux"})
    assert "flux" not in json.dumps(spec)


def test_the_subfolders_of_a_plain_folder_are_built_with_edits(tmp_path: Path, programs: RenderOptions) -> None:
    """As Flux does where there is no kustomization file; what cannot be read is an error as ever."""
    files = {
        "app/a.yaml": config_map("a"),
        "app/below/b.yaml": config_map("b"),
        "app/built/kustomization.yaml": "resources: [c.yaml]\nnameSuffix: -built\n",
        "app/built/c.yaml": config_map("c"),
        "app/chart/Chart.yaml": "name: x",
    }
    rendering = edited(tmp_path, files, programs, {"namePrefix": "eu-"})
    assert sorted(manifest.ref.name for manifest in rendering.manifests) == ["eu-a", "eu-b", "eu-c-built"]
    [error] = rendering.errors
    assert error.file == "app/chart/Chart.yaml"


def test_components_of_edits_are_found_from_the_folder(tmp_path: Path, programs: RenderOptions) -> None:
    """Wherever in the repository they are; remote ones and those that are not there are errors."""
    files = {**BASE, "components/c/kustomization.yaml": f"{COMPONENT}nameSuffix: -c\n"}
    [manifest] = edited(tmp_path, files, programs, {"components": ["../components/c"]}).manifests
    assert manifest.ref.name == "web-c"
    for entry, says in (
        ("../nothing", "no folder of the repository"),
        ("https://example.com/c?ref=main", "is remote"),
        ("../../..", "leads out of the repository"),
    ):
        [error] = edited(tmp_path, files, programs, {"components": [entry]}).errors
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


@pytest.mark.parametrize("file", [".argocd-source.yaml", ".argocd-source-web.yaml"])
def test_a_folder_with_parameters_of_its_own_in_git_is_not_rendered_without_them(tmp_path: Path, file: str) -> None:
    """Argo CD merges them into what the Application says: without them, all that they change would be drift."""
    files = {"app/a.yaml": config_map("a"), f"app/{file}": "kustomize: {images: [nginx:1.28]}\n"}
    options = RenderOptions(overrides=(".argocd-source.yaml", ".argocd-source-web.yaml"))
    rendering = render(tree(tmp_path, "app", files), options)
    [error] = rendering.errors
    assert str(error) == f"app/{file}: its deployer changes by this file what it renders, and driftd does not"
    others = {"app/a.yaml": config_map("a"), "app/below/.argocd-source.yaml": "kustomize: {}\n"}
    assert not render(tree(tmp_path / "others", "app", others), options).errors
