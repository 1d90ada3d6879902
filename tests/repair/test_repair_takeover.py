"""Beside deployers that keep what they deploy, on a real API server: each with its own managers and marks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

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
from driftd.model.errors import ClusterUnreachable
from driftd.model.plan import Mode, Outcome
from driftd.reconcile.reconciler import Reconciler, Shared
from driftd.reconcile.result import PassResult
from driftd.render.parser import CachingParser
from driftd.store import Store
from tests.support.controlplane import ControlPlane
from tests.support.gitserver import GitRepo
from tests.support.world import Clock, config_map, deployment

pytestmark = [pytest.mark.controlplane, pytest.mark.timeout(300)]

SERVER_SIDE = ("--server-side", "--force-conflicts")
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Deploys:
    """How a deployer writes: its field manager, how it applies, its labels and annotations; and its name for driftd."""

    manager: str
    named: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    apply: tuple[str, ...] = SERVER_SIDE
    selector: Mapping[str, str] = field(default_factory=dict)

    def marked(self, text: str) -> dict[str, Any]:
        body: dict[str, Any] = yaml.safe_load(text)
        metadata = body["metadata"]
        for section, marks in (("labels", self.labels), ("annotations", self.annotations)):
            if marks:
                metadata[section] = {**metadata.get(section, {}), **marks}
        if self.selector and body["kind"] == "Deployment":
            body["spec"]["selector"]["matchLabels"] |= self.selector
            body["spec"]["template"]["metadata"]["labels"] |= self.selector
        return body


DEPLOYERS = {
    "argo-server-side": Deploys(
        "argocd-controller", "Argo CD (application argocd/web)",
        annotations={"argocd.argoproj.io/tracking-id": "argocd_web:apps/Deployment:web/web"},
    ),
    "argo-client-side": Deploys(
        "argocd-controller", "Argo CD (application web)",
        annotations={"argocd.argoproj.io/tracking-id": "web:apps/Deployment:web/web"}, apply=(),
    ),
    "argo-by-label": Deploys(
        "argocd-controller", "Argo CD (application web)", {"app.kubernetes.io/instance": "web"}, apply=(),
    ),
    "argo-by-a-label-of-the-users": Deploys("argocd-controller", "Argo CD", {"example.com/app": "web"}),
    "flux": Deploys(
        "kustomize-controller", "Flux (kustomization flux-system/web)",
        {"kustomize.toolkit.fluxcd.io/name": "web", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"},
    ),
    "flux-helm": Deploys(
        "helm-controller", "Flux (helmrelease flux-system/web)",
        {"helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "flux-system",
         "app.kubernetes.io/managed-by": "Helm"},
        {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "web"},
    ),
    "flux-operator": Deploys(
        "flux-operator", "Flux (resourceset flux-system/web)",
        {"resourceset.fluxcd.controlplane.io/name": "web",
         "resourceset.fluxcd.controlplane.io/namespace": "flux-system"},
    ),
    "kapp": Deploys(
        "kapp", "kapp (app 1700000000000000000)", {"kapp.k14s.io/app": "1700000000000000000",
                                                   "kapp.k14s.io/association": "v1.0a"},
        {"kapp.k14s.io/identity": "v1;web/apps/Deployment/web;apps/v1"}, apply=(),
        selector={"kapp.k14s.io/app": "1700000000000000000"},
    ),
    "config-sync": Deploys(
        "configsync", "Config Sync (manager root/web)", {"app.kubernetes.io/managed-by": "configmanagement.gke.io"},
        {"configmanagement.gke.io/managed": "enabled", "configsync.gke.io/manager": ":root_web",
         "configsync.gke.io/resource-id": "apps_deployment_web_web"},
    ),
    "fleet": Deploys(
        "fleetagent", "Fleet or k3s (bundle default-web)", {"objectset.rio.cattle.io/hash": "ce283298811743a"},
        {"objectset.rio.cattle.io/id": "default-web"}, apply=(),
    ),
    "kluctl": Deploys("kluctl", "kluctl (discriminator web)", {"kluctl.io/discriminator": "web"}),
    "kro": Deploys(
        "kro.run/applyset", "kro (instance web/shop)",
        {"kro.run/instance-name": "shop", "kro.run/instance-namespace": "web",
         "applyset.kubernetes.io/part-of": "applyset-x-v1"},
    ),
    "pipecd": Deploys(
        "kubectl-client-side-apply", "PipeCD (application web)",
        {"pipecd.dev/managed-by": "piped", "pipecd.dev/application": "web"},
        {"pipecd.dev/managed-by": "piped", "pipecd.dev/application": "web"}, apply=(),
    ),
    "sveltos": Deploys(
        "addon-controller", "Sveltos (profile web)",
        annotations={"projectsveltos.io/owner-name": "web", "projectsveltos.io/owner-kind": "ClusterProfile"},
    ),
}  # fmt: skip


class Beside:
    """An app on the real API server, with another deployer of the same manifests."""

    def __init__(self, plane: ControlPlane, namespace: str, repository: GitRepo, cluster: Cluster) -> None:
        self.plane, self.namespace, self.repository, self.cluster = plane, namespace, repository, cluster
        self.writes: list[str] = []
        self.source: SourceState
        self.shared: Shared
        self.view: ClusterView
        self.app = App("web", "shop", "real", path="app", namespace=namespace, mode=Mode.HEAL)
        self.runner: Reconciler

    def restart(self, **app: Any) -> None:
        self.app = replace(self.app, **app)
        self.runner = Reconciler(self.app, self.source, self.view, self.shared)

    async def run(self) -> PassResult:
        self.writes.clear()
        return await self.runner.run()

    async def commit(self, *texts: str) -> None:
        names = {yaml.safe_load(text)["kind"].lower(): text for text in texts}
        self.repository.write({f"app/{name}.yaml": text for name, text in names.items()}).commit("Change things")
        await self.source.fetch()

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> Any:  # noqa: A002
        return self.plane.kubectl("-n", self.namespace, *args, input=input, check=check)

    def deploy(self, how: Deploys, *texts: str, apply: Sequence[str] | None = None) -> str:
        """Applies manifests as a deployer does. Returns: what it says of each."""
        documents = "\n---\n".join(json.dumps(how.marked(text)) for text in texts)
        options = how.apply if apply is None else apply
        return str(self.kubectl("apply", *options, f"--field-manager={how.manager}", "-f", "-", input=documents).stdout)

    def get(self, kind: str) -> Any:
        return json.loads(self.kubectl("get", kind, "web", "-o", "json", "--show-managed-fields").stdout)

    def edit(self, kind: str, patch: Any, manager: str = "kubectl-edit") -> None:
        self.kubectl("patch", kind, "web", "--type=merge", "-p", json.dumps(patch), f"--field-manager={manager}")


@pytest.fixture
async def beside(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Beside]:
    async with opened(control_plane, namespace, tmp_path) as world:
        yield world


@asynccontextmanager
async def opened(control_plane: ControlPlane, namespace: str, folder: Path) -> AsyncIterator[Beside]:
    repository = GitRepo(folder / "repository")
    repository.write({"app/deployment.yaml": deployment(), "app/configmap.yaml": config_map(a="1", b="1")})
    repository.commit("One")
    cluster = await Cluster.connect(ClusterAccess("real", control_plane.kubeconfig()))
    store = await Store.open(f"sqlite:///{folder / 'history.db'}")
    now = Clock()
    try:
        world = Beside(control_plane, namespace, repository, cluster)
        provider = InProcessProvider(folder / "mirrors", CachingParser())
        world.source = SourceState(
            GitSource("shop", repository.url, allow_file=True), provider, timedelta(seconds=60), now
        )
        await world.source.fetch()
        world.view = ClusterView(cluster, SchemaSource(cluster, folder / "openapi"))
        world.shared = Shared(store, Comparison(Redactor(b"k" * 32)), Recorder(store, [], now, lambda: None), now)
        original = cluster.request

        async def request(method: str, path: str, **options: Any) -> Any:
            if method != "GET" and "dryRun" not in (options.get("query") or {}):
                world.writes.append(f"{method} {options.get('content_type')}")
            return await original(method, path, **options)

        cluster.request = request  # type: ignore[method-assign, assignment]
        world.restart()
        yield world
    finally:
        await cluster.close()
        await store.close()


def managers(body: Any) -> set[str]:
    return {one["manager"] for one in body["metadata"]["managedFields"] if not one.get("subresource")}


def unmarked(body: Any) -> bool:
    metadata = body["metadata"]
    ours = {"deployment.kubernetes.io/revision"}
    return not metadata.get("labels") and not set(metadata.get("annotations") or {}) - ours


@pytest.mark.parametrize("name", DEPLOYERS)
async def test_what_a_deployer_keeps_is_left_until_it_is_taken_over(beside: Beside, name: str) -> None:
    """With `takeOver: true`, one patch makes it driftd's, and what leaves Git goes. Who comes back is left it."""
    how = DEPLOYERS[name]
    beside.deploy(how, deployment(), config_map(a="1", b="1"))
    assert (await beside.run()).report.in_sync or name == "argo-by-a-label-of-the-users"
    beside.edit("configmap", {"data": {"a": "by-hand", "hand": "1"}})
    await beside.commit(deployment("shop/web:2"))
    result = await beside.run()
    assert (result.action, beside.writes) == (None, [])
    left = f"{how.named}: set takeOver: true to let driftd deploy it"
    assert {one.left_to for one in result.report.drifted} == {left}

    beside.restart(take_over=True)
    result = await beside.run()
    assert result.action is not None
    assert [(one.outcome, str(one.taken_from)) for one in result.action.applied] == [
        (Outcome.CONFIGURED, how.named)
    ] * 2
    assert beside.writes.count("PATCH application/json-patch+json") == 2
    assert not [one for one in beside.writes if not one.startswith("PATCH application/")]
    assert result.report.in_sync, [one.fields for one in result.report.drifted]
    config, web = beside.get("configmap"), beside.get("deployment")
    assert config["data"] == {"a": "1", "b": "1"}
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "shop/web:2"
    assert unmarked(config)
    assert unmarked(web)
    assert managers(config) <= {"driftd"}
    assert managers(web) <= {"driftd", "kapp"}
    assert managers(web) == {"driftd"} or name == "kapp"

    await beside.commit(config_map(a="1"))
    assert (await beside.run()).report.in_sync
    assert beside.get("configmap")["data"] == {"a": "1"}
    beside.deploy(how, config_map(a="1", b="2"))
    result = await beside.run()
    assert (result.action, beside.writes) == (None, [])
    assert {one.left_to for one in result.report.drifted} == {
        f"{how.named}: it deploys it again since driftd took it over"
    }


@pytest.mark.parametrize("name", ["argo-server-side", "argo-client-side"])
async def test_a_takeover_that_ends_half_way_is_one(beside: Beside, name: str) -> None:
    """The connection breaks between the patch and the apply: marks and differences are gone, and it is known."""
    how = DEPLOYERS[name]
    beside.restart(take_over=True)
    beside.deploy(how, deployment(), config_map(a="1", b="1"))
    assert (await beside.run()).report.in_sync
    beside.edit("configmap", {"data": {"a": "by-hand"}})
    original = beside.cluster.request

    async def request(method: str, path: str, **options: Any) -> Any:
        if options.get("content_type") == "application/apply-patch+yaml":
            raise ClusterUnreachable("the API server went away")
        return await original(method, path, **options)

    beside.cluster.request = request  # type: ignore[method-assign, assignment]
    result = await beside.run()
    beside.cluster.request = original  # type: ignore[method-assign]
    assert result.action is not None
    assert [(one.outcome, str(one.taken_from)) for one in result.action.applied] == [(Outcome.CONFIGURED, how.named)]
    config = beside.get("configmap")
    assert config["data"] == {"a": "1", "b": "1"}
    assert unmarked(config)
    assert managers(config) == {"driftd"}
    beside.deploy(how, config_map(a="2", b="1"))
    assert (await beside.run()).action is None
    assert beside.writes == []


PIPELINES = {
    "server-side-unforced": Deploys("pipeline", "", apply=("--server-side",)),
    "kubectl-server-side-unforced": Deploys("kubectl", "", apply=("--server-side",)),
    "argo-server-side-unforced": replace(DEPLOYERS["argo-server-side"], apply=("--server-side",)),
    "argo-client-side": DEPLOYERS["argo-client-side"],
    "flux-unforced": replace(DEPLOYERS["flux"], apply=("--server-side",)),
    "client-side": Deploys("kubectl-client-side-apply", "", apply=()),
}


@pytest.mark.parametrize("name", PIPELINES)
async def test_what_is_put_back_is_its_deployers(beside: Beside, name: str) -> None:
    """With `deploys: false`, the deployer applies again and finds nothing to do. Its next rollout meets no conflict,
    even where it does not force, and what it takes out of its manifests leaves the object."""
    how = PIPELINES[name]
    beside.restart(deploys=False)
    beside.deploy(how, deployment(), config_map(a="1", b="1"))
    assert (await beside.run()).report.in_sync
    beside.edit("configmap", {"data": {"a": "by-hand"}})
    beside.edit("deployment", {"spec": {"replicas": 3, "paused": None}, "metadata": {"labels": {"hand": "1"}}})
    result = await beside.run()
    assert result.report.in_sync
    assert "driftd" not in managers(beside.get("configmap")) | managers(beside.get("deployment"))

    versions = [beside.get(kind)["metadata"]["generation" if kind == "deployment" else "resourceVersion"]
                for kind in ("deployment", "configmap")]  # fmt: skip
    beside.deploy(how, deployment(), config_map(a="1", b="1"))
    again = [beside.get(kind)["metadata"]["generation" if kind == "deployment" else "resourceVersion"]
             for kind in ("deployment", "configmap")]  # fmt: skip
    assert again == versions, "the same manifests change nothing"

    texts = deployment("shop/web:2").replace("replicas: 1", "replicas: 2"), config_map(a="2")
    beside.deploy(how, *texts)
    await beside.commit(*texts)
    assert (await beside.run()).report.in_sync
    assert beside.get("configmap")["data"] == {"a": "2"}
    assert beside.writes == []


@pytest.mark.parametrize("name", PIPELINES)
async def test_what_is_created_again_is_its_deployers(beside: Beside, name: str) -> None:
    """An object that a hand deleted: the next rollout of its deployer meets no conflict."""
    how = PIPELINES[name]
    beside.restart(deploys=False)
    beside.deploy(how, deployment(), config_map(a="1", b="1"))
    assert (await beside.run()).report.in_sync
    beside.kubectl("delete", "configmap/web")
    result = await beside.run()
    assert result.action is not None
    assert [one.outcome for one in result.action.applied] == [Outcome.CREATED]
    assert managers(beside.get("configmap")) == {how.manager}
    beside.deploy(how, config_map(a="2", b="1"))
    await beside.commit(config_map(a="2", b="1"))
    assert (await beside.run()).report.in_sync
