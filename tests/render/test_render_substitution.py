"""Flux' variables are replaced as Flux replaces them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driftd.render.app import Rendering, RenderOptions, render
from driftd.render.substitution import UnknownSubstitution, substitute
from tests.render.repositories import tree

VARIABLES = {"A": "abc", "E": "", "N": "12", "U": "MiXed"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("x ${A} y", "x abc y"),
        ("$A", "$A"),
        ("$$A", "$A"),
        ("$${A}", "${A}"),
        ("$$${A}", "$abc"),
        ("$$$${A}", "$${A}"),
        ("a$", "a$"),
        ("a$$b", "a$b"),
        ("[${B:-def}][${E:-def}][${B:=def}][${B=def}][${E=def}]", "[def][def][def][def][def]"),
        ("[${A:-def}]", "[abc]"),
        ("[${A:1}][${A:1:1}][${A:5}][${A:1:9}]", "[bc][b][][bc]"),
        ("[${#A}]", "[3]"),
        ("[${U,}][${U,,}][${A^}][${A^^}]", "[miXed][mixed][Abc][ABC]"),
        ("[${B:-${A}}][${B:-x${A}y}]", "[abc][xabcy]"),
        ("[${B:-}][${B}]", "[][]"),
        ("[${B:=http://x:80/y}]", "[http://x:80/y]"),
        ("[${B:-$A}]", "[$A]"),
        ("\\${A}", "\\abc"),
        ("${A}${N}", "abc12"),
    ],
)
def test_a_text_says_what_flux_would_make_of_it(text: str, result: str) -> None:
    """The expected texts are what fluxcd/pkg/envsubst 1.5.0 makes of the same variables."""
    assert substitute(text, VARIABLES) == result


@pytest.mark.parametrize(
    "text", ["${A", "${}", "${ A }", "${A.b}", "${A-b}", "${A/b/c}", "${A#*b}", "${B:-" * 50 + "}" * 50]
)
def test_what_is_not_understood_is_an_error(text: str) -> None:
    """The first five are for Flux, too."""
    with pytest.raises(UnknownSubstitution):
        substitute(text, VARIABLES)


def rendered(root: Path, files: dict[str, str], options: RenderOptions, **variables: str) -> Rendering:
    return render(tree(root, "app", files), replace(options, substitutions=tuple(variables.items())))


def bodies(rendering: Rendering) -> dict[str, dict[str, Any]]:
    assert rendering.errors == ()
    return {manifest.ref.name: manifest.body for manifest in rendering.manifests}


def test_a_variable_may_become_a_number_a_name_and_a_part_of_a_script(tmp_path: Path, programs: RenderOptions) -> None:
    """The object is read again with the values in place: what looks like a number is one."""
    files = {
        "app/web.yaml": """
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: "${NAME}-web"}
            spec: {replicas: "${COUNT}", paused: "${PAUSED}"}
        """,
        "app/script.yaml": """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: script}
            data:
              run: |
                echo "${GREETING}"
                echo $${HOME}
        """,
    }
    found = bodies(rendered(tmp_path, files, programs, NAME="shop", COUNT="3", PAUSED="true", GREETING='a: "b"\\n'))
    assert found["shop-web"]["spec"] == {"replicas": 3, "paused": True}
    assert found["script"]["data"]["run"] == 'echo "a: "b"\\n"\necho ${HOME}\n'


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_an_object_may_keep_its_variables(tmp_path: Path, programs: RenderOptions, field: str) -> None:
    """By a label or an annotation."""
    files = {
        "app/a.yaml": f"""
            apiVersion: v1
            kind: ConfigMap
            metadata: {{name: a, {field}: {{kustomize.toolkit.fluxcd.io/substitute: disabled}}}}
            data: {{a: "${{A}}"}}
        """
    }
    assert bodies(rendered(tmp_path, files, programs, A="x"))["a"]["data"] == {"a": "${A}"}


def test_an_object_that_cannot_be_replaced_is_an_error_of_its_own(tmp_path: Path, programs: RenderOptions) -> None:
    """The others are there; the error says where, and shows no value."""
    files = {
        "app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: '${A}', b: c}\n",
        "app/b.yaml": "# b\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {a: '${A.b}'}\n",
        "app/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: 'x'}\n",
    }
    rendering = rendered(tmp_path, files, programs, A="- a: hunter2\n b")
    assert [manifest.ref.name for manifest in rendering.manifests] == ["c"]
    assert [(error.file, error.line) for error in rendering.errors] == [("app/a.yaml", 1), ("app/b.yaml", 2)]
    assert "hunter2" not in str(rendering.errors)


def test_without_variables_nothing_is_replaced(tmp_path: Path, programs: RenderOptions) -> None:
    """Flux replaces where there are variables, and then those without a value by nothing."""
    files = {"app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: '[${A}]'}\n"}
    assert bodies(rendered(tmp_path, files, programs))["a"]["data"] == {"a": "[${A}]"}
    assert bodies(rendered(tmp_path, files, programs, B="b"))["a"]["data"] == {"a": "[]"}


def test_a_variable_from_a_secret_is_replaced_in_secrets_alone(tmp_path: Path, programs: RenderOptions) -> None:
    """Anywhere else its value would be shown: it stays, and is then what only the deployer knows."""
    files = {
        "app/a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: '${A}', p: '${P:=x}'}\n",
        "app/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {a: '${A}', p: 'x ${P:=y} $$z'}\n",
        "app/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '${P^^}'}\n",
    }
    options = replace(programs, substitutions=(("A", "1a"),), secret_substitutions=(("P", "hunter2"),))
    rendering = render(tree(tmp_path, "app", files), options)
    found = {manifest.ref.name: manifest.body for manifest in rendering.manifests}
    assert found["a"]["stringData"] == {"a": "1a", "p": "hunter2"}
    assert found["b"]["data"] == {"a": "1a", "p": "x ${P:=y} $z"}
    [error] = rendering.errors
    assert (error.file, "takes a part of a Secret" in error.message) == ("app/c.yaml", True)
    assert "hunter2" not in repr(options) + str(error)
