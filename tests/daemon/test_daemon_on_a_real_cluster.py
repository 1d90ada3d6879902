"""The daemon, as a process, against a real API server: its notifications, commands and endpoints."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.driftd_process import Driftd, WebhookReceiver, app_config, wait_until
from tests.support.gitserver import GitRepo
from tests.support.kubelet import Kubelet

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  progressDeadlineSeconds: 60
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: IMAGE
          env:
            - name: LOG_LEVEL
              value: info
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  currency: EUR\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: web\nstringData:\n  password: CANARY-in-git\n"
IMAGE_LINE = DEPLOYMENT.splitlines().index("          image: IMAGE") + 1


@dataclass
class World:
    """A repository, a namespace and a webhook's receiver, with a daemon between them."""

    cluster: ControlPlane
    namespace: str
    repository: GitRepo
    hooks: WebhookReceiver
    driftd: Driftd
    config: Callable[..., dict[str, Any]]

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments).stdout

    def deployed_image(self) -> str:
        return self.kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")

    def commit(self, image: str, subject: str) -> str:
        return self.repository.write({"app/deployment.yaml": DEPLOYMENT.replace("IMAGE", image)}).commit(subject)

    def history(self) -> list[str]:
        entries = json.loads(self.driftd.command("history", "web", "-o", "json").stdout)["history"]
        return [entry["detail"] for entry in entries]

    def reaches(self, words: str, within: float = 40) -> None:
        wait_until(lambda: any(words in line for line in self.history()), f"{words!r} in the history", within)


@pytest.fixture
def world(control_plane: ControlPlane, kubelet: Kubelet, namespace: str, tmp_path: Path) -> Iterator[World]:
    repository = GitRepo(tmp_path / "repository")
    repository.write({
        "app/deployment.yaml": DEPLOYMENT.replace("IMAGE", "shop/web:1"), "app/config.yaml": CONFIG,
        "app/secret.yaml": SECRET,
    }).commit("Deploy web")  # fmt: skip
    folder = tmp_path / "driftd"
    with WebhookReceiver() as hooks:

        def config(**app: Any) -> dict[str, Any]:
            return app_config(
                repository=repository.url, kubeconfig=control_plane.kubeconfig(), namespace=namespace, webhook=hooks,
                folder=folder, **{"settle": "1s", "deadline": "6s", **app},
            )  # fmt: skip

        with Driftd(folder, config()) as driftd:
            yield World(control_plane, namespace, repository, hooks, driftd, config)
        assert hooks.forged == []


def test_an_observed_app_is_reported_with_manager_and_line_and_never_written_to(world: World) -> None:
    """Missing at first; resolved after a deployment; a manual edit is one notification with its manager and line."""
    world.driftd.start()
    missing = wait_until(lambda: world.hooks.events("drift", "opened"), "the first message")[0]
    assert {r["status"] for r in missing["resources"]} == {"missing"}
    world.kubectl("apply", "--server-side", "-f", str(world.repository.folder / "app"))
    wait_until(lambda: world.hooks.events("drift", "resolved"), "the end of the first incident")

    world.kubectl("set", "image", "deployment/web", "web=shop/web:hotfix")
    world.kubectl("patch", "secret", "web", "-p", '{"stringData":{"password":"CANARY-by-hand"}}')
    wait_until(lambda: len(world.hooks.events("drift", "opened")) == 2, "the message about the edit")
    changed = wait_until(
        lambda: [b for b in world.hooks.events("drift") if len(b["resources"]) == 2], "both edits in a message"
    )[-1]
    fields = {f["path"]: f for r in changed["resources"] for f in r["fields"]}
    image = fields["spec.template.spec.containers[name=web].image"]
    assert (image["desired"], image["live"]) == ("shop/web:1", "shop/web:hotfix")
    assert image["by"]["manager"] == "kubectl-set"
    assert (image["git"]["file"], image["git"]["line"]) == ("app/deployment.yaml", IMAGE_LINE)
    assert image["git"]["subject"] == "Deploy web"
    assert fields["data.password"]["live"].startswith("<redacted:")

    world.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(world.repository.folder / "app"))
    resolved = wait_until(lambda: world.hooks.events("drift", "resolved")[1:], "the end of the second incident")[0]
    assert resolved["incident"] == changed["incident"]
    assert resolved["resolution"] == "reverted"
    assert "driftd" not in world.kubectl("get", "all,cm,secret", "-o", "yaml", "--show-managed-fields")
    assert "CANARY" not in world.driftd.log.read_text() + json.dumps(world.hooks.bodies)


def test_in_heal_mode_an_app_is_deployed_and_every_change_is_healed(world: World) -> None:
    """Changed, removed and added fields, and a deleted object: all as in Git again, and each notified once."""
    world.driftd.configure(world.config(mode="heal"))
    world.driftd.start()
    world.reaches("good")
    assert world.deployed_image() == "shop/web:1"
    assert world.hooks.events("drift") == [], "what a commit brings is not drift"

    world.kubectl("set", "image", "deployment/web", "web=shop/web:hotfix")
    wait_until(lambda: world.hooks.events("drift", "resolved"), "the repair of the image")
    assert world.deployed_image() == "shop/web:1"

    world.kubectl("set", "env", "deployment/web", "LOG_LEVEL-", "EXTRA=1")
    world.kubectl("label", "configmap", "web", "oops=1")
    world.kubectl("delete", "secret", "web")
    wait_until(
        lambda: "EXTRA" not in world.kubectl("get", "deployment", "web", "-o", "yaml"), "the extra variable's end"
    )
    wait_until(lambda: "LOG_LEVEL" in world.kubectl("get", "deployment", "web", "-o", "yaml"), "the removed variable")
    wait_until(lambda: "oops" not in world.kubectl("get", "cm", "web", "-o", "yaml"), "the label's end")
    wait_until(lambda: "secret/web" in world.kubectl("get", "secret", "-o", "name"), "the deleted Secret")
    wait_until(
        lambda: len(world.hooks.events("drift", "opened")) == len(world.hooks.events("drift", "resolved")),
        "the end of every incident",
    )
    assert {b["resolution"] for b in world.hooks.events("drift", "resolved")} == {"healed"}


def test_a_debug_container_in_a_running_pod_is_drift_of_its_workload(world: World) -> None:
    """The Deployment itself is in sync: only its pod has a container that the template lacks."""
    world.driftd.configure(world.config(mode="heal"))
    world.driftd.start()
    world.reaches("good")
    pod = world.kubectl("get", "pods", "-l", "app=web", "-o", "name").strip()
    world.kubectl("debug", pod, "--image=busybox", "--container=peek", "--", "sleep", "60")
    opened = wait_until(lambda: world.hooks.events("drift", "opened"), "the message about the pod")[0]
    ((field,),) = [resource["fields"] for resource in opened["resources"]]
    assert field["path"] == f"pods[name={pod.removeprefix('pod/')}].spec.ephemeralContainers[name=peek]"
    assert (field["by"]["manager"], field["by"]["subresource"]) == ("kubectl", "ephemeralcontainers")
    world.kubectl("delete", pod, "--wait=false")
    wait_until(lambda: world.hooks.events("drift", "resolved"), "the end of it, with the pod")


def test_a_manual_change_that_prevents_a_merge_is_drift_for_the_server_engine_too(world: World) -> None:
    """A volume of another kind: the API server refuses to merge the manifest into it, which is drift."""
    volume = "      volumes:\n        - name: work\n          emptyDir: {}\n"
    text = DEPLOYMENT.replace("IMAGE", "shop/web:1") + volume
    world.repository.write({"app/deployment.yaml": text}).commit("Give it a folder")
    world.kubectl("apply", "--server-side", "-f", str(world.repository.folder / "app"))
    by_hand = (
        '[{"op":"replace","path":"/spec/template/spec/volumes/0","value":{"name":"work","configMap":{"name":"web"}}}]'
    )
    world.kubectl("patch", "deployment", "web", "--type=json", "-p", by_hand)
    arguments = ("check", "--repo", world.repository.url, "--path", "app", "-n", world.namespace)
    kubeconfig = ("--kubeconfig", str(world.cluster.kubeconfig()))
    for engine in ("client", "server"):
        answer = world.driftd.run(*arguments, *kubeconfig, "--engine", engine, "-o", "json")
        assert answer.returncode == 1, answer.stdout + answer.stderr
        fields = [f for r in json.loads(answer.stdout)["apps"][0]["resources"] for f in r["fields"]]
        assert any("volumes[name=work]" in field["path"] for field in fields)


def test_a_bad_commit_is_rolled_back_and_held_until_git_moves_on(world: World) -> None:
    """Its pods never become ready; the last good revision is applied, and held until the next commit."""
    world.driftd.configure(world.config(mode="heal", rollback="auto"))
    world.driftd.start()
    world.reaches("good")
    bad = world.commit("shop/web:2-broken", "Update to 2")
    opened = wait_until(lambda: world.hooks.events("rollback", "opened"), "the rollback")[0]
    assert opened["revision"] == bad
    assert "not healthy within 6s" in opened["message"]
    assert world.deployed_image() == "shop/web:1"
    status = json.loads(world.driftd.command("status", "-o", "json").stdout)["apps"][0]
    assert status["held"]["bad_revision"] == bad

    world.repository.write({"README": "of no consequence"}).commit("Touch something else")
    world.kubectl("set", "image", "deployment/web", "web=shop/web:hand")
    wait_until(lambda: world.deployed_image() == "shop/web:1", "the hold to be kept")

    world.commit("shop/web:3", "Update to 3")
    wait_until(lambda: world.deployed_image() == "shop/web:3", "the next revision")
    wait_until(lambda: world.hooks.events("rollback", "resolved"), "the end of the hold")
    world.driftd.stop()


def test_people_sync_and_roll_back_an_approved_app_by_command(world: World) -> None:
    """In approve mode nothing is applied without a command; sync applies, rollback holds, both are in the history."""
    world.driftd.configure(world.config(mode="approve"))
    world.driftd.start()
    wait_until(lambda: world.hooks.events("drift", "opened"), "the report")
    synced = world.driftd.command("sync", "web")
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert "created" in synced.stdout
    world.reaches("good")
    first = world.repository.head

    second = world.commit("shop/web:2", "Update to 2")
    wait_until(lambda: len(world.hooks.events("drift", "opened")) == 2, "the report of the commit")
    assert world.deployed_image() == "shop/web:1"
    assert world.driftd.command("sync", "web").returncode == 0
    assert world.deployed_image() == "shop/web:2"

    back = world.driftd.command("rollback", "web", "--to", first[:10])
    assert back.returncode == 0, back.stdout + back.stderr
    assert world.deployed_image() == "shop/web:1"
    assert json.loads(world.driftd.command("status", "-o", "json").stdout)["apps"][0]["held"]["bad_revision"] == second
    lines = "\n".join(world.history())
    assert "sync to" in lines
    assert "rollback to" in lines

    released = world.driftd.command("sync", "web", "--release")
    assert released.returncode == 0, released.stdout + released.stderr
    assert world.deployed_image() == "shop/web:2"


def test_a_wrong_command_is_refused_with_the_reason(world: World) -> None:
    """No traceback: the error, and what to do."""
    refused = world.driftd.command("sync", "web")
    assert refused.returncode == 2
    assert "mode observe" in refused.stderr
    unknown = world.driftd.command("sync", "shop")
    assert unknown.returncode == 2
    assert "there is no app 'shop'" in unknown.stderr
    world.driftd.configure(world.config(mode="approve"))
    nowhere = world.driftd.command("rollback", "web")
    assert nowhere.returncode == 2
    assert "no good revision" in nowhere.stderr
    for answer in (refused, unknown, nowhere):
        assert "Traceback" not in answer.stderr


def test_the_daemon_serves_its_health_and_metrics_and_stops_gracefully(world: World) -> None:
    """Ready after the first pass over its app; ends within ten seconds with exit code 0."""
    world.driftd.start()
    wait_until(lambda: _ready(world.driftd.url), "readiness")
    assert _get(f"{world.driftd.url}/healthz")[0] == 200
    metrics = _get(f"{world.driftd.url}/metrics")[1]
    assert 'driftd_objects{app="web",cluster="test",status="missing"} 3.0' in metrics
    wait_until(
        lambda: (
            'driftd_notifications_total{channel="test",result="success"} 1.0' in _get(f"{world.driftd.url}/metrics")[1]
        ),
        "the count of the one message",
    )
    assert world.driftd.stop() < 10


def test_a_changed_configuration_is_loaded_and_an_invalid_one_refused(world: World) -> None:
    """The old one stays in use until there is a valid one."""
    world.driftd.start()
    wait_until(lambda: world.hooks.events("drift", "opened"), "the report")
    world.driftd.configure(world.config(mode="haal"))
    world.driftd.hang_up()
    refused = wait_until(lambda: world.driftd.lines("new configuration refused, the old one stays"), "the refusal")
    assert "apps[0].mode" in json.dumps(refused)
    world.driftd.configure(world.config(mode="heal"))
    world.driftd.hang_up()
    wait_until(lambda: world.hooks.events("drift", "resolved"), "the repair")
    assert world.deployed_image() == "shop/web:1"


def test_a_queued_notification_survives_a_crash_and_is_delivered_once(world: World) -> None:
    """The receiver is down, the daemon is killed; after the restart the message arrives with the same id."""
    world.hooks.refusing = True
    world.driftd.start()
    wait_until(lambda: world.driftd.lines("delivery failed"), "the first try")
    first = world.driftd.lines("delivery failed")[0]["notification"]
    world.driftd.kill()
    world.hooks.refusing = False
    world.driftd.start()
    wait_until(lambda: world.hooks.events("drift", "opened"), "the message", within=90)
    assert [b["id"] for b in world.hooks.events("drift")] == [first]


def _ready(url: str) -> bool:
    return _get(f"{url}/readyz")[0] == 200


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
