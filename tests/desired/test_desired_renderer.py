"""A commit costs what it changes: an app is rendered again only if one of its inputs has changed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from driftd.desired.renderer import Renderer
from driftd.desired.state import Desired
from driftd.git.mirror import Mirror
from driftd.git.revision_tree import RevisionTree
from driftd.git.source import GitSource
from driftd.model.app import App, Capabilities, RenderOptions
from driftd.model.errors import GitError
from driftd.render import tool
from driftd.render.parser import CachingParser
from tests.support.gitserver import GitRepo
from tests.support.world import config_map

KUSTOMIZE = """#!/bin/sh
/bin/cat "$2"/../base/*.yaml | /bin/sed "/^resources/d"
"""


@dataclass
class Rendered:
    """An app in the folder `app` of a repository, rendered at each commit; `program` replaces kustomize."""

    repository: GitRepo
    mirror: Mirror
    renderer: Renderer
    runs: list[str]
    """The programs that were run."""

    async def commit(self, files: Mapping[str, str]) -> Desired:
        self.repository.write(files).commit("Change")
        return await self.renderer.desired(await self.mirror.fetch())

    def program(self, text: str) -> None:
        file = Path(self.renderer._app.rendering.kustomize)
        file.write_text(text)
        file.chmod(0o755)

    @property
    def count(self) -> int:
        return len(self.runs)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rendered:
    run, runs = tool.run, list[str]()

    def counted(command: Sequence[str], *args: Any, **kwargs: Any) -> bytes:
        runs.append(command[0])
        return run(command, *args, **kwargs)

    monkeypatch.setattr(tool, "run", counted)
    repository = GitRepo(tmp_path / "repository")
    mirror = Mirror(GitSource("shop", repository.url, allow_file=True), tmp_path / "mirror")
    web = App("web", "shop", "prod", path="app", rendering=RenderOptions(kustomize=str(tmp_path / "kustomize")))
    rendered = Rendered(repository, mirror, Renderer(web, mirror, CachingParser()), runs)
    rendered.program(KUSTOMIZE)
    return rendered


OVERLAY = {
    "base/kustomization.yaml": "resources: [c.yaml]\n",
    "base/c.yaml": config_map("c", a="1"),
    "app/kustomization.yaml": "resources: [../base]\n",
}
ELSEWHERE = {"other/d": "x"}


async def test_kustomize_runs_once_while_its_inputs_stay_the_same(app: Rendered) -> None:
    """A commit elsewhere in the repository runs nothing, and gives the very same manifests at a new revision."""
    first = await app.commit(OVERLAY)
    second = await app.commit(ELSEWHERE)
    assert second.revision != first.revision
    assert second.manifests is first.manifests
    assert app.count == 1


async def test_a_change_in_a_base_is_rendered(app: Rendered) -> None:
    """An app's inputs may be in other folders, too."""
    await app.commit(OVERLAY)
    changed = await app.commit({"base/c.yaml": config_map("c", a="2")})
    assert [manifest.body["data"] for manifest in changed.manifests] == [{"a": "2"}]
    assert app.count == 2


async def test_what_is_rendered_as_before_is_the_manifest_that_is_held(app: Rendered) -> None:
    """A program makes all of them anew. The memory has room for one of each."""
    first = await app.commit({**OVERLAY, "base/d.yaml": "---\n" + config_map("d", a="1")})
    second = await app.commit({"base/c.yaml": config_map("c", a="2")})
    assert app.count == 2
    assert [now is before for now, before in zip(second.manifests, first.manifests, strict=True)] == [False, True]


async def test_a_program_that_failed_is_run_again(app: Rendered) -> None:
    """Its failure may have nothing to do with Git."""
    app.program("#!/bin/sh\nexit 1\n")
    assert (await app.commit(OVERLAY)).errors != ()
    app.program(KUSTOMIZE)
    assert (await app.commit(ELSEWHERE)).errors == ()


async def test_an_ignore_file_above_the_folder_counts(app: Rendered) -> None:
    """A rule that a commit adds excludes a file, which comes back with the removal of the rule."""
    files = {"app/a.yaml": config_map("a", a="1"), "app/b.yaml": config_map("b", a="1")}
    assert len((await app.commit(files)).manifests) == 2
    assert len((await app.commit({".driftdignore": "b.yaml\n"})).manifests) == 1
    assert len((await app.commit({".driftdignore": "\n"})).manifests) == 2


async def test_the_inputs_of_an_unchanged_revision_are_not_looked_up(
    app: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit never changes: inputs in other folders matter only for another commit."""
    first = await app.commit(OVERLAY)
    lookups: list[tuple[str, str]] = []
    tree = app.mirror.tree

    async def recorded(sha: str, path: str = "") -> RevisionTree:
        lookups.append((sha, path))
        return await tree(sha, path)

    monkeypatch.setattr(app.mirror, "tree", recorded)
    again = await app.renderer.desired(first.revision)
    assert again.manifests is first.manifests
    assert lookups == [(first.revision.sha, "app")]


async def test_an_app_is_rendered_again_if_the_last_revision_is_gone(app: Rendered) -> None:
    """The history was rewritten and the mirror recreated, without the commit that was rendered last."""
    first = await app.commit(OVERLAY)
    shutil.rmtree(app.repository.folder / ".git")
    remade = GitRepo(app.repository.folder)
    remade.write(ELSEWHERE).commit("Begin again")
    shutil.rmtree(app.mirror._folder.root)
    second = await app.renderer.desired(await app.mirror.fetch())
    assert second.revision != first.revision
    assert [manifest.body for manifest in second.manifests] == [manifest.body for manifest in first.manifests]
    assert app.count == 2


async def test_a_new_commit_is_rendered_although_the_last_one_is_damaged(
    app: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the new revision has to be readable."""
    first = await app.commit(OVERLAY)
    tree = app.mirror.tree

    async def damaged(sha: str, path: str = "") -> RevisionTree:
        if sha == first.revision.sha:
            raise GitError("object is missing")
        return await tree(sha, path)

    monkeypatch.setattr(app.mirror, "tree", damaged)
    assert [manifest.body for manifest in (await app.commit(ELSEWHERE)).manifests] == [
        manifest.body for manifest in first.manifests
    ]


async def test_a_chart_is_rendered_anew_where_its_cluster_has_changed(tmp_path: Path, assets: Path) -> None:
    """It is asked what it serves for each revision; plain files never ask."""
    template = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {v: "{{ .Capabilities.KubeVersion }}"}\n'
    repo = GitRepo(tmp_path / "repository")
    repo.write({"chart/Chart.yaml": "apiVersion: v2\nname: a\nversion: 1.0.0\n", "chart/templates/a.yaml": template})
    repo.write({"plain/a.yaml": config_map("a")}).commit("Add a chart")
    mirror = Mirror(GitSource("shop", repo.url, allow_file=True), tmp_path / "mirrors")
    revision = await mirror.fetch()
    versions = ["v1.36.0", "v1.36.0", "v1.37.0"]
    asked: list[str] = []

    async def capabilities() -> Capabilities:
        asked.append(versions[len(asked)])
        return Capabilities(asked[-1], ("v1",))

    options = RenderOptions(helm=str(assets / "helm"))
    chart = Renderer(App("web", "shop", "prod", path="chart", rendering=options), mirror)
    rendered = [await chart.desired(revision, capabilities) for _ in versions]
    assert [desired.manifests[0].body["data"]["v"] for desired in rendered] == versions
    assert rendered[0].manifests is rendered[1].manifests
    assert [desired.capabilities for desired in rendered] == [Capabilities(version, ("v1",)) for version in versions]
    plain = await Renderer(App("web", "shop", "prod", path="plain"), mirror).desired(revision, capabilities)
    assert plain.capabilities is None
    assert asked == versions
