"""Git has moved on, and the cluster has not: that is lag, and nobody's drift."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.git.mirror import Mirror
from driftd.git.source import GitSource
from driftd.kube.connection import Cluster
from driftd.kube.json_patch import json_patch
from driftd.kube.kubeconfig import ClusterAccess
from driftd.kube.objects import apply
from driftd.kube.openapi import SchemaSource
from driftd.model.document import verdict_document
from driftd.model.drift import Report, Status
from driftd.reconcile.app import App
from driftd.reconcile.cluster_view import ClusterView
from driftd.reconcile.desired import Renderer
from driftd.reconcile.placement import place
from driftd.reconcile.survey import Survey
from driftd.sandbox.server import Sandbox
from tests.support.gitserver import GitRepo

FILE = "app/config.yaml"


@dataclass
class World:
    """A repository of one ConfigMap, and a cluster to deploy it to."""

    repository: GitRepo
    mirror: Mirror
    view: ClusterView
    app: App

    def commit(self, subject: str, **data: str) -> str:
        lines = "".join(f"  {key}: {value}\n" for key, value in data.items())
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n{lines}"
        return self.repository.write({FILE: text}).commit(subject)

    async def deploy(self) -> None:
        """What a pipeline does with the newest commit."""
        desired = await Renderer(self.app, self.mirror).desired(await self.mirror.fetch())
        for one in await place(desired.manifests, self.app, self.view):
            assert one.resource is not None
            await apply(self.view.cluster, one.resource, one.manifest.body, field_manager="pipeline")

    async def edit(self, key: str, value: str) -> None:
        resource = await self.view.resource("v1", "ConfigMap")
        change = {"op": "replace", "path": f"/data/{key}", "value": value}
        await json_patch(self.view.cluster, resource, "default", "web", [change], field_manager="kubectl-patch")

    async def check(self) -> Report:
        survey = Survey(self.app, self.view, self.mirror, Comparison(Redactor(b"key")))
        desired = await Renderer(self.app, self.mirror).desired(await self.mirror.fetch())
        return await survey.check(desired, datetime.now(UTC))


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


async def test_what_equals_an_older_commit_is_behind_by_as_many_as_touch_its_file(world: World) -> None:
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


async def test_a_hand_on_an_object_that_is_behind_is_told_apart_from_the_lag(world: World) -> None:
    """Both are said, each of its own field."""
    world.commit("One", a="v1", b="v1")
    await world.deploy()
    world.commit("Two", a="v2", b="v1")
    await world.edit("b", "by-hand")
    verdict = (await world.check()).verdicts[0]
    assert {field.path[-1]: field.behind for field in verdict.fields} == {"a": True, "b": False}
    assert verdict.behind is not None
    assert verdict.behind.commits == 1


async def test_a_hand_that_puts_an_older_value_back_is_a_hand(world: World) -> None:
    """The cluster had the newest commit; somebody went back by hand."""
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
    """The commit that declares it was not applied: the file stood there before, without it."""
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
    """However many commits there are to look at."""
    for number in range(5):
        world.commit(f"Commit {number}", a=f"v{number}")
    await world.deploy()
    await world.edit("a", "never-declared")
    assert (await world.check()).verdicts[0].behind is None
