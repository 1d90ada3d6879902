"""What of a rendering is no function of the files in Git shows by rendering it twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driftd.model.packing import DictionaryBuilder
from driftd.model.path import format_path
from driftd.model.resource import Manifest
from driftd.render.app import Rendering, RenderOptions, render
from driftd.render.template_actions import edit_actions, render_otherwise, without_unserved
from tests.render.repositories import archive, tree

CHART = {"app/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n"}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"


def config(data: str, name: str = "settings", metadata: str = "") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n{metadata}data:\n{data}"


def rendered(root: Path, files: Mapping[str, str], options: RenderOptions) -> Rendering:
    rendering = render(tree(root, "app", {**CHART, **files}), options)
    assert rendering.errors == ()
    return rendering


def undetermined(manifest: Manifest) -> set[tuple[str, bool]]:
    return {(format_path(each.at), each.optional) for each in manifest.undetermined}


def test_what_two_renderings_of_a_chart_have_otherwise_is_undetermined(tmp_path: Path, programs: RenderOptions) -> None:
    """Random values and what is made from them, times, revisions, and what depends on an upgrade; nothing else."""
    files = {
        "app/values.yaml": "size: 3\n",
        "app/templates/_helpers.tpl": '{{ define "secret" }}{{ randAlphaNum 16 }}{{ end }}',
        "app/templates/settings.yaml": config(
            """\
  password: {{ include "secret" . }}
  hash: {{ include "secret" . | sha256sum }}
  day: {{ now | date "2006-01-02" | quote }}
  minute: {{ randInt 0 60 | quote }}
  id: {{ uuidv4 }}
  revision: {{ $.Release.Revision | quote }}
  first: {{ .Release.IsInstall | quote }}
  {{- if .Release.IsUpgrade }}
  upgraded: "1"
  {{- else }}
  installed: "1"
  {{- end }}
  size: {{ .Values.size | quote }}
  text: "now .Release.Revision"
""",
            metadata='  annotations: {a: "{{ .Release.Revision }}", b: b}\n',
        ),
        "app/templates/job.yaml": config("  a: b\n", "run-{{ randAlpha 8 | lower }}"),
        "app/templates/first.yaml": "{{ if .Release.IsInstall }}\n" + config("  a: b\n", "first") + "{{ end }}",
    }
    by_name = {
        manifest.ref.name.partition("-")[0]: manifest for manifest in rendered(tmp_path, files, programs).manifests
    }
    # One key under another name in each rendering: all of the map is open.
    assert undetermined(by_name["settings"]) == {("metadata.annotations.a", False), ("data", False)}
    assert undetermined(by_name["run"]) == undetermined(by_name["first"]) == {("", True)}
    settings = files["app/templates/settings.yaml"]
    files["app/templates/settings.yaml"] = settings.replace('  installed: "1"\n', "")
    [manifest] = [m for m in rendered(tmp_path, files, programs).manifests if m.ref.name == "settings"]
    changing = {"password", "hash", "day", "minute", "id", "revision", "first"}
    assert undetermined(manifest) == {
        ("metadata.annotations.a", False),
        ("data.upgraded", True),
        *((f"data.{key}", False) for key in changing),
    }


def test_what_values_and_packed_charts_call_is_undetermined_too(tmp_path: Path, programs: RenderOptions) -> None:
    """A chart may give its values to `tpl`, and be made of archives, with archives in them."""
    files = {
        "app/Chart.yaml": CHART["app/Chart.yaml"] + "dependencies: [{name: db, version: 1.0.0}]\n",
        "app/values.yaml": 'a: "{{ now | date `2006-01-02` }}"\n',
        "env/prod.yaml": "b: '{{ .Release.Revision }}'\nc: '{{ shuffle `a` }}'\nplain: 'up {{ now }}, {{ $x }}'\n",
        "app/templates/a.yaml": config(
            "  a: {{ tpl .Values.a . }}\n"
            "  b: {{ tpl .Values.b . | quote }}\n"
            "  c: {{ tpl .Values.c . }}\n"
            "  plain: {{ .Values.plain | quote }}\n"
            "  block: {{ toYaml .Values.plain }}\n"
        ),
    }
    root = tree(tmp_path, "app", {**CHART, **files})
    chart = "apiVersion: v2\nname: %s\nversion: 1.0.0\n"
    cache = {
        "cache/Chart.yaml": chart % "cache",
        "cache/templates/c.yaml": config("  a: {{ now | unixEpoch }}x\n", "c"),
    }
    db = {
        "db/Chart.yaml": (chart % "db" + "dependencies: [{name: cache, version: 1.0.0}]\n").encode(),
        "db/charts/cache-1.0.0.tgz": archive({name: text.encode() for name, text in cache.items()}),
        "db/templates/d.yaml": config("  a: {{ now | date `2006` | quote }}\n  b: b\n", "d").encode(),
    }
    (tmp_path / "app/charts").mkdir()
    (tmp_path / "app/charts/db-1.0.0.tgz").write_bytes(archive(db))
    rendering = render(root, replace(programs, values_files=("/env/prod.yaml",)))
    assert rendering.errors == ()
    by_name = {manifest.ref.name: manifest for manifest in rendering.manifests}
    assert undetermined(by_name["settings"]) == {("data.a", False), ("data.b", False), ("data.c", False)}
    assert undetermined(by_name["c"]) == undetermined(by_name["d"]) == {("data.a", False)}


def test_each_rendering_of_a_revision_has_the_same_digest(tmp_path: Path, programs: RenderOptions) -> None:
    """Else every restart would be a new revision, and would end a hold."""
    files = {"app/templates/a.yaml": config("  password: {{ randAlphaNum 16 }}\n  size: a\n")}
    [first], [second] = (rendered(tmp_path, files, programs).manifests for _ in range(2))
    assert first.body != second.body
    assert first.digest == second.digest == second.packed(DictionaryBuilder()).digest
    assert first.same_as(second)
    files["app/templates/a.yaml"] = files["app/templates/a.yaml"].replace("size: a", "size: b")
    [third] = rendered(tmp_path, files, programs).manifests
    assert third.digest != first.digest


def test_a_chart_that_cannot_be_upgraded_is_rendered_all_the_same(tmp_path: Path, programs: RenderOptions) -> None:
    """What is random in it still shows."""
    guard = '{{ if .Release.IsUpgrade }}{{ fail "not from nothing" }}{{ end }}'
    [manifest] = rendered(
        tmp_path, {"app/templates/a.yaml": guard + config("  a: {{ uuidv4 }}\n  b: b\n")}, programs
    ).manifests
    assert undetermined(manifest) == {("data.a", False)}


def test_a_chart_is_told_what_its_cluster_serves_and_nothing_else(tmp_path: Path, programs: RenderOptions) -> None:
    """Helm was built with versions that the cluster may have dropped."""
    template = config(
        "".join(
            f'  a{number}: {{{{ .Capabilities.APIVersions.Has "{name}" | quote }}}}\n'
            for number, name in enumerate(("apps/v1", "policy/v1beta1", "example.com/v1", "example.com/v1/Thing"))
        )
        + "  kube: {{ .Capabilities.KubeVersion.Minor }}x\n"
    )
    options = replace(programs, kube_version="v1.37.2", api_versions=("apps/v1", "example.com/v1/Thing"))
    [manifest] = rendered(tmp_path, {"app/templates/a.yaml": template}, options).manifests
    assert manifest.body["data"] == {"a0": "true", "a1": "false", "a2": "false", "a3": "true", "kube": "37x"}
    assert manifest.undetermined == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("now {{ now }} {{- now | date `now` -}}", "now {{ @ }} {{- @ | date `now` -}}"),
        ('{{ "now" }}{{ .now }}{{ $now }}{{/* now */}}{{- /* }} now */ -}}', None),
        ("{{ $x.Release.Revision }}{{ .Release.RevisionX }}", "{{ 7919 }}{{ .Release.RevisionX }}"),
        ("{{ 'a' }} don't {{ randInt 1 2 }}", "{{ 'a' }} don't {{ sub 1 2 }}"),
        ("{{ now", "{{ @"),
        ('{{ "no end', None),
        ("", None),
    ],
)
def test_only_the_words_of_actions_are_edited(before: str, after: str | None) -> None:
    """Texts, comments, fields and variables of the same name stay."""
    expected = before if after is None else after
    now = "(toDate `2006-01-02 15:04:05` `2011-11-11 11:11:11`)"
    assert edit_actions(before, render_otherwise) == expected.replace("@", now)


def test_a_question_for_an_api_version_is_answered_where_the_answer_is_no() -> None:
    """Helm answers the others by itself."""
    edit = without_unserved({"apps/v1"})
    text = '{{ if and (.Capabilities.APIVersions.Has "apps/v1") ($.Capabilities.APIVersions.Has `a/v1`) .Values.x }}'
    assert edit_actions(text, edit) == text.replace("$.Capabilities.APIVersions.Has `a/v1`", "false")


def test_what_is_made_from_a_pointer_is_undetermined(tmp_path: Path, programs: RenderOptions) -> None:
    """A generator puts the hash of the pointer into a name, a chart into an annotation; the pointer itself shows."""
    deployment = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {volumes: [{name: b, configMap: {name: board}}]}}}
"""
    files = {
        "app/kustomization.yaml": "configMapGenerator: [{name: board, files: [board.json]}]\nresources: [app.yaml]\n",
        "app/app.yaml": deployment,
        "app/board.json": POINTER,
    }
    rendering = render(tree(tmp_path / "kustomize", "app", files), programs)
    assert {manifest.ref.kind: undetermined(manifest) for manifest in rendering.manifests} == {
        "ConfigMap": {("", True)},
        "Deployment": {("spec.template.spec.volumes[0].configMap.name", False)},
    }
    chart = {
        "app/board.json": POINTER,
        "app/templates/a.yaml": config(
            "  a: b\n", metadata="  annotations: {sum: '{{ .Files.Get \"board.json\" | sha256sum }}'}\n"
        ),
    }
    [manifest] = rendered(tmp_path / "helm", chart, programs).manifests
    assert undetermined(manifest) == {("metadata.annotations.sum", False)}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"app/a.yaml": POINTER}, "this is a Git LFS pointer, not the file that it stands for"),
        ({"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": POINTER}, "app/a.yaml is a Git LFS pointer"),
        ({**CHART, "app/values.yaml": POINTER}, "app/values.yaml is a Git LFS pointer"),
    ],
)
def test_a_pointer_that_cannot_be_rendered_is_named(
    tmp_path: Path, programs: RenderOptions, files: dict[str, Any], says: str
) -> None:
    """A manifest, a resource of Kustomize, the values of a chart."""
    [error] = render(tree(tmp_path, "app", files), programs).errors
    assert says in error.message
