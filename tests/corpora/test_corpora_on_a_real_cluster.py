"""`driftd check` gives correct verdicts on real manifests, whichever way they were applied to a real cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.corpora.corpus_edits import BY_HAND, Edit, edits_of
from tests.support.controlplane import ControlPlane
from tests.support.corpora import commit, corpus, layers
from tests.support.driftd_process import Driftd

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]

WAYS = {
    "server-side apply": ("apply", "--server-side"),
    "apply": ("apply",),
    "create": ("create",),
}

REFUSED_ALWAYS = {
    "kube-prometheus": set[str](),
    "kapp-examples": {
        "CustomResourceDefinition/k8srequiredlabels.constraints.gatekeeper.sh",  # a fragment, which is not valid
        "HorizontalPodAutoscaler/knative-serving/webhook",
        "K8sRequiredLabels/pod-must-have-gk",  # of the fragment's kind
    },
}
REFUSED_BY_APPLY = {  # too large for kubectl's last-applied annotation, so that their kinds are missing too
    "CustomResourceDefinition/alertmanagers.monitoring.coreos.com",
    "CustomResourceDefinition/prometheusagents.monitoring.coreos.com",
    "CustomResourceDefinition/prometheuses.monitoring.coreos.com",
    "CustomResourceDefinition/scrapeconfigs.monitoring.coreos.com",
    "CustomResourceDefinition/thanosrulers.monitoring.coreos.com",
    "Alertmanager/monitoring/main",
    "Prometheus/monitoring/k8s",
}


@dataclass(frozen=True, slots=True)
class DeployedCorpus:
    """A corpus on a separate cluster. `main` declares the accepted objects, `everything` also the refused ones."""

    name: str
    way: tuple[str, ...]
    cluster: ControlPlane
    repository: Path
    everything: str
    refused: set[str]

    def check(self, *options: str, kubeconfig: Path | None = None) -> tuple[int, dict[str, Any], str]:
        """Returns: exit code, the app's part of the document, and the whole output."""
        config = kubeconfig or self.cluster.kubeconfig()
        command = ["check", "--repo", str(self.repository), "--kubeconfig", str(config), "-o", "json", *options]
        home = self.cluster.folder / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "driftd", *command],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home)},
        )
        try:
            document = json.loads(done.stdout)
        except ValueError:
            pytest.fail(f"driftd check ended with {done.returncode} and printed no JSON:\n{done.stdout}{done.stderr}")
        assert document["version"] == 1
        (app,) = document["apps"]
        assert app["in_sync"] == (done.returncode == 0)
        assert sum(app["counts"].values()) == len(app["resources"])
        return done.returncode, app, done.stdout + done.stderr

    def sync(self) -> str:
        """Puts back what differs, as `heal` does. Returns: what was printed."""
        config = {
            "clusters": [{"name": "test", "kubeconfig": str(self.cluster.kubeconfig())}],
            "sources": [{"name": "corpus", "url": str(self.repository), "ref": {"branch": "main"}}],
            "apps": [{
                "name": "corpus", "source": "corpus", "namespace": "default", "mode": "approve",
                "namespaces": ["*"], "kinds": ["*"],
            }],
        }  # fmt: skip
        synced = Driftd(self.cluster.folder / "sync", config).command("sync", "corpus")
        assert synced.returncode in (0, 1), synced.stdout + synced.stderr
        return synced.stdout

    def live(self, resource: str) -> dict[str, Any]:
        """An object without what every write of it, or its controllers, change."""
        file = self.file_of(resource)
        body: dict[str, Any] = json.loads(self.cluster.kubectl("get", "-f", file, "-o", "json").stdout)
        body.pop("status", None)
        for key in ("resourceVersion", "generation", "managedFields"):
            body["metadata"].pop(key, None)
        body["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
        return body

    def file_of(self, resource: str) -> Path:
        """The file that declares this object: its folder is the kind, its name `NAMESPACE--NAME-NUMBER.yaml`."""
        kind, *namespace, name = resource.split("/")
        pattern = f"*-{kind.lower()}/{namespace[0] if namespace else '_'}--{name}-*.yaml"
        (file,) = (f for f in self.repository.glob(pattern) if f.stem.rpartition("-")[0].endswith(f"--{name}"))
        return file

    @contextmanager
    def restoring(self, resources: set[str]) -> Iterator[None]:
        """Redeploys these objects at the end of the context."""
        files = [str(self.file_of(resource)) for resource in sorted(resources)]
        try:
            yield
        finally:
            for file in files:
                self.cluster.kubectl("delete", "--ignore-not-found", "-f", file)
                self.cluster.kubectl(*self.way, "-f", file)


def named(resource: dict[str, Any]) -> str:
    parts = (resource["kind"], resource["namespace"], resource["name"])
    return "/".join(part for part in parts if part)


def with_status(app: dict[str, Any], *statuses: str) -> set[str]:
    return {named(resource) for resource in app["resources"] if resource["status"] in statuses}


def not_in_sync(app: dict[str, Any]) -> dict[str, Any]:
    """Objects that are not in sync, for the failure message."""
    return {
        f"{named(resource)} is {resource['status']}": resource["fields"] or resource["error"]
        for resource in app["resources"]
        if resource["status"] != "in_sync"
    }


@pytest.fixture(
    scope="module",
    params=[(name, way) for name in REFUSED_ALWAYS for way in WAYS],
    ids=lambda param: f"{param[0]} by {param[1]}",
)
def deployed(
    request: pytest.FixtureRequest, assets: Path, corpora: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DeployedCorpus]:
    """Each corpus, deployed in each of three ways."""
    name, way = request.param
    repository = corpus(corpora / name, tmp_path_factory.mktemp("corpus") / name)
    refused = REFUSED_ALWAYS[name] | (REFUSED_BY_APPLY if (name, way) == ("kube-prometheus", "apply") else set())
    with ControlPlane(assets) as cluster:
        for layer in layers(repository):
            files = [argument for folder in layer for argument in ("-f", str(folder))]
            cluster.kubectl(*WAYS[way], *files, check=False)
            if layer[0].name.endswith("-customresourcedefinition"):
                cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        everything = commit(repository, "Declare everything")
        corpus_on_cluster = DeployedCorpus(name, WAYS[way], cluster, repository, everything, refused)
        for resource in refused:
            corpus_on_cluster.file_of(resource).unlink()
        commit(repository, "Declare only what a cluster takes")
        yield corpus_on_cluster


@pytest.mark.parametrize("engine", ["client", "server"])
def test_applied_objects_are_in_sync(deployed: DeployedCorpus, engine: str) -> None:
    """No false drift in hundreds of objects, and exit code 0."""
    code, app, printed = deployed.check("--engine", engine)
    assert not_in_sync(app) == {}
    assert code == 0, printed
    assert app["counts"]["in_sync"] == len(list(deployed.repository.glob("*/*.yaml")))


def test_refused_objects_are_missing(deployed: DeployedCorpus) -> None:
    """Exactly the objects that the API server refused are missing, and all others are in sync."""
    code, app, _ = deployed.check("--revision", deployed.everything)
    assert with_status(app, "missing") == deployed.refused
    assert with_status(app, "unknown", "drifted", "orphaned", "ignored") == set()
    assert code == (1 if deployed.refused else 0)


def test_deleted_objects_are_missing(deployed: DeployedCorpus) -> None:
    """A workload, a configuration and a cluster role."""
    resources = {edit.resource for edit in edits_of(deployed.name)[:4]} | {cluster_role(deployed)}
    with deployed.restoring(resources):
        for resource in resources:
            deployed.cluster.kubectl("delete", "-f", deployed.file_of(resource))
        code, app, _ = deployed.check()
        assert with_status(app, "missing") == resources
        assert with_status(app, "drifted", "unknown", "orphaned", "ignored") == set()
        assert code == 1
    assert deployed.check()[0] == 0


def cluster_role(deployed: DeployedCorpus) -> str:
    file = min((deployed.repository / "5-clusterrole").iterdir())
    return f"ClusterRole/{file.stem.removeprefix('_--').rpartition('-')[0]}"


@pytest.mark.parametrize("engine", ["client", "server"])
def test_manual_edits_are_reported_with_field_and_manager(deployed: DeployedCorpus, engine: str) -> None:
    """Every edited field is reported with its manager, nothing else is, and a Secret's new value is never shown."""
    edits = edits_of(deployed.name)
    with deployed.restoring({edit.resource for edit in edits}):
        for edit in edits:
            deployed.cluster.kubectl(*edit.command)
        code, app, _ = deployed.check("--engine", engine)
        assert code == 1
        assert with_status(app, "missing", "unknown", "orphaned", "ignored") == set()
        reported = {
            (named(resource), field["path"]): field for resource in app["resources"] for field in resource["fields"]
        }
        assert set(reported) == {(edit.resource, edit.path) for edit in edits}
        for edit in edits:
            matches(reported[edit.resource, edit.path], edit)
        if any(edit.resource.startswith("Secret/") and edit.path.startswith("data") for edit in edits):
            secret = next(r for r in app["resources"] if r["kind"] == "Secret" and r["status"] == "drifted")
            assert BY_HAND not in json.dumps(secret)


def test_a_heal_restores_exactly_the_edits(deployed: DeployedCorpus) -> None:
    """Of an untouched corpus nothing is written; after the edits, exactly the edited objects, which are as before."""
    edits = edits_of(deployed.name)
    resources = {edit.resource for edit in edits}
    assert written(deployed.sync()) == set()
    before = {resource: deployed.live(resource) for resource in resources}
    with deployed.restoring(resources):
        for edit in edits:
            deployed.cluster.kubectl(*edit.command)
        assert written(deployed.sync()) == resources
        assert {resource: deployed.live(resource) for resource in resources} == before
        assert deployed.check()[0] == 0


def written(printed: str) -> set[str]:
    """The objects that `driftd sync` says it has written."""
    lines = (line.split() for line in printed.splitlines())
    refs = [words[-1].partition("/") for words in lines if words and words[0] in ("created", "configured")]
    return {f"{kind.partition('.')[0]}/{name}" for kind, _, name in refs}


def matches(field: dict[str, Any], edit: Edit) -> None:
    assert field["change"] == edit.change
    if edit.manager is not None:
        assert field["by"]["manager"] == edit.manager, field
    if edit.desired is not None:
        assert field["desired"] == edit.desired
    if edit.live is not None:
        assert field["live"] == edit.live
    if edit.resource.startswith("Secret/") and edit.path.startswith("data"):
        assert field["desired"].startswith("<redacted:")
        assert field["live"].startswith("<redacted:")
        assert field["desired"] != field["live"]


def test_unreadable_objects_are_unknown_and_never_in_sync(deployed: DeployedCorpus) -> None:
    """Without permission for Secrets, exactly the Secrets are unknown; exit code 2 takes precedence over 1."""
    config = deployed.cluster.kubeconfig_for("nosy", ("readers-of-all-but-secrets",))
    listable = deployed.cluster.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    kinds = ",".join(kind for kind in listable if kind != "secrets")
    verbs = "--verb=get,list,watch"
    deployed.cluster.kubectl("create", "clusterrole", "all-but-secrets", verbs, f"--resource={kinds}")
    bind = ("--clusterrole=all-but-secrets", "--group=readers-of-all-but-secrets")
    deployed.cluster.kubectl("create", "clusterrolebinding", "all-but-secrets", *bind)
    deleted = next(edit.resource for edit in edits_of(deployed.name) if edit.resource.startswith("ConfigMap/"))
    try:
        with deployed.restoring({deleted}):
            deployed.cluster.kubectl("delete", "-f", deployed.file_of(deleted))
            code, app, _ = deployed.check(kubeconfig=config)
    finally:
        deployed.cluster.kubectl("delete", "clusterrole,clusterrolebinding", "all-but-secrets")
    secrets = {named(resource) for resource in app["resources"] if resource["kind"] == "Secret"}
    assert secrets
    assert with_status(app, "unknown") == secrets
    assert all("orbidden" in r["error"] or "may not" in r["error"] for r in app["resources"] if r["error"])
    assert with_status(app, "missing") == {deleted}
    assert with_status(app, "drifted", "orphaned", "ignored") == set()
    assert code == 2
