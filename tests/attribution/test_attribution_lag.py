"""Git has moved on, and the cluster has not: that is lag, not drift."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from driftd.attribution import rendered_history
from driftd.attribution.git_attribution import GitAttribution
from driftd.desired.renderer import Renderer
from driftd.desired.state import Desired
from driftd.detect.detector import Detector
from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.diff.rules.ignore import IgnoreRule, IgnoreRuleSet
from driftd.git.mirror import Mirror
from driftd.git.runner import GitRunner
from driftd.git.source import GitSource
from driftd.kube.kubeconfig import ClusterAccess
from driftd.kube.objects import apply, delete, json_patch
from driftd.kube.openapi import SchemaSource
from driftd.kube.rest_client import Cluster
from driftd.live.api_reader import ApiReader
from driftd.live.cluster import ClusterView
from driftd.live.mapping import map_manifests
from driftd.model.app import App
from driftd.model.document import verdict_document
from driftd.model.drift import Status, Verdict
from driftd.model.report import Report
from driftd.reconcile.scan import scan_once
from driftd.render.app import Rendering, RenderOptions, render
from driftd.render.file_tree import FileTree
from driftd.sandbox.server import Sandbox
from tests.support.gitserver import GitRepo
from tests.support.world import config_map

FILE = "app/config.yaml"


@dataclass
class World:
    """A repository of one ConfigMap, and a cluster to deploy it to."""

    repository: GitRepo
    mirror: Mirror
    view: ClusterView
    app: App

    def commit(self, subject: str, **data: str) -> str:
        return self.repository.write({FILE: config_map("web", **data)}).commit(subject)

    async def deploy(self, *names: str) -> None:
        """Applies the newest commit, or some of its objects, as a pipeline does."""
        desired = await Renderer(self.app, self.mirror).desired(await self.mirror.fetch())
        for item in await map_manifests(desired.manifests, self.app, self.view):
            assert item.resource is not None
            if not names or item.manifest.ref.name in names:
                await apply(self.view.cluster, item.resource, item.manifest.body, field_manager="pipeline")

    async def edit(self, key: str, value: str) -> None:
        await self.patch({"op": "replace", "path": f"/data/{key}", "value": value})

    async def patch(self, change: dict[str, str], name: str = "web") -> None:
        resource = await self.view.resource("v1", "ConfigMap")
        await json_patch(self.view.cluster, resource, "default", name, [change], field_manager="kubectl-patch")

    async def delete(self, name: str) -> None:
        await delete(self.view.cluster, await self.view.resource("v1", "ConfigMap"), "default", name)

    def attribution(self, ignored: IgnoreRuleSet = IgnoreRuleSet()) -> GitAttribution:  # noqa: B008  # immutable
        return GitAttribution(self.app, self.mirror, Comparison(Redactor(b"key"), ignore_rules=ignored))

    async def check(self, attribution: GitAttribution | None = None) -> Report:
        desired = await Renderer(self.app, self.mirror).desired(await self.mirror.fetch())
        return await self.scan(desired, attribution or self.attribution())

    async def scan(self, desired: Desired, attribution: GitAttribution) -> Report:
        detector = Detector(self.app, self.view, attribution.comparison)
        return await scan_once(detector, attribution, desired, ApiReader(self.view.cluster), datetime.now(UTC))

    async def verdict(self, name: str = "web", attribution: GitAttribution | None = None) -> Verdict:
        return next(verdict for verdict in (await self.check(attribution)).verdicts if verdict.ref.name == name)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    repository = GitRepo(tmp_path / "repository")
    source = GitSource("shop", repository.url, allow_file=True)
    async with Sandbox().serve() as sandbox:
        kubeconfig = sandbox.write_kubeconfig(tmp_path / "kubeconfig")
        cluster = await Cluster.connect(ClusterAccess("sandbox", kubeconfig, None))
        try:
            view = ClusterView(cluster, SchemaSource(cluster))
            app = App("web", "shop", "sandbox", path="app", namespace="default")
            yield World(repository, Mirror(source, tmp_path / "mirror"), view, app)
        finally:
            await cluster.close()


async def test_an_object_as_an_older_commit_declared_it_is_behind_by_the_commits_to_its_file(world: World) -> None:
    """Two later commits change the object, a third one something else: it is behind by two."""
    deployed = world.commit("One", a="v1", b="v1")
    await world.deploy()
    world.commit("Two", a="v2", b="v1")
    world.commit("Three", a="v3", b="v3")
    world.repository.write({"README": "words"}).commit("Four")
    verdict = (await world.check()).verdicts[0]
    assert verdict.status is Status.DRIFTED
    assert verdict.behind is not None
    assert (verdict.behind.commits, verdict.behind.revision.sha) == (2, deployed)
    assert all(field.behind for field in verdict.fields)
    document = verdict_document(verdict)
    assert document["behind"]["commits"] == 2
    assert document["behind"]["subject"] == "One"


async def test_a_manual_change_of_an_object_that_is_behind_is_distinguished_from_the_lag(world: World) -> None:
    """Both are reported, each for its own field."""
    world.commit("One", a="v1", b="v1")
    await world.deploy()
    world.commit("Two", a="v2", b="v1")
    await world.edit("b", "by-hand")
    verdict = (await world.check()).verdicts[0]
    assert {field.path[-1]: field.behind for field in verdict.fields} == {"a": True, "b": False}
    assert verdict.behind is not None
    assert verdict.behind.commits == 1


async def test_a_manual_return_to_an_older_value_is_drift(world: World) -> None:
    """The newest commit was applied before."""
    world.commit("One", a="v1")
    world.commit("Two", a="v2")
    await world.deploy()
    await world.edit("a", "v1")
    verdict = (await world.check()).verdicts[0]
    assert verdict.status is Status.DRIFTED
    assert verdict.behind is None
    assert verdict.fields[0].by is not None
    assert verdict.fields[0].by.manager == "kubectl-patch"


async def test_an_object_that_a_later_commit_brought_is_missing_and_behind(world: World) -> None:
    """The commit that declares it was not applied: its file existed before, without it."""
    world.commit("One", a="v1")
    await world.deploy()
    other = "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: other\n"
    text = (world.repository.folder / FILE).read_text() + other
    world.repository.write({FILE: text}).commit("Two")
    verdicts = {verdict.ref.name: verdict for verdict in (await world.check()).verdicts}
    assert verdicts["web"].status is Status.IN_SYNC
    assert verdicts["other"].status is Status.MISSING
    assert verdicts["other"].behind is not None
    assert verdicts["other"].behind.commits == 1


async def test_a_live_value_that_no_commit_ever_had_is_not_lag(world: World) -> None:
    """However many commits there are."""
    for number in range(5):
        world.commit(f"Commit {number}", a=f"v{number}")
    await world.deploy()
    await world.edit("a", "never-declared")
    assert (await world.check()).verdicts[0].behind is None


async def test_an_object_that_moved_to_another_file_is_still_behind(world: World) -> None:
    """With other objects or alone, once or twice, with a change or without one."""
    deployed = world.commit("One", a="v1")
    await world.deploy()
    world.repository.remove(FILE).write({"app/moved.yaml": config_map("web", a="v1")}).commit("Move")
    world.repository.write({"app/moved.yaml": config_map("web", a="v2")}).commit("Change")
    both = config_map("other") + "---\n" + config_map("web", a="v3")
    world.repository.remove("app/moved.yaml").write({"app/all.yaml": both}).commit("Move again, and change")
    verdict = await world.verdict()
    assert verdict.behind is not None
    assert verdict.behind.commits == 2
    assert verdict.behind.revision.subject == "Move"
    await world.edit("a", "by-hand")
    assert (await world.verdict()).behind is None
    assert deployed != verdict.behind.revision.sha


async def test_an_object_that_was_moved_and_deleted_is_no_lag(world: World) -> None:
    """Before the move, another file declared it."""
    world.repository.write({FILE: config_map("web") + "---\n" + config_map("other")}).commit("One")
    await world.deploy()
    world.repository.write({FILE: config_map("web"), "app/other.yaml": config_map("other")}).commit("Move")
    await world.delete("other")
    verdict = await world.verdict("other")
    assert verdict.status is Status.MISSING
    assert verdict.behind is None


async def test_an_object_in_a_file_that_a_later_commit_brought_is_behind(world: World) -> None:
    """The commit before had neither the file nor the object."""
    deployed = world.commit("One", a="v1")
    await world.deploy()
    world.repository.write({"app/other.yaml": config_map("other")}).commit("Two")
    world.repository.write({"app/other.yaml": config_map("other", b="v2")}).commit("Three")
    verdict = await world.verdict("other")
    assert verdict.status is Status.MISSING
    assert verdict.behind is not None
    assert (verdict.behind.commits, verdict.behind.revision.sha) == (2, deployed)


async def test_where_nothing_was_ever_deployed_nothing_lags(world: World) -> None:
    """No object of the app is live: the cluster is at no earlier revision."""
    world.commit("One", a="v1")
    world.repository.write({"app/other.yaml": config_map("other")}).commit("Two")
    assert [verdict.behind for verdict in (await world.check()).verdicts] == [None, None]


async def test_an_object_that_was_deleted_after_a_later_commit_was_applied_does_not_lag(world: World) -> None:
    """Another object in sync with a later commit shows that the missing one was applied."""
    world.commit("One", a="v1")
    world.repository.write({"app/other.yaml": config_map("other")}).commit("Two")
    world.commit("Three", a="v3")
    await world.deploy()
    await world.delete("other")
    assert (await world.verdict("other")).behind is None


async def test_an_object_that_was_live_before_does_not_lag_when_it_is_missing(world: World) -> None:
    """It was observed, so that it was deployed."""
    world.commit("One", a="v1")
    world.repository.write({"app/other.yaml": config_map("other")}).commit("Two")
    await world.deploy()
    attribution = world.attribution()
    assert (await world.check(attribution)).in_sync
    await world.delete("other")
    assert (await world.verdict("other", attribution)).behind is None


async def test_a_field_removed_after_a_later_commit_was_applied_is_no_lag(world: World) -> None:
    """An older commit lacks it as well; but the object has another field of its commit: somebody removed this one."""
    world.commit("One", a="v1")
    world.commit("Two", a="v2", b="v2")
    await world.deploy()
    await world.patch({"op": "remove", "path": "/data/b"})
    verdict = await world.verdict()
    assert [field.path[-1] for field in verdict.fields] == ["b"]
    assert verdict.behind is None


async def test_an_ignored_field_does_not_hide_the_lag(world: World) -> None:
    """The live object is at an older revision except for a field that a rule ignores."""
    world.commit("One", a="v1", b="v1")
    await world.deploy()
    world.commit("Two", a="v2", b="v1")
    await world.edit("b", "by-hand")
    rule = IgnoreRule.parse({"kind": "ConfigMap", "path": "data.b"})
    verdict = await world.verdict(attribution=world.attribution(IgnoreRuleSet((rule,))))
    assert verdict.behind is not None
    assert [field.behind for field in verdict.fields] == [True]


async def test_fifty_commits_are_searched(world: World) -> None:
    """An older state is drift like any other."""
    for number in range(52):
        world.commit(f"Commit {number}", a=f"v{number}")
        if number in (0, 1):
            await world.deploy("web")
        if number == 51:
            verdict = await world.verdict()
            assert verdict.behind is not None
            assert verdict.behind.commits == 50
    world.commit("One more", a="another")
    assert (await world.verdict()).behind is None


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The Git commands that were run."""
    commands: list[str] = []
    start = GitRunner._start

    def recorded(shell: GitRunner, arguments: Sequence[str], with_input: bool) -> Any:
        commands.append(arguments[0])
        return start(shell, arguments, with_input)

    monkeypatch.setattr(GitRunner, "_start", recorded)
    return commands


async def test_a_lag_that_lasts_is_searched_once(world: World, runs: list[str]) -> None:
    """The next pass over the same revision reads no history, and neither does one over a manual change."""
    for number in range(9):
        world.commit(f"Commit {number}", a=f"v{number}", b="v1")
        if number == 0:
            await world.deploy()
    attribution = world.attribution()
    first = await world.verdict(attribution=attribution)
    assert first.behind is not None
    assert runs.count("log") < 9
    desired = await Renderer(world.app, world.mirror).desired(await world.mirror.fetch())
    runs.clear()
    again = await world.scan(desired, attribution)
    assert again.verdicts == (first,)
    assert set(runs) <= {"cat-file"}
    assert len(runs) <= 1  # the file, for the line of each field
    await world.deploy()
    await world.edit("a", "by-hand")
    runs.clear()
    assert (await world.scan(desired, attribution)).verdicts[0].behind is None
    assert "diff-tree" not in runs


KUSTOMIZED = {
    "app/kustomization.yaml": "resources: [../base]\nnamePrefix: my-\n",
    "base/kustomization.yaml": "resources: [web.yaml]\n",
}
CHART = {
    "app/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "app/templates/web.yaml": config_map("my-web", a="{{ .Values.a }}"),
}


@pytest.fixture
def rendered(world: World, assets: Path) -> World:
    """The same world, with kustomize and helm."""
    options = RenderOptions(kustomize=str(assets / "kustomize"), helm=str(assets / "helm"))
    return replace(world, app=replace(world.app, rendering=options))


@pytest.mark.parametrize("way", ["kustomize", "helm"])
async def test_a_rendered_object_is_behind_too(rendered: World, way: str) -> None:
    """By the commits to its inputs: a base in another folder, or values outside of the chart."""
    rendered.repository.write(KUSTOMIZED if way == "kustomize" else CHART)

    def commit(subject: str, value: str) -> str:
        files = (
            {"base/web.yaml": config_map("web", a=value)}
            if way == "kustomize"
            else {"values/web.yaml": f"a: {value}\n"}
        )
        return rendered.repository.write(files).commit(subject)

    if way == "helm":
        options = replace(rendered.app.rendering, values_files=("/values/web.yaml",))
        rendered.app = replace(rendered.app, rendering=options)
    deployed = commit("One", "v1")
    await rendered.deploy()
    for number in range(2, 9):
        rendered.repository.write({"README": f"{number}"}).commit("Elsewhere")
        commit(f"Commit {number}", f"v{number}")
    verdict = await rendered.verdict("my-web")
    assert verdict.source is not None
    assert verdict.source.origin == way
    assert verdict.behind is not None
    assert (verdict.behind.commits, verdict.behind.revision.sha) == (7, deployed)
    await rendered.patch({"op": "replace", "path": "/data/a", "value": "by-hand"}, "my-web")
    assert (await rendered.verdict("my-web")).behind is None


async def test_an_object_that_a_later_base_brings_is_missing_and_behind(rendered: World) -> None:
    """One that was live and was deleted is not."""
    rendered.repository.write({**KUSTOMIZED, "base/web.yaml": config_map("web", a="v1")}).commit("One")
    await rendered.deploy()
    rendered.repository.write({"base/web.yaml": config_map("web", a="v1") + "---\n" + config_map("other")}).commit(
        "Two"
    )
    verdict = await rendered.verdict("my-other")
    assert verdict.behind is not None
    assert verdict.behind.commits == 1
    assert (await rendered.verdict("my-web")).status is Status.IN_SYNC
    rendered.repository.write({"base/web.yaml": config_map("web", a="v3") + "---\n" + config_map("other")}).commit(
        "Three"
    )
    await rendered.deploy()
    await rendered.delete("my-other")
    assert (await rendered.verdict("my-other")).behind is None


async def test_no_commit_is_rendered_twice_and_few_are_at_all(rendered: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removed field is searched in fifty commits: between those that declare it equally, nothing is rendered."""
    built: list[str] = []

    def recorded(tree: FileTree, options: RenderOptions) -> Rendering:
        built.append(tree.path)
        return render(tree, options)

    monkeypatch.setattr(rendered_history, "render", recorded)
    rendered.repository.write(KUSTOMIZED)
    for number in range(40):
        files = {"base/web.yaml": config_map("web", a="v1", b="v1"), "app/notes.txt": str(number)}
        rendered.repository.write(files).commit(f"Commit {number}")
    await rendered.deploy()
    await rendered.patch({"op": "remove", "path": "/data/b"}, "my-web")
    attribution = rendered.attribution()
    for _ in range(3):
        assert (await rendered.verdict("my-web", attribution)).behind is None
    assert len(built) == 6  # this revision, the four before it, and the oldest
    rendered.repository.write({"README": "words"}).commit("Elsewhere")
    await rendered.verdict("my-web", attribution)
    assert len(built) == 6
    rendered.repository.write({"app/notes.txt": "more"}).commit("Here")
    await rendered.verdict("my-web", attribution)
    assert len(built) <= 8
