"""A folder of plain files gives the objects that they declare, and an error for each that it cannot give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from driftd.model.errors import PathNotFound
from driftd.model.resource import digest
from driftd.render.app import RenderKind, RenderOptions, render
from driftd.render.file_tree import FolderTree
from tests.render.repositories import config_map, tree, write


def names(root: Path, path: str, files: dict[str, str]) -> list[str]:
    """The names of the objects in these files, without errors."""
    rendering = render(tree(root, path, files), RenderOptions())
    assert rendering.errors == ()
    return [manifest.ref.name for manifest in rendering.manifests]


def errors(root: Path, files: dict[str, str]) -> list[str]:
    return [str(error) for error in render(tree(root, "app", files), RenderOptions()).errors]


def test_a_file_that_says_that_it_is_no_manifest_is_none(tmp_path: Path) -> None:
    """Whatever is in it: a snippet, or values."""
    files = {
        "app/a.yaml": config_map("a"),
        "app/values.yaml": "# +argocd:skip-file-rendering\n{{ not: yaml\n",
        "app/other.yaml": config_map("b") + "# +argocd:skip-file-rendering\n",
    }
    assert names(tmp_path, "app", files) == ["a"]


def test_files_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    """YAML and JSON of all folders below, several documents in one file, nothing else."""
    found = names(
        tmp_path,
        "app",
        {
            "app/b.yaml": config_map("b1") + "---\n# nothing here\n---\nnull\n---\n" + config_map("b2"),
            "app/a/z.yml": config_map("a"),
            "app/c.json": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}',
            "app/README.md": "# not a manifest",
            "other/d.yaml": config_map("d"),
            "d.yaml": config_map("root"),
        },
    )
    assert found == ["a", "b1", "b2", "c"]


def test_a_manifest_has_its_file_and_line(tmp_path: Path) -> None:
    """Paths are those of the repository, not of the app's folder."""
    app = tree(tmp_path, "apps/web", {"apps/web/a.yaml": config_map("a") + "---\n\n" + config_map("b")})
    rendering = render(app, RenderOptions())
    assert rendering.kind is RenderKind.YAML
    assert [(m.source.file, m.source.line, m.source.document) for m in rendering.manifests] == [
        ("apps/web/a.yaml", 1, 1),
        ("apps/web/a.yaml", 6, 5),
    ]


def test_one_file_can_be_an_app(tmp_path: Path) -> None:
    """The app's path may be a file, whatever its name and its neighbours."""
    files = {"deploy/all.txt": config_map("a"), "deploy/b.yaml": config_map("b"), "kustomization.yaml": "{}"}
    assert names(tmp_path, "deploy/all.txt", files) == ["a"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    """What starts with a dot is no manifest, but an app may live in a hidden folder."""
    files = {
        ".deploy/a.yaml": config_map("a"),
        ".deploy/.hidden.yaml": config_map("hidden"),
        ".deploy/.github/workflow.yaml": "on: push",
    }
    assert names(tmp_path, ".deploy", files) == ["a"]


def test_driftdignore_leaves_files_out(tmp_path: Path) -> None:
    """The syntax is that of .gitignore, at any level, the deeper file deciding; what is above the app counts too."""
    files = {
        ".driftdignore": "*.draft.yaml\n/app/skipped-from-root.yaml\nsub/\n",
        "app/.driftdignore": "values*.yaml\n!values-kept.yaml\n/old/\n",
        "app/deep/.driftdignore": "!x.draft.yaml\n/only-here.yaml\n",
        "app/a.yaml": config_map("a"),
        "app/b.draft.yaml": config_map("draft"),
        "app/skipped-from-root.yaml": config_map("skipped"),
        "app/values.yaml": "replicas: 1",
        "app/values-kept.yaml": config_map("kept"),
        "app/old/o.yaml": config_map("old"),
        "app/deep/old/o.yaml": config_map("deep-old"),
        "app/deep/x.draft.yaml": config_map("brought-back"),
        "app/deep/only-here.yaml": config_map("deep-skipped"),
        "app/only-here.yaml": config_map("not-skipped"),
        "app/sub/.driftdignore": "!*",
        "app/sub/s.yaml": config_map("in-a-folder-that-is-left-out"),
    }
    assert sorted(names(tmp_path, "app", files)) == ["a", "brought-back", "deep-old", "kept", "not-skipped"]


def test_lists_are_flattened(tmp_path: Path) -> None:
    """A List, a list of one kind, and a list in a list are the objects in them."""
    files = {
        "app/a.yaml": """
            apiVersion: v1
            kind: List
            items:
            - apiVersion: v1
              kind: Secret
              metadata: {name: a}
            - apiVersion: v1
              kind: ConfigMapList
              items: [{metadata: {name: b}}, {metadata: {name: c}}]
            ---
            apiVersion: v1
            kind: List
            items: []
        """
    }
    rendering = render(tree(tmp_path, "app", files), RenderOptions())
    assert [str(m.ref) for m in rendering.manifests] == ["Secret/a", "ConfigMap/b", "ConfigMap/c"]
    assert [m.source.at for m in rendering.manifests][2] == ("items", 1, "items", 1)
    assert rendering.manifests[1].body == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}


def test_a_broken_file_is_one_error_and_the_others_are_read(tmp_path: Path) -> None:
    """Nobody loses an app to a typing mistake in one of its files."""
    files = {"app/a.yaml": config_map("a"), "app/b.yaml": "a: [\n", "app/c.yaml": config_map("c")}
    rendering = render(tree(tmp_path, "app", files), RenderOptions())
    assert [m.ref.name for m in rendering.manifests] == ["a", "c"]
    assert [(e.file, e.line) for e in rendering.errors] == [("app/b.yaml", 2)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("replicas: 1\n", "app/a.yaml:1: this has no apiVersion and no kind"),
        ("- a\n", "app/a.yaml:1: this is a list, not a Kubernetes object"),
        ("# c\njust text\n", "app/a.yaml:2: this is text, not a Kubernetes object"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "app/a.yaml:1: the object has no kind"),
        ("kind: Pod\nmetadata: {name: a}\n", "app/a.yaml:1: the object has no apiVersion"),
        ("apiVersion: 1\nkind: Pod\n", "app/a.yaml:1: apiVersion must be a string, not a number"),
        ("apiVersion: v1\nkind: Pod\n", "app/a.yaml:1: the Pod has no metadata, and so no name"),
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {}\n", "app/a.yaml:3: the Pod has no metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: 12\n", "app/a.yaml:4: metadata.name must be a string"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n    a: b\n    version: 1.10\n",
            "app/a.yaml:7: metadata.labels.version must be a string, not a number: quote it",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations:\n    a.b/c: yes\n",
            'app/a.yaml:6: metadata.annotations["a.b/c"] must be a string, not the boolean true',
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: [a]\n",
            "app/a.yaml:5: metadata.labels must be a map",
        ),
        ("apiVersion: a/b/c\nkind: Pod\n", "app/a.yaml:1: apiVersion must be VERSION or GROUP/VERSION"),
        ("kind: Pod\napiVersion: ../v1\n", "app/a.yaml:2: apiVersion must be"),
        ("apiVersion: v1/\nkind: Pod\n", "app/a.yaml:1: apiVersion must be"),
        ("apiVersion: v1?x\nkind: Pod\n", "app/a.yaml:1: apiVersion must be"),
        ("apiVersion: v1\nkind: ../ConfigMap\n", "app/a.yaml:2: kind must be a word"),
        ("apiVersion: v1\nkind: Config Map\n", "app/a.yaml:2: kind must be a word"),
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a/b\n", "app/a.yaml:4: metadata.name must not have /"),
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: ..\n", "app/a.yaml:4: metadata.name must not have /"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: ../b\n",
            "app/a.yaml:5: metadata.namespace must not have /",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nsops:\n  mac: x\n",
            "app/a.yaml:4: the Secret is encrypted",
        ),
    ],
)
def test_what_is_no_object_is_an_error_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    """kubectl would refuse each of these; the error says what to do and where."""
    [error] = errors(tmp_path, {"app/a.yaml": text})
    assert error.startswith(says)


def test_the_error_of_a_values_file_says_how_to_exclude_it(tmp_path: Path) -> None:
    """Files that are not for the cluster are common; the way out is in the error."""
    [error] = errors(tmp_path, {"app/a.yaml": config_map("a"), "app/values.yaml": "image: nginx\n"})
    assert "name it in a .driftdignore file" in error


def test_errors_hold_no_values_of_a_secret(tmp_path: Path) -> None:
    """An error about a Secret names the field, never what is in it."""
    text = "apiVersion: v1\nkind: Secret\nmetadata:\n  labels: {a: hunter2}\nstringData: {password: hunter2}\n"
    [error] = errors(tmp_path, {"app/a.yaml": text})
    assert "hunter2" not in error


def test_an_object_in_two_places_is_an_error_that_names_both(tmp_path: Path) -> None:
    """An object without a namespace is in the app's; the same name in another namespace is another object."""
    files = {
        "app/a.yaml": config_map("x") + "---\n" + config_map("x", "other"),
        "app/b.yaml": "# two\n" + config_map("x", "web"),
    }
    rendering = render(tree(tmp_path, "app", files), RenderOptions(namespace="web"))
    assert [str(e) for e in rendering.errors] == [
        "app/b.yaml:2: ConfigMap/web/x is declared twice: also in app/a.yaml:1"
    ]
    assert [str(m.ref) for m in rendering.manifests] == ["ConfigMap/x", "ConfigMap/other/x"]


def test_versions_of_one_kind_are_the_same_object(tmp_path: Path) -> None:
    """apps/v1 and apps/v1beta1 name the same Deployment."""
    deployment = "apiVersion: apps/{}\nkind: Deployment\nmetadata: {{name: a}}\n"
    assert (
        len(errors(tmp_path, {"app/a.yaml": deployment.format("v1"), "app/b.yaml": deployment.format("v1beta1")})) == 1
    )


def test_a_folder_without_manifests_is_an_error(tmp_path: Path) -> None:
    """An app without manifests is more likely a wrong path than intended; an empty manifest declares the intent."""
    assert errors(tmp_path, {"app/README.md": "x"}) == ["app: no manifests here: no .yaml, .yml, .json file"]
    assert names(tmp_path, "app", {"app/empty.yaml": "# nothing is deployed here\n"}) == []


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PathNotFound, match="there is no nowhere"):
        FolderTree(tmp_path, "nowhere")
    with pytest.raises(PathNotFound, match="leads out of the repository"):
        FolderTree(tmp_path, "../..")


def test_links_out_of_the_repository_are_errors(tmp_path: Path) -> None:
    """A link to another file of the repository is read as that file; one that leads out is never followed."""
    write(tmp_path, {"outside.yaml": config_map("outside"), "repo/shared/a.yaml": config_map("a")})
    write(tmp_path, {"repo/app/b.yaml": config_map("b")})
    (tmp_path / "repo/app/linked.yaml").symlink_to("../shared/a.yaml")
    (tmp_path / "repo/app/out.yaml").symlink_to("../../outside.yaml")
    (tmp_path / "repo/app/absolute.yaml").symlink_to(tmp_path / "outside.yaml")
    rendering = render(FolderTree(tmp_path / "repo", "app"), RenderOptions())
    assert [m.ref.name for m in rendering.manifests] == ["b", "a"]
    assert sorted(e.file for e in rendering.errors) == ["app/absolute.yaml", "app/out.yaml"]
    assert all(str(e).endswith("leads out of the repository") for e in rendering.errors)


@pytest.mark.parametrize(
    ("target", "says"),
    [("../shared", "a link to a folder"), ("nowhere", "a link that leads nowhere"), ("../..", "leads out")],
)
def test_a_link_that_may_hold_manifests_is_an_error_unless_it_is_left_out(
    tmp_path: Path, target: str, says: str
) -> None:
    """What is behind it would be passed over without a word."""
    write(tmp_path, {"repo/shared/a.yaml": config_map("a"), "repo/app/b.yaml": config_map("b")})
    (tmp_path / "repo/app/more").symlink_to(target)
    rendering = render(FolderTree(tmp_path / "repo", "app"), RenderOptions())
    assert [m.ref.name for m in rendering.manifests] == ["b"]
    [error] = rendering.errors
    assert error.file == "app/more"
    assert says in str(error)
    write(tmp_path, {"repo/app/.driftdignore": "more\n"})
    assert render(FolderTree(tmp_path / "repo", "app"), RenderOptions()).errors == ()


def test_a_chart_among_plain_files_is_an_error(tmp_path: Path) -> None:
    """Nobody can guess its values; the other files are still read, and its templates are not read as manifests."""
    files = {
        "app/a.yaml": config_map("a"),
        "app/chart/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n",
        "app/chart/templates/t.yaml": "{{ broken }}",
    }
    rendering = render(tree(tmp_path, "app", files), RenderOptions())
    assert [m.ref.name for m in rendering.manifests] == ["a"]
    [error] = rendering.errors
    assert str(error).startswith("app/chart/Chart.yaml: a Helm chart inside of a folder of plain files")
    assert names(tmp_path, "app", {"app/.driftdignore": "chart/\n"}) == ["a"]


def test_the_digest_is_of_what_is_declared(tmp_path: Path) -> None:
    """Moving an object to another file changes nothing; changing it does."""
    one = render(tree(tmp_path / "1", "", {"a.yaml": config_map("a"), "b.yaml": config_map("b")}), RenderOptions())
    two = render(
        tree(tmp_path / "2", "x", {"x/all.yaml": config_map("b") + "---\n" + config_map("a")}), RenderOptions()
    )
    three = render(tree(tmp_path / "3", "", {"a.yaml": config_map("a")}), RenderOptions())
    assert digest(one.manifests) == digest(two.manifests) != digest(three.manifests)


def test_the_first_files_that_are_read_are_from_all_over_the_folder(tmp_path: Path) -> None:
    """So the first batch has objects of all namespaces: the first half in sorted order may have only one of many."""
    write(tmp_path, {f"app/team-{number % 9}/{number}.yaml": config_map(f"c-{number}") for number in range(600)})
    batches: list[set[str]] = []

    class RecordingTree(FolderTree):
        def read(self, files: Iterable[str]) -> Mapping[str, bytes]:
            paths = list(files)
            batches.append({file.split("/")[1] for file in paths})
            return super().read(paths)

    assert len(render(RecordingTree(tmp_path, "app"), RenderOptions()).manifests) == 600
    assert [len(teams) for teams in batches if teams] == [9, 9, 9]
