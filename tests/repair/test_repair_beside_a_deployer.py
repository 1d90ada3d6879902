"""Beside `kubectl apply` on a real API server: hands are put back, and commits are left to whoever applies them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from driftd.desired.provider import InProcessProvider
from driftd.desired.source import SourceState
from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.git.source import GitSource
from driftd.incidents.recorder import Recorder
from driftd.kube.kubeconfig import ClusterAccess
from driftd.kube.openapi import SchemaSource
from driftd.kube.rest_client import Cluster
from driftd.live.cluster import ClusterView
from driftd.model.app import App
from driftd.model.plan import Mode
from driftd.reconcile.reconciler import Reconciler, Shared
from driftd.render.parser import CachingParser
from driftd.store import Store
from tests.support.controlplane import ControlPlane
from tests.support.gitserver import GitRepo
from tests.support.world import Clock, config_map, deployment

pytestmark = pytest.mark.controlplane


@pytest.mark.parametrize("options", [(), ("--server-side", "--force-conflicts")], ids=["client-side", "server-side"])
async def test_hands_are_put_back_beside_a_pipeline_that_applies(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """A scaled and labelled Deployment and a deleted ConfigMap, while a commit with another image is not deployed yet.

    The pipeline deploys it afterwards, over what driftd has put back.
    """

    def kubectl(*args: str) -> str:
        return control_plane.kubectl("-n", namespace, *args).stdout

    repository = GitRepo(tmp_path / "repository")
    repository.write({"app/web.yaml": deployment(), "app/config.yaml": config_map(a="1")}).commit("One")
    folder = str(repository.folder / "app")
    cluster = await Cluster.connect(ClusterAccess("real", control_plane.kubeconfig()))
    store = await Store.open(f"sqlite:///{tmp_path / 'history.db'}")
    now = Clock()
    try:
        provider = InProcessProvider(tmp_path / "mirrors", CachingParser())
        source = SourceState(GitSource("shop", repository.url, allow_file=True), provider, timedelta(seconds=60), now)
        await source.fetch()
        app = App("web", "shop", "real", path="app", namespace=namespace, mode=Mode.HEAL, deploys=False)
        view = ClusterView(cluster, SchemaSource(cluster, tmp_path / "openapi"))
        shared = Shared(store, Comparison(Redactor(b"k" * 32)), Recorder(store, [], now, lambda: None), now)
        runner = Reconciler(app, source, view, shared)
        assert (await runner.run()).action is None, "nobody has deployed it"
        kubectl("apply", *options, "-f", folder)
        assert (await runner.run()).report.in_sync

        repository.write({"app/web.yaml": deployment("shop/web:2")}).commit("Two")
        kubectl("scale", "deployment/web", "--replicas=3")
        kubectl("label", "deployment/web", "oops=1")
        kubectl("delete", "configmap/web")
        result = await runner.run()
        left = [one.left_to for verdict in result.report.drifted for one in verdict.fields]
        assert left == ["the app's deployer: Git has moved on"]
        shown = "{.spec.replicas} {.metadata.labels.oops} {.spec.template.spec.containers[0].image}"
        assert kubectl("get", "deployment/web", "-o", f"jsonpath={shown}") == "1  shop/web:1"
        assert kubectl("get", "configmap/web", "-o", "jsonpath={.data}") == '{"a":"1"}'

        kubectl("apply", *options, "-f", folder)
        result = await runner.run()
        assert result.action is None
        assert result.report.in_sync
        assert kubectl("get", "deployment/web", "-o", f"jsonpath={shown}") == "1  shop/web:2"
    finally:
        await cluster.close()
        await store.close()
