"""The errors of a repository's content tell place and kind, and quote no value of a file."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from driftd.model.app import RenderOptions
from driftd.render.app import render
from tests.render.repositories import tree

CANARY = "hunter2"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  "
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"


def error_of(folder: Path, files: dict[str, str], programs: RenderOptions) -> str:
    """All errors of the app in `app`, with their tracebacks, as a log at debug has them."""
    rendering = render(tree(folder, "app", files), programs)
    assert rendering.errors
    return "".join("".join(traceback.format_exception(error)) for error in rendering.errors)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"p: *{CANARY}\n", "the alias has no anchor"),
        (f"p: &{CANARY} [*{CANARY}]\n", "the anchor contains itself"),
        (f"p: !!int {CANARY}\n", "not a !!int"),
        (f"p: !!float {CANARY}\n", "not a !!float"),
        (f"p: !!bool {CANARY}\n", "not a !!bool"),
        (f"p: !!binary {CANARY}*\n", "not valid base64"),
        (f"p: [{CANARY}\n", "did not find expected"),
        (f'p: "{CANARY}\\q"\n', "unknown escape character"),
        (f"p: {CANARY}: {CANARY}\n", "mapping values are not allowed"),
        (f"p: a\n--- {CANARY}\n", "only a comment may follow"),
        (f"p: a\n{CANARY}\n", "could not find expected ':'"),
        (f"p: a\n? [{CANARY}]\n: b\n", "a map key must be a scalar"),
    ],
)
def test_yaml_that_cannot_be_read_is_told_without_its_text(tmp_path: Path, content: str, says: str) -> None:
    """A password whose quotes were forgotten."""
    error = error_of(tmp_path, {"app/a.yaml": SECRET + content}, RenderOptions())
    assert says in error
    assert CANARY not in error


@pytest.mark.parametrize(
    ("kustomization", "says"),
    [
        (f"secretGenerator: [{{name: a, literals: [{CANARY}]}}]", "invalid literal source"),
        (f'secretGenerator: [{{name: a, files: ["{CANARY}=x=y"]}}]', "invalid file source"),
        (f"secretGenerator: [{{name: a, type: [{CANARY}]}}]", "SecretArgs.secretGenerator.type is a array"),
        (f"patches: [{{patch: '{CANARY}: [x', target: {{kind: ConfigMap}}}}]", "unable to parse SM or JSON patch"),
        ("patches: [{path: broken.yaml}]", "unable to parse SM or JSON patch"),
        (
            f'patches: [{{patch: \'[{{"op": "replace", "path": "/data/x/y", "value": "{CANARY}"}}]\','
            " target: {kind: ConfigMap}}]",
            "replace operation of a JSON patch does not apply",
        ),
        (
            f'patches: [{{patch: \'[{{"op": "{CANARY}", "path": "/data/a"}}]\', target: {{kind: ConfigMap}}}}]',
            "`kustomize build app` shows it",
        ),
        (f"namePrefix: {{{CANARY}: b}}", "Kustomization.namePrefix is a object"),
        (f"replacements: [{{source: {{kind: ConfigMap, fieldPath: data.{CANARY}}}}}]", ""),
        (f"vars: [{{name: {CANARY}}}]", "var"),
        ("resources: [typed.yaml]", "a value is no !!int"),
        (
            f"resources: [a.yaml]\ngenerators: ['{{kind: SecretGenerator, literals: [p={CANARY}']",
            "this entry is no file and no folder",
        ),
        (
            "resources: [a.yaml]\ngenerators: "
            f"['{{kind: SecretGenerator, literals: [p={CANARY}], files: [x=http://a/b]}}']",
            "http://a/b is remote",
        ),
        (f"resources: ['{{data: {CANARY}}}/../../..']", "this entry leads out of the repository"),
        ("components: ['.']\nresources: [a.yaml]", "bases or components contain each other"),
        (f"helmCharts: [{{name: redis, valuesInline: {{password: {CANARY}}}}}]", "kustomize runs no Helm here"),
    ],
)
def test_what_kustomize_refuses_is_told_without_its_text(
    tmp_path: Path, programs: RenderOptions, kustomization: str, says: str
) -> None:
    """kustomize quotes literals, patches and files in its errors."""
    files = {
        "app/kustomization.yaml": kustomization
        if "resources" in kustomization
        else f"resources: [a.yaml]\n{kustomization}",
        "app/a.yaml": CONFIG_MAP,
        "app/broken.yaml": f"p: *{CANARY}\n",
        "app/typed.yaml": f"{SECRET}p: !!int {CANARY}\n",
    }
    error = error_of(tmp_path, files, programs)
    assert says in error
    assert CANARY not in error


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ fail .Values.password }}", "ends the rendering with `fail` or `required`"),
        ('{{ fail (printf "not %s" .Values.password) }}', "ends the rendering with `fail` or `required`"),
        ("{{ required .Values.password .Values.none }}", "ends the rendering with `fail` or `required`"),
        ("{{ include .Values.password . }}", "there is no template of that name"),
        ("p: {{ .Values.password }}: x", "mapping values are not allowed"),
        ("p: *{{ .Values.password }}", "unknown anchor"),
        ("p: !!int {{ .Values.password }}", "a value is no !!int"),
        ('{{ mustToDate "2006" .Values.password }}', "error calling mustToDate"),
        ('{{ tpl (printf "{{ %s }}" .Values.password) . }}', "error calling tpl"),
        ("{{ semverCompare .Values.password (toString 1) }}", "error calling semverCompare"),
        (f'{{{{ mustRegexMatch "({CANARY}" "a" }}}}', "error calling mustRegexMatch"),
        ("{{ .Values.password.deeper }}", "can't evaluate field deeper"),
    ],
)
def test_what_helm_refuses_is_told_without_its_text(
    tmp_path: Path, programs: RenderOptions, template: str, says: str
) -> None:
    """A chart's own message, and what its functions say of their arguments, may have a password in it."""
    files = {
        "app/Chart.yaml": CHART,
        "app/values.yaml": f"password: {CANARY}\n",
        "app/templates/a.yaml": template,
    }
    error = error_of(tmp_path, files, programs)
    assert says in error
    assert CANARY not in error


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ('{"properties": {"password": {"type": "integer"}}}', "at /password: got string, want integer"),
        ('{"properties": {"password": {"pattern": "^x"}}}', "at /password: not what the schema allows"),
        ('{"properties": {"password": {"const": "x"}}}', "at /password: not what the schema allows"),
        ('{"required": ["user", "port"]}', "missing 'user', 'port'"),
        ('{"additionalProperties": false}', "'password' not allowed"),
        ("{", "values.schema.json"),
    ],
)
def test_values_that_a_schema_refuses_are_named_and_not_shown(
    tmp_path: Path, programs: RenderOptions, schema: str, says: str
) -> None:
    """The path of the value is enough to find it."""
    files = {
        "app/Chart.yaml": CHART,
        "app/values.yaml": f"password: {CANARY}\n",
        "app/values.schema.json": schema,
        "app/templates/a.yaml": CONFIG_MAP,
    }
    error = error_of(tmp_path, files, programs)
    assert says in error
    assert CANARY not in error


def test_the_credentials_of_a_remote_base_are_not_shown(tmp_path: Path, programs: RenderOptions) -> None:
    """The host is, so that one finds the entry."""
    kustomization = f"resources: ['https://me:{CANARY}@git.example.com/base?token={CANARY}']\n"
    error = error_of(tmp_path, {"app/kustomization.yaml": kustomization}, programs)
    assert "git.example.com/base is remote" in error
    assert CANARY not in error
