"""With nothing configured, driftd is right about what Argo CD and Flux deploy: real manifests of eight projects."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.corpora.deployers import TIME, ArgoCd, Cluster, Flux, Renderer
from tests.corpora.hand_edits import HandEdit, edits, named
from tests.corpora.wrapped import EXAMPLES, FLUX_EXAMPLE, PROJECTS, definition, write_example, write_projects
from tests.support.certificates import Authority
from tests.support.controlplane import ControlPlane
from tests.support.corpora import definitions_folder
from tests.support.driftd_process import Driftd, WebhookReceiver, wait_until
from tests.support.gitserver import GitRepo, HttpsGitServer

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("DRIFTD_HAND_EDITS_SEED", "15"))
EDITS = 24

NEVER_SYNCED = {
    "blue-green", "helm-dependency", "jsonnet-guestbook", "jsonnet-guestbook-tla", "plugin-kasane",
    "plugin-kustomized-helm", "plugin-nix",
}  # fmt: skip
"""Of the examples of Argo CD: no Rollouts are installed here, other repositories are out of reach, and some folders are
not in the corpus."""

_PLAIN_EXAMPLES = ("guestbook", "kustomize-guestbook", "sock-shop")

_OF_ANOTHER_VERSION = "cert-manager"
"""The example of Flux has an issuer for a later version, so that the two do not go together."""

_OF_HELM = ("helmrelease/", "release/")

Document = Mapping[str, Any]


@dataclass
class Wrapped:
    """A cluster to which the corpora are deployed, and their repositories by name."""

    control_plane: ControlPlane
    repositories: Mapping[str, GitRepo]
    server: HttpsGitServer
    folder: Path
    assets: Path
    not_judged: dict[str, str] = field(default_factory=dict)
    """What of each app is said that cannot be judged, by the app's name."""

    def url(self, name: str) -> str:
        return self.server.url(f"{name}.git")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KUBECONFIG": str(self.control_plane.kubeconfig()),
            "GIT_SSL_CAINFO": str(self.server.ca_file),
            "PATH": f"{self.assets}:{os.environ.get('PATH', os.defpath)}",
        }

    def check(self) -> tuple[int, dict[str, Document], str]:
        """`driftd check` without an argument. Returns: the exit code, the apps by name, and what was said besides."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "driftd", "check", "-o", "json"], capture_output=True, text=True, check=False,
            cwd=home, env={**self.environment, "PYTHONPATH": str(ROOT), "HOME": str(home)},
        )  # fmt: skip
        assert done.stdout, done.stderr
        return done.returncode, {app["app"]: app for app in json.loads(done.stdout)["apps"]}, done.stderr

    def edit(self, edit: HandEdit) -> None:
        """What somebody does by hand."""
        if edit.editor is None:
            self.control_plane.kubectl(*edit.command)
            return
        subprocess.run(
            [self.assets / "kubectl", "--kubeconfig", self.control_plane.kubeconfig(), *edit.command], check=True,
            capture_output=True, env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "KUBE_EDITOR": edit.editor},
        )  # fmt: skip


def by_argo_cd(world: Wrapped) -> None:
    """In the ways in which Argo CD applies and tracks, as it is configured."""
    cluster, render = Cluster(world.control_plane), Renderer(world.assets)

    def argo_cd(namespace: str, *tracking: str, **more: Any) -> ArgoCd:
        return ArgoCd(cluster, render, namespace, tracking, **more)

    ways = {
        "kube-prometheus": argo_cd("argocd-a", "label", server_side=True),
        "istio": argo_cd("argocd-c", "label"),
        "knative": argo_cd("argocd-b", "annotation"),
        "pinniped": argo_cd("argocd-d", "annotation", server_side=True),
        "cert-manager": argo_cd("argocd-d", "annotation"),
        "gatekeeper": argo_cd("argocd-e", "annotation", "label", installation="blue"),
    }
    for namespace in sorted({way.namespace for way in ways.values()} | {"argocd"}):
        world.control_plane.kubectl("create", "namespace", namespace)
    manifests = world.repositories["manifests"]
    for project, way in ways.items():
        source = {"repoURL": world.url("manifests"), "path": project, "targetRevision": "main"}
        source["directory"] = {"recurse": True}
        application = _application(project, way.namespace, source, "default", server_side=way.server_side)
        way.create(application)
        way.sync(application, manifests.folder / project, manifests.head)
    _app_of_apps(world, argo_cd("argocd", "annotation"))


def _app_of_apps(world: Wrapped, way: ArgoCd) -> None:
    """The examples of Argo CD: one Application deploys the others."""
    examples, url = world.repositories[EXAMPLES], world.url(EXAMPLES)
    parameters = {"config.spec.source.repoURL": url, "config.spec.source.targetRevision": "main"}
    helm = {"parameters": [{"name": name, "value": value} for name, value in parameters.items()]}
    source = {"repoURL": url, "path": "apps", "targetRevision": "HEAD", "helm": helm}
    apps = _application("apps", way.namespace, source, "argocd")
    way.create(apps)
    options = [option for name, value in parameters.items() for option in ("--set", f"{name}={value}")]
    way.sync(apps, examples.folder / "apps", examples.head, *options)
    for child in way.render.chart(examples.folder / "apps", "apps", "argocd", *options):
        name = child["metadata"]["name"]
        if name.removeprefix("example.") in NEVER_SYNCED:
            world.not_judged[f"application/argocd/{name}"] = "Argo CD has not synced it yet"
            continue
        world.control_plane.kubectl("create", "namespace", child["spec"]["destination"]["namespace"])
        way.sync(child, examples.folder / child["spec"]["source"]["path"], examples.head)


def _application(name: str, namespace: str, source: Document, to: str, *, server_side: bool = False) -> dict[str, Any]:
    options = ["CreateNamespace=true", *(["ServerSideApply=true"] if server_side else [])]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": namespace, "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {
            "project": "default",
            "source": source,
            "destination": {"server": "https://kubernetes.default.svc", "namespace": to},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": False}, "syncOptions": options},
        },
    }


def by_flux(world: Wrapped) -> None:
    """Plain folders and Kustomize by Kustomizations, and the example of Flux as its own README has it."""
    world.control_plane.kubectl("create", "namespace", "flux-system")
    issuers = definition("cert-manager.io", "v1", "ClusterIssuer", "clusterissuers", cluster=True)
    world.control_plane.kubectl("create", "-f", "-", input=json.dumps(issuers))
    flux = Flux(Cluster(world.control_plane), Renderer(world.assets))
    manifests, examples = world.repositories["manifests"], world.repositories[EXAMPLES]
    folders = [
        *((project, manifests) for project in PROJECTS if project != _OF_ANOTHER_VERSION),
        *((name, examples) for name in _PLAIN_EXAMPLES),
    ]
    for name in ("manifests", EXAMPLES):
        flux.create(_git_repository(name, world.url(name)))
        flux.note(f"gitrepository/{name}", "flux-system", "source-controller", _artifact(world.repositories[name].head))
    for name, repository in folders:
        body = _kustomization(name, f"./{name}", "manifests" if repository is manifests else EXAMPLES)
        if name in _PLAIN_EXAMPLES:  # they name no namespace, without which Flux applies nothing
            body["spec"]["targetNamespace"] = name
            world.control_plane.kubectl("create", "namespace", name)
        flux.create(body)
        flux.reconcile(body, repository.folder / name, f"main@sha1:{repository.head}")
    _flux_example(world, flux)


def _flux_example(world: Wrapped, flux: Flux) -> None:
    repository = world.repositories[FLUX_EXAMPLE]
    origin = f"main@sha1:{repository.head}"
    flux.create(_git_repository("flux-system", world.url(FLUX_EXAMPLE)))
    flux.note("gitrepository/flux-system", "flux-system", "source-controller", _artifact(repository.head))
    body = _kustomization("flux-system", "./clusters/production", "flux-system")
    flux.create(body)
    declared = flux.reconcile(body, repository.folder / "clusters/production", origin)
    revision = "latest@sha256:" + "e" * 64
    for name in ("apps", "infrastructure"):
        artifact = {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "ExternalArtifact",
            "metadata": {"name": name, "namespace": "flux-system"},
            "spec": {"sourceRef": {"apiVersion": "source.extensions.fluxcd.io/v1beta1", "kind": "ArtifactGenerator",
                                   "name": "flux-system", "namespace": "flux-system"}},
        }  # fmt: skip
        flux.cluster.apply([artifact], "--server-side", "--field-manager=source-watcher")
    folders = {"apps": "apps/production", "infra-controllers": "infrastructure/controllers",
               "infra-configs": "infrastructure/configs"}  # fmt: skip
    bodies = {each["metadata"]["name"]: each for each in declared if each["kind"] == "Kustomization"}
    for name in ("infra-controllers", "infra-configs", "apps"):
        folder = repository.folder / folders[name]
        applied = flux.reconcile(bodies[name], folder, revision, origin)
        for release in [each for each in applied if each["kind"] == "HelmRelease"]:
            _install(world, flux, release)


def _install(world: Wrapped, flux: Flux, release: Document) -> None:
    """What helm-controller does, with another chart: those of the example are out of reach."""
    name, namespace = (
        release["spec"].get("releaseName") or release["metadata"]["name"],
        release["metadata"]["namespace"],
    )
    program = world.folder / "helm-controller"
    if not program.exists():
        shutil.copy(world.assets / "helm", program)  # Helm's field manager is the name of its program
    chart = world.repositories[EXAMPLES].folder / "helm-guestbook"
    subprocess.run(
        [program, "install", name, chart, "--kubeconfig", world.control_plane.kubeconfig(), "-n", namespace],
        check=True, capture_output=True,
    )  # fmt: skip
    installed = {
        "name": name, "namespace": namespace, "version": 1, "status": "deployed", "chartName": "helm-guestbook",
        "chartVersion": "0.1.0", "configDigest": "sha256:0", "digest": "sha256:0", "firstDeployed": TIME,
        "lastDeployed": TIME,
    }  # fmt: skip
    status = {"observedGeneration": 1, "storageNamespace": namespace, "history": [installed]}
    flux.note(f"helmrelease/{release['metadata']['name']}", namespace, "helm-controller", status)


def _git_repository(name: str, url: str) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {"url": url, "interval": "1m", "ref": {"branch": "main"}},
    }


def _artifact(commit: str) -> dict[str, Any]:
    return {
        "observedGeneration": 1,
        "artifact": {"revision": f"main@sha1:{commit}", "digest": f"sha256:{'0' * 64}", "lastUpdateTime": TIME,
                     "path": "gitrepository/x", "url": "http://source-controller.flux-system.svc/x", "size": 1},
    }  # fmt: skip


def _kustomization(name: str, path: str, source: str) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {
            "path": path, "interval": "10m", "prune": True, "wait": False, "timeout": "2m",
            "sourceRef": {"kind": "GitRepository", "name": source},
        },
    }  # fmt: skip


DEPLOYERS = {"Argo CD": by_argo_cd, "Flux": by_flux}


@pytest.fixture(scope="module", params=DEPLOYERS)
def wrapped(
    request: pytest.FixtureRequest, assets: Path, corpora: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Wrapped]:
    """The corpora, deployed by Argo CD or by Flux."""
    folder = tmp_path_factory.mktemp("wrapped")
    served = folder / "served"
    repositories = {name: GitRepo(served / f"{name}.git") for name in ("manifests", EXAMPLES, FLUX_EXAMPLE)}
    write_projects(corpora, repositories["manifests"].folder)
    for name in (EXAMPLES, FLUX_EXAMPLE):
        write_example(corpora, name, repositories[name].folder)
    for repository in repositories.values():
        repository.commit("Declare it")
    (folder / "authority").mkdir()
    authority = Authority(folder / "authority")
    with HttpsGitServer(served, authority) as server, ControlPlane(assets) as control_plane:
        _install_kinds(control_plane, corpora)
        world = Wrapped(control_plane, repositories, server, folder, assets)
        DEPLOYERS[request.param](world)
        yield world


def _install_kinds(control_plane: ControlPlane, corpora: Path) -> None:
    """The kinds of Argo CD and Flux, and some that the example of Flux has objects of."""
    for deployer in ("argo-cd", "flux"):
        control_plane.kubectl("create", "-f", definitions_folder(corpora) / deployer)
    others = [
        definition("source.extensions.fluxcd.io", "v1beta1", "ArtifactGenerator", "artifactgenerators"),
        definition("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
        definition("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", cluster=True),
    ]
    control_plane.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": others}))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")


def _name(resource: Document) -> str:
    return "/".join(part for part in (resource["kind"], resource["namespace"], resource["name"]) if part)


def _verdicts(apps: Mapping[str, Document], *statuses: str) -> dict[str, Document]:
    """The objects of some status, by name."""
    return {_name(each): each for app in apps.values() for each in app["resources"] if each["status"] in statuses}


def _wrong(world: Wrapped, apps: Mapping[str, Document]) -> dict[str, Any]:
    """Everything that is said to differ, to be missing or to be unknown, for the message of a failure."""
    errors = {name: app.get("error") for name, app in apps.items() if app.get("error") and name not in world.not_judged}
    found = _verdicts(apps, "drifted", "missing", "unknown", "ignored", "orphaned")
    return errors | {f"{name} is {each['status']}": each["fields"] or each.get("error") for name, each in found.items()}


def test_what_nobody_has_touched_is_in_sync(wrapped: Wrapped) -> None:
    """No drift, nothing missing, nothing unknown; what was never deployed is said by name."""
    code, apps, said = wrapped.check()
    assert _wrong(wrapped, apps) == {}, said
    errors = {name: app.get("error") for name, app in apps.items() if app.get("error")}
    assert errors == wrapped.not_judged
    assert code == (2 if wrapped.not_judged else 0)
    assert sum(app["counts"]["in_sync"] for app in apps.values()) > 350


def test_what_was_committed_and_not_deployed_is_no_drift(wrapped: Wrapped) -> None:
    """Each deployer says what it has applied."""
    for repository in wrapped.repositories.values():
        for file in list(repository.folder.rglob("*.yaml"))[::7]:
            file.write_text(file.read_text().replace("name: ", "name: not-deployed-"))
        repository.commit("Rename a seventh of it")
    _, apps, said = wrapped.check()
    assert _wrong(wrapped, apps) == {}, said


def test_hand_edits_are_found_and_named_and_nothing_else_is(wrapped: Wrapped) -> None:
    """By `driftd check`, and by a daemon that has started before them."""
    _, apps, _ = wrapped.check()
    judged = _verdicts(apps, "in_sync")
    chosen = edits(_live(wrapped, judged.values()), SEED, EDITS)
    expected = {edit.resource: edit.manager for edit in chosen}
    with WebhookReceiver() as hooks:
        webhook = {"name": "hooks", "url": hooks.url, "secretFile": str(wrapped.folder / "driftd/webhook-secret")}
        config = {"discover": ["argo", "flux"], "notify": {"webhooks": [webhook]}}
        with Driftd(wrapped.folder / "driftd", config, **wrapped.environment) as driftd:
            driftd.start()
            wait_until(lambda: _all_judged(driftd, wrapped, apps), "the first look at everything", 90)
            assert hooks.bodies == [], "nothing has been touched"
            for edit in chosen:
                wrapped.edit(edit)
            wait_until(lambda: _told(hooks) == _of_git(apps, expected), "messages about the edits", 90)
            driftd.stop()
    code, apps, said = wrapped.check()
    found = _verdicts(apps, "drifted", "missing")
    assert {name: _hand(each) for name, each in found.items()} == expected, said
    assert _verdicts(apps, "unknown", "ignored", "orphaned") == {}
    assert code == (2 if wrapped.not_judged else 1)


def _live(world: Wrapped, resources: Collection[Document]) -> list[Document]:
    """The objects that were judged, as they are live."""
    kinds = set()
    for each in resources:
        group, _, version = each["api_version"].rpartition("/")
        kinds.add(f"{each['kind']}.{version}.{group}" if group else each["kind"])
    found = world.control_plane.kubectl("get", ",".join(sorted(kinds)), "-A", "-o", "json").stdout
    wanted = {_name(each) for each in resources}
    return [body for body in json.loads(found)["items"] if named(body) in wanted]


def _hand(resource: Document) -> str | None:
    """Whose edit is told, None for a missing object. Raises: ValueError: several hands, or none, are told."""
    if resource["status"] == "missing":
        return None
    (manager,) = {(each["by"] or {}).get("manager") for each in resource["fields"]}
    return str(manager)


def _of_git(apps: Mapping[str, Document], edited: Mapping[str, str | None]) -> dict[str, str | None]:
    """The edits of what comes from Git: the daemon does not follow what Helm has installed."""
    known = _verdicts({name: app for name, app in apps.items() if not name.startswith(_OF_HELM)}, "in_sync")
    return {name: manager for name, manager in edited.items() if name in known}


def _all_judged(driftd: Driftd, world: Wrapped, apps: Mapping[str, Document]) -> bool:
    done = driftd.command("status", "-o", "json")
    known = {app["app"]: app for app in json.loads(done.stdout)["apps"]} if done.stdout else {}
    from_git = {name for name in apps if not name.startswith(_OF_HELM) and name not in world.not_judged}
    return all((known.get(name) or {}).get("counts") for name in from_git)


def _told(hooks: WebhookReceiver) -> dict[str, str | None]:
    """The objects that the messages are about, and whose edits they tell of."""
    assert {body["type"] for body in hooks.bodies} <= {"drift"}, hooks.bodies
    told = {}
    for body in hooks.bodies:
        for each in body["resources"]:
            name = _name(each)
            told[name] = _hand(each)
    return told
