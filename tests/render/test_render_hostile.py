"""What a repository holds can spoil its own app: it takes no time, no file and no text that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.model.app import RenderOptions
from driftd.render.app import Rendering, render
from driftd.render.manifests import read_manifests
from driftd.render.rendering import MAX_ERRORS
from tests.render.repositories import tree

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\n"
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"


def rendered(folder: Path, files: dict[str, str], options: RenderOptions) -> Rendering:
    return render(tree(folder, "app", files), options)


@pytest.mark.parametrize(
    "content",
    [
        "".join(f"---\na: {number}\n" for number in range(8000)),
        f"apiVersion: v1\nkind: List\nitems: [{'{a: b}, ' * 8000}]\n",
        f'{{"apiVersion": "v1", "kind": "List", "items": [{", ".join(["null"] * 8000)}]}}',
    ],
)
def test_a_file_of_thousands_of_mistakes_is_read_twice_at_most(content: str) -> None:
    """Once more for each mistake would take minutes."""
    assert len(read_manifests(content.encode(), "a.yaml").errors) == 8000


def test_of_thousands_of_mistakes_the_first_ones_are_told(tmp_path: Path) -> None:
    """All of them would fill the history, the messages and the terminal."""
    rendering = rendered(tmp_path, {"app/a.yaml": "---\na: b\n" * 1000}, RenderOptions())
    assert len(rendering.errors) == MAX_ERRORS + 1
    assert str(rendering.errors[-1]).startswith("app/a.yaml:202: this has no apiVersion and no kind")
    assert str(rendering.errors[-1]).endswith(" (and 899 more errors)")


@pytest.mark.parametrize("origin", ["path: OUTSIDE", "configuredIn: OUTSIDE", 'path: "a\\\\0b"', "path: ../../../.."])
def test_an_object_that_names_another_origin_reads_no_file_by_it(
    tmp_path: Path, programs: RenderOptions, origin: str
) -> None:
    """The annotation by which kustomize says where an object is from may be written by the repository itself."""
    outside = tmp_path / "outside.yaml"
    outside.write_text(f"---\n---\n{CONFIG_MAP}")
    text = origin.replace("OUTSIDE", str(outside))
    files = {
        "app/kustomization.yaml": f"resources: [a.yaml]\ncommonAnnotations:\n  config.kubernetes.io/origin: '{text}'\n",
        "app/a.yaml": CONFIG_MAP,
    }
    rendering = rendered(tmp_path / "repository", files, programs)
    assert [manifest.source.file for manifest in rendering.manifests] == ["app/kustomization.yaml"]


@pytest.mark.parametrize("source", ["web/../../outside.yaml", "web/templates/../../../outside.yaml", "web/charts/**"])
def test_a_template_that_names_another_source_leads_nowhere(
    tmp_path: Path, programs: RenderOptions, source: str
) -> None:
    """Helm names the template of each object in a comment, and so may the template."""
    files = {
        "app/Chart.yaml": CHART,
        "app/templates/a.yaml": f"{CONFIG_MAP}---\n# Source: {source}\n{CONFIG_MAP.replace('name: a', 'name: b')}",
        "outside.yaml": CONFIG_MAP,
    }
    rendering = rendered(tmp_path, files, programs)
    assert not rendering.errors
    assert {manifest.source.file for manifest in rendering.manifests} <= {"app/Chart.yaml", "app/templates/a.yaml"}


@pytest.mark.parametrize("key", ["buildMetadata", "resources", "generators", "configMapGenerator", "patches"])
@pytest.mark.parametrize("value", ["5", "{a: b}", "[[x]]"])
def test_a_kustomization_of_the_wrong_shape_is_its_own_error(
    tmp_path: Path, programs: RenderOptions, key: str, value: str
) -> None:
    """Nothing in it is of the type that it should be."""
    files = {"app/kustomization.yaml": f"namePrefix: x-\n{key}: {value}\n", "app/a.yaml": CONFIG_MAP}
    rendering = rendered(tmp_path, files, programs)
    assert [error.file for error in rendering.errors] == ["app/kustomization.yaml"]
