"""A long run with everything going on at once: nothing missed, nothing doubled, nothing harmed.

45 seconds by default; `DRIFTD_SOAK_SECONDS=1800` makes it half an hour. `DRIFTD_SOAK_SEED` repeats a run's choices: the
seed is in the text of its failure.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.test_daemon_on_a_real_cluster import CONFIG, DEPLOYMENT
from tests.support import movable_clock
from tests.support.controlplane import ControlPlane
from tests.support.driftd_process import Driftd, WebhookReceiver, app_config, wait_until
from tests.support.gitserver import GitRepo
from tests.support.kubelet import Kubelet

SECONDS = float(os.environ.get("DRIFTD_SOAK_SECONDS", "45"))
SEED = int(os.environ.get("DRIFTD_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
NAMESPACE = "shop"
FULL_DISK = 60.0 if SECONDS >= 600 else 6.0
"""Seconds for which the disk is full."""

CLOCKS = (-400 * 86400, -3600, -90, 90, 3600, 400 * 86400)
"""Seconds by which the clock on the wall is set."""

AUTOSCALER = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {minReplicas: 1, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
"""


class Soak:
    """One run. Each edit and each commit writes a value of its own, by which it is found in what was told."""

    def __init__(self, cluster: ControlPlane, repository: GitRepo, driftd: Driftd, hooks: WebhookReceiver) -> None:
        self.cluster = cluster
        self.repository = repository
        self.driftd = driftd
        self.hooks = hooks
        self.edits: list[str] = []
        self.deletions = 0
        self.commits: list[str] = []
        self.replicas = 1
        self.log: list[str] = []
        self._image = "shop/web:0"
        self._chance = random.Random(SEED)
        self._number = 0

    def step(self) -> None:
        """One edit or commit in up to two troubles at once; afterwards all of it has to be put right."""
        self._number += 1
        value = f"v{self._number}"
        edits = [self._edit_data, self._edit_data, self._add_annotation, self._edit_image, self._delete]
        act = self._chance.choice([*edits, *edits, self._commit, self._commit, self._scale])
        troubles = self._chance.sample(self._troubles(), self._chance.choice((0, 1, 1, 2)))
        troubles.sort(key=lambda trouble: trouble == self._daemon_is_killed)  # a dead one has no full disk
        self.log.append(f"{value}: {_name(act)} in {', '.join(map(_name, troubles)) or 'peace'}")
        done: Callable[[], Any] | None = None
        with ExitStack() as ends:
            for trouble in troubles:
                if done is None and (trouble in (self._git_is_away, self._api_server_is_killed) or self._coin()):
                    done = act(value)  # it takes Git and the API server
                ends.enter_context(trouble())
                time.sleep(self._chance.random())
            done = done or act(value)
        wait_until(done, f"the end of {self.log[-1]}", 120)

    def live(self, kind: str) -> dict[str, Any]:
        """The object `web` of a kind; empty if it is missing."""
        text = self._kubectl("get", kind, "web", "-o", "json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def image(self) -> str:
        return str(self.live("deployment")["spec"]["template"]["spec"]["containers"][0]["image"])

    def _coin(self) -> bool:
        return self._chance.random() < 0.5

    # -- what people and controllers do -------------------------------------------------------------------------------

    def _edit_data(self, value: str) -> Callable[[], Any]:
        self._patch("configmap", {"data": {"currency": self._edit(value)}})
        return lambda: self.live("configmap")["data"] == {"currency": "EUR"}

    def _add_annotation(self, value: str) -> Callable[[], Any]:
        self._patch("configmap", {"metadata": {"annotations": {"note": self._edit(value)}}})
        return lambda: "annotations" not in self.live("configmap")["metadata"]

    def _edit_image(self, value: str) -> Callable[[], Any]:
        containers = [{"name": "web", "image": self._edit(value)}]
        self._patch("deployment", {"spec": {"template": {"spec": {"containers": containers}}}})
        return lambda: self.image() == self._image

    def _delete(self, _: str) -> Callable[[], Any]:
        self.deletions += 1
        self._kubectl("delete", "configmap", "web")
        return lambda: self.live("configmap").get("data") == {"currency": "EUR"}

    def _commit(self, value: str) -> Callable[[], Any]:
        self._image = f"shop/web:{value}"
        self.commits.append(self._image)
        self.repository.write({"app/deployment.yaml": DEPLOYMENT.replace("IMAGE", self._image)})
        self.repository.commit(f"Update to {value}")
        return lambda: self.image() == self._image

    def _scale(self, _: str) -> Callable[[], Any]:
        """As an autoscaler does, within its range."""
        self.replicas = self._chance.choice([count for count in range(1, 6) if count != self.replicas])
        self._kubectl("scale", "deployment", "web", f"--replicas={self.replicas}")
        return lambda: True

    def _edit(self, value: str) -> str:
        self.edits.append(f"by-hand-{value}")
        return self.edits[-1]

    # -- troubles -----------------------------------------------------------------------------------------------------

    def _troubles(self) -> list[Callable[[], AbstractContextManager[None]]]:
        return [
            self._git_is_away, self._api_server_is_killed, self._disk_is_full, self._clock_is_set,
            self._daemon_is_killed, self._channel_is_away,
        ]  # fmt: skip

    @contextmanager
    def _git_is_away(self) -> Iterator[None]:
        away = self.repository.folder.with_name("away")
        self.repository.folder.rename(away)
        yield
        away.rename(self.repository.folder)

    @contextmanager
    def _api_server_is_killed(self) -> Iterator[None]:
        self.cluster.stop_apiserver(grace=0)
        yield
        self.cluster.start_apiserver()

    @contextmanager
    def _disk_is_full(self) -> Iterator[None]:
        before = self.driftd.limit_files(0)
        yield
        time.sleep(FULL_DISK)
        self.driftd.limit_files(before)

    @contextmanager
    def _clock_is_set(self) -> Iterator[None]:
        self._set_clock(self._chance.choice(CLOCKS))
        yield
        if self._coin():
            self._set_clock(0)

    @contextmanager
    def _daemon_is_killed(self) -> Iterator[None]:
        time.sleep(2 * self._chance.random())
        self.driftd.kill()
        yield
        self.driftd.start()

    @contextmanager
    def _channel_is_away(self) -> Iterator[None]:
        self.hooks.refusing = True
        yield
        self.hooks.refusing = False

    def _set_clock(self, ahead: float) -> None:
        _clock_file(self.driftd.folder).write_text(str(ahead))

    def _patch(self, kind: str, body: dict[str, Any]) -> None:
        self._kubectl("patch", kind, "web", "-p", json.dumps(body))

    def _kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", NAMESPACE, *arguments).stdout


@pytest.mark.timeout(SECONDS * 2 + 400)
def test_through_all_troubles_every_edit_is_told_once_and_put_right_and_nothing_else_is_touched(
    assets: Path, tmp_path: Path
) -> None:
    """Edits and commits while Git, the disk, a channel, the API server and the daemon itself fail, and the clock jumps.

    At the end the cluster has what Git declares, and the autoscaler's size.
    """
    repository = GitRepo(tmp_path / "repository")
    repository.write({"app/deployment.yaml": DEPLOYMENT.replace("IMAGE", "shop/web:0"), "app/config.yaml": CONFIG})
    repository.commit("Deploy web")
    folder = tmp_path / "driftd"
    with ControlPlane(assets) as cluster, Kubelet(cluster), WebhookReceiver() as hooks:
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", input=AUTOSCALER)
        config = app_config(
            repository=repository.url, kubeconfig=cluster.kubeconfig(), namespace=NAMESPACE, webhook=hooks,
            folder=folder, mode="heal", settle="1s", deadline="120s", interval="5s",
        )  # fmt: skip
        environment = {
            "PYTHONPATH": os.pathsep.join([*movable_clock.__path__, os.environ.get("PYTHONPATH", "")]),
            "DRIFTD_TEST_CLOCK": str(_clock_file(folder)),
        }
        with Driftd(folder, config, **environment) as driftd:
            driftd.start()
            wait_until(lambda: driftd.lines("applied"), "the first deployment")
            soak = Soak(cluster, repository, driftd, hooks)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                soak.step()
            story = f"seed {SEED}\n" + "\n".join(soak.log)
            wait_until(lambda: _all_resolved(hooks), f"the end of every incident: {story}", 120)
            assert driftd.stop() < 10
        told = Counter(_told(hooks))
        assert {value: told[value] for value in soak.edits} == dict.fromkeys(soak.edits, 1), story
        assert not [value for value in soak.commits if value in told], f"a commit was told as drift: {story}"
        assert len(_missing(hooks)) == soak.deletions, story
        config_map, deployment = soak.live("configmap"), soak.live("deployment")
        assert config_map["data"] == {"currency": "EUR"}, story
        assert config_map["metadata"].keys().isdisjoint({"annotations", "labels"}), story
        assert deployment["spec"]["replicas"] == soak.replicas, story
        assert soak.image() == (soak.commits or ["shop/web:0"])[-1], story
        assert driftd.lines("pass crashed") + driftd.lines("comparison crashed") == [], story
        assert not [line for line in driftd.log.read_text().splitlines() if line.startswith("Traceback")], story


def _clock_file(folder: Path) -> Path:
    return folder / "clock"


def _name(function: Callable[..., Any]) -> str:
    return function.__name__.strip("_").replace("_", " ")


def _told(hooks: WebhookReceiver) -> list[str]:
    """The live values in notifications, once per incident."""
    values = {
        (body["incident"], field["live"])
        for body in hooks.events("drift")
        for resource in body["resources"]
        for field in resource["fields"]
    }
    return [value for _, value in values]


def _missing(hooks: WebhookReceiver) -> set[str]:
    """The incidents that tell of a missing object."""
    return {
        body["incident"]
        for body in hooks.events("drift")
        if any(resource["status"] == "missing" for resource in body["resources"])
    }


def _all_resolved(hooks: WebhookReceiver) -> bool:
    opened = {body["incident"] for body in hooks.bodies if body["event"] == "opened"}
    return opened == {body["incident"] for body in hooks.bodies if body["event"] == "resolved"}
