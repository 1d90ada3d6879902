"""Helm renders a chart of the repository with values of the repository, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driftd.model.errors import RenderError, ToolMissing
from driftd.render import helm
from driftd.render.app import Rendering, RenderKind, RenderOptions, render
from driftd.render.yaml.line_numbers import field_lines
from tests.render.repositories import archive, tree, write

CHART = {
    "charts/web/Chart.yaml": "apiVersion: v2\nname: webapp\nversion: 1.2.3\n",
    "charts/web/values.yaml": "replicas: 1\nimage: nginx\n",
    "charts/web/templates/_names.tpl": '{{ define "webapp.name" }}{{ .Release.Name }}-web{{ end }}',
    "charts/web/templates/web.yaml": """
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: {{ include "webapp.name" . }}
        spec:
          replicas: {{ .Values.replicas }}
          image: {{ .Values.image | quote }}
        ---
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: {{ .Release.Name }}
          namespace: {{ .Release.Namespace }}
        data:
          kube: {{ .Capabilities.KubeVersion.Version | quote }}
          monitors: {{ .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" | quote }}
          seen: {{ lookup "v1" "Namespace" "" "default" | len | quote }}
    """,
    "charts/web/templates/NOTES.txt": "Thank you.",
    "charts/web/templates/hook.yaml": """
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: migrate
          annotations: {helm.sh/hook: pre-install}
    """,
    "charts/web/templates/tests/test.yaml": """
        apiVersion: v1
        kind: Pod
        metadata:
          name: check
          annotations: {helm.sh/hook: test}
    """,
    "charts/web/crds/crd.yaml": """
        apiVersion: apiextensions.k8s.io/v1
        kind: CustomResourceDefinition
        metadata: {name: things.example.com}
    """,
}


def pack(file: Path, files: Mapping[str, str]) -> None:
    """Writes a chart's archive."""
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(archive({name: text.encode() for name, text in files.items()}))


def rendered(root: Path, files: dict[str, str], options: RenderOptions) -> Rendering:
    rendering = render(tree(root, "charts/web", {**CHART, **files}), options)
    assert rendering.errors == ()
    assert rendering.kind is RenderKind.HELM
    return rendering


def refused(root: Path, files: dict[str, str], options: RenderOptions) -> RenderError:
    rendering = render(tree(root, "charts/web", {**CHART, **files}), options)
    [error] = rendering.errors
    return error


def test_a_chart_gives_its_objects_with_their_templates(tmp_path: Path, programs: RenderOptions) -> None:
    """CRDs are included, hooks and tests are not; the source of an object is its template."""
    rendering = rendered(tmp_path, {}, replace(programs, release="shop", namespace="web"))
    assert {str(m.ref): m.source.file for m in rendering.manifests} == {
        "CustomResourceDefinition.apiextensions.k8s.io/things.example.com": "charts/web/crds/crd.yaml",
        "Deployment.apps/shop-web": "charts/web/templates/web.yaml",
        "ConfigMap/web/shop": "charts/web/templates/web.yaml",
    }
    assert {m.source.origin for m in rendering.manifests} == {"helm"}
    deployment = next(m for m in rendering.manifests if m.ref.kind == "Deployment")
    assert deployment.body["spec"] == {"replicas": 1, "image": "nginx"}
    assert field_lines(b"", [(deployment.source, ("spec", "replicas"))]) == [1]


def test_values_files_override_each_other_in_order(tmp_path: Path, programs: RenderOptions) -> None:
    """They are named from the chart, or with a leading slash from the repository's root."""
    files = {
        "charts/web/values-prod.yaml": "replicas: 3\nimage: from-chart\n",
        "env/prod.yaml": "image: from-env\n",
        "env/more.yaml": "replicas: 5\n",
    }
    options = replace(programs, values_files=("values-prod.yaml", "../../env/prod.yaml", "/env/more.yaml"))
    rendering = rendered(tmp_path, files, options)
    deployment = next(m for m in rendering.manifests if m.ref.kind == "Deployment")
    assert deployment.body["spec"] == {"replicas": 5, "image": "from-env"}


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("../../../outside.yaml", "is outside of the repository"),
        ("/../outside.yaml", "is outside of the repository"),
        ("https://example.com/values.yaml", "is outside of the repository"),
        ("nowhere.yaml", "there is no values file charts/web/nowhere.yaml"),
        ("templates", "there is no values file charts/web/templates"),
        ("linked.yaml", "a link that leads out of the repository"),
    ],
)
def test_values_files_must_be_in_the_repository(tmp_path: Path, programs: RenderOptions, file: str, says: str) -> None:
    """No path, no link and no address leads out."""
    write(tmp_path, {"outside.yaml": "replicas: 9\n"})
    app = tree(tmp_path / "repo", "charts/web", CHART)
    if file == "linked.yaml":
        (tmp_path / "repo/charts/web/linked.yaml").symlink_to(tmp_path / "outside.yaml")
    rendering = render(app, replace(programs, values_files=(file,)))
    assert rendering.manifests == ()
    [error] = rendering.errors
    assert says in error.message


def test_a_chart_is_rendered_for_the_configured_cluster(tmp_path: Path, programs: RenderOptions) -> None:
    """Its capabilities are given; it asks no cluster, so a lookup finds nothing."""
    options = replace(programs, kube_version="1.31.4", api_versions=("monitoring.coreos.com/v1",))
    config_map = next(m for m in rendered(tmp_path, {}, options).manifests if m.ref.kind == "ConfigMap")
    assert config_map.body["data"] == {"kube": "v1.31.4", "monitors": "true", "seen": "0"}


@pytest.mark.parametrize("name", ["templates/more.yaml", "values.yaml", "charts/lib"])
def test_a_chart_with_a_link_out_of_it_is_an_error(tmp_path: Path, programs: RenderOptions, name: str) -> None:
    """Helm would be given the chart without it, and render less than Git declares."""
    link = tmp_path / "charts/web" / name
    source = tree(tmp_path, "charts/web", CHART)
    link.parent.mkdir(parents=True, exist_ok=True)
    for target in ("../../../../../outside", "nowhere"):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        [error] = render(source, programs).errors
        assert error.file == f"charts/web/{name}"
        assert "would be rendered without it" in str(error)


def test_a_packed_dependency_is_used_and_named(tmp_path: Path, programs: RenderOptions) -> None:
    """A chart in charts/ may be a folder or an archive; the archive is the source of its objects then."""
    dependencies = "dependencies: [{name: db, version: 1.0.0}, {name: cache, version: 1.0.0}]\n"
    template = "apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\n"
    files = {
        "charts/web/Chart.yaml": CHART["charts/web/Chart.yaml"] + dependencies,
        "charts/web/charts/cache/Chart.yaml": "apiVersion: v2\nname: cache\nversion: 1.0.0\n",
        "charts/web/charts/cache/templates/s.yaml": template % "cache",
    }
    app = tree(tmp_path, "charts/web", {**CHART, **files})
    packed = {"db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n", "db/templates/s.yaml": template % "db"}
    pack(tmp_path / "charts/web/charts/db-1.0.0.tgz", packed)
    rendering = render(app, programs)
    assert rendering.errors == ()
    sources = {m.ref.name: m.source.file for m in rendering.manifests if m.ref.kind == "Secret"}
    assert sources == {
        "db": "charts/web/charts/db-1.0.0.tgz",
        "cache": "charts/web/charts/cache/templates/s.yaml",
    }


def test_a_dependency_that_is_not_there_is_not_fetched(tmp_path: Path, programs: RenderOptions) -> None:
    """The error says which one, where it is expected, and what to do."""
    dependencies = 'dependencies: [{name: redis, version: "1", repository: "https://charts.example.com"}]\n'
    chart = CHART["charts/web/Chart.yaml"] + dependencies
    error = refused(tmp_path, {"charts/web/Chart.yaml": chart}, programs)
    assert error.file == "charts/web/Chart.yaml"
    assert "not in charts/web/charts/: redis" in error.message
    assert "helm dependency build" in error.message


@pytest.mark.parametrize(
    ("template", "line", "says"),
    [
        ('a: 1\nb: {{ required "image is wanted" .Values.none }}\n', 2, "ends the rendering with `fail` or `required`"),
        ("a: 1\n\nb: {{ .Values.none.none }}\n", 3, "nil pointer"),
        ("a: {{ nonsense }}\n", 1, 'function "nonsense" not defined'),
        ('a: {{ fail "no way" }}\n', 1, "ends the rendering with `fail` or `required`"),
        ("a: 1\n b: [\n", None, "YAML parse error"),
    ],
)
def test_an_error_of_a_template_names_it(
    tmp_path: Path, programs: RenderOptions, template: str, line: int | None, says: str
) -> None:
    """File and line are those of the repository, the text tells Helm's reason without its advice."""
    error = refused(tmp_path, {"charts/web/templates/bad.yaml": template}, programs)
    assert (error.file, error.line) == ("charts/web/templates/bad.yaml", line)
    assert says in error.message
    assert "--debug" not in error.message
    assert "driftd-helm" not in error.message


def test_one_bad_object_is_one_error(tmp_path: Path, programs: RenderOptions) -> None:
    """What Helm lets through and kubectl would refuse is an error of its template; the others are there."""
    bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, labels: {version: {{ 1.5 }} }}\n"
    rendering = render(tree(tmp_path, "charts/web", {**CHART, "charts/web/templates/bad.yaml": bad}), programs)
    assert len(rendering.manifests) == 3
    [error] = rendering.errors
    assert error.file == "charts/web/templates/bad.yaml"
    assert "metadata.labels.version must be a string" in error.message


def test_a_values_file_that_breaks_the_chart_is_an_error(tmp_path: Path, programs: RenderOptions) -> None:
    """A chart's own schema refuses values; the error names the value."""
    schema = '{"properties": {"replicas": {"type": "integer"}}}'
    files = {"charts/web/values.schema.json": schema, "charts/web/wrong.yaml": "replicas: many\n"}
    error = refused(tmp_path, files, replace(programs, values_files=("wrong.yaml",)))
    assert "replicas" in error.message


@pytest.mark.parametrize(
    "schema",
    [
        '{"$ref": "file:///etc/hostname"}',
        '{"properties": {"image": {"$ref": "http://127.0.0.1:1/a.json"}}}',
        '{"properties": {"image": {"$ref": "../../../outside.json"}}}',
        '{"$defs": {"a": {"$dynamicRef": "https://example.com/a"}}}',
        '{"$schema": "http://127.0.0.1:1/dialect"}',
    ],
)
@pytest.mark.parametrize("place", ["charts/web", "charts/web/charts/sub", "archive", "archive in an archive"])
def test_a_schema_refers_to_nothing_but_itself(
    tmp_path: Path, programs: RenderOptions, schema: str, place: str
) -> None:
    """Neither the chart's, nor that of a chart in it, packed or not: Helm would read any file, and ask any server."""
    if place.startswith("archive"):
        app = tree(tmp_path, "charts/web", CHART)
        chart = b"apiVersion: v2\nname: db\nversion: 1.0.0\n"
        packed = archive({"db/Chart.yaml": chart, "db/values.schema.json": schema.encode()})
        if place != "archive":
            packed = archive({"db/Chart.yaml": chart, "db/charts/inner-1.0.0.tgz": packed})
        (tmp_path / "charts/web/charts").mkdir()
        (tmp_path / "charts/web/charts/db-1.0.0.tgz").write_bytes(packed)
        [error] = render(app, programs).errors
        assert error.file == "charts/web/charts/db-1.0.0.tgz"
    else:
        files = {f"{place}/Chart.yaml": CHART["charts/web/Chart.yaml"], f"{place}/values.schema.json": schema}
        error = refused(tmp_path, files, programs)
        assert (error.file, error.line) == (f"{place}/values.schema.json", 1)
    assert "leads out of the schema" in error.message


def test_a_schema_may_refer_to_its_own_parts(tmp_path: Path, programs: RenderOptions) -> None:
    """And name the draft that it is written in."""
    schema = """{
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"replicas": {"$ref": "#/definitions/count"}},
        "definitions": {"count": {"type": "integer"}}
    }"""
    assert rendered(tmp_path, {"charts/web/values.schema.json": schema}, programs).manifests


@pytest.mark.usefixtures("confinement")
def test_helm_itself_cannot_read_the_machine(
    tmp_path: Path, programs: RenderOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What driftd would overlook, the kernel refuses."""
    write(tmp_path, {"outside.json": '{"type": "object"}'})
    monkeypatch.setattr(helm, "require_local_schemas", lambda *_: None)
    schema = f'{{"$ref": "file://{tmp_path}/outside.json"}}'
    refused(tmp_path / "repo", {"charts/web/values.schema.json": schema}, programs)


@pytest.mark.parametrize(
    "template",
    [
        '{{ repeat 200000000 "0123456789" | len }}',
        "{{ range until 100000000 }}{{ . }}{{ end }}",
        '{{ $a := list "x" }}{{ range until 40 }}{{ $a = concat $a $a }}{{ end }}{{ len $a }}',
        '{{ define "a" }}{{ repeat 1000 "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}',
    ],
)
def test_a_template_takes_no_more_than_its_share(tmp_path: Path, programs: RenderOptions, template: str) -> None:
    """Its chart is an error, in time, and the machine has its memory."""
    error = refused(tmp_path, {"charts/web/templates/bomb.yaml": template}, replace(programs, timeout=20))
    assert "helm" in error.message


def test_a_chart_that_takes_too_long_is_not_rendered_again(
    tmp_path: Path, programs: RenderOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both renderings end at the limit, at the same time; no third one is tried."""
    runs = []

    def run(*arguments: Any, **options: Any) -> bytes:
        runs.append(arguments)
        return tool_run(*arguments, **options)

    tool_run = helm.tool.run
    monkeypatch.setattr(helm.tool, "run", run)
    endless = '{{ range until 100000 }}{{ $x := htpasswd "a" "b" }}{{ end }}'
    error = refused(tmp_path, {"charts/web/templates/endless.yaml": endless}, replace(programs, timeout=2))
    assert "took longer than 2 s" in error.message
    assert len(runs) == 2


def test_a_line_of_what_a_chart_makes_is_none_of_its_files(tmp_path: Path, programs: RenderOptions) -> None:
    """The error names the chart, and no line that nobody can look up."""
    many = "{{ range until 50001 }}\n---\na: b\n{{ end }}"
    error = refused(tmp_path, {"charts/web/templates/many.yaml": many}, programs)
    assert (error.file, error.line) == ("charts/web/Chart.yaml", None)
    assert "what the chart makes cannot be read: the file has more than 50000 documents" in error.message


def test_helm_reads_no_configuration_of_ours(
    tmp_path: Path, programs: RenderOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a namespace nor a plugin of the user who runs driftd changes the result."""
    monkeypatch.setenv("HELM_NAMESPACE", "elsewhere")
    monkeypatch.setenv("HELM_PLUGINS", str(tmp_path / "plugins"))
    write(tmp_path / "plugins/evil", {"plugin.yaml": "name: evil\nversion: 1.0.0\ncommand: touch evil\n"})
    rendering = rendered(tmp_path / "repo", {}, replace(programs, namespace="web"))
    assert any(m.ref.namespace == "web" for m in rendering.manifests)
    assert not any(m.ref.namespace == "elsewhere" for m in rendering.manifests)


def test_a_release_name_cannot_be_an_option(tmp_path: Path, programs: RenderOptions) -> None:
    """What looks like an option is refused by Helm as a name, not obeyed."""
    error = refused(tmp_path, {}, replace(programs, release="--post-renderer=/bin/cat"))
    assert "release name" in error.message


def test_without_helm_the_error_names_it(tmp_path: Path) -> None:
    error = refused(tmp_path, {}, RenderOptions(helm="no-such-helm"))
    assert isinstance(error, ToolMissing)
    assert "`no-such-helm`, which is not installed" in error.message
