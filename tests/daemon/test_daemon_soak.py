"""A long run with everything going on at once: nothing missed, nothing doubled.

Twenty seconds by default; `DRIFTD_SOAK_SECONDS=600` makes it ten minutes. The seed of the run is in its failure's text.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.daemon.test_daemon_on_a_real_cluster import CONFIG, DEPLOYMENT
from tests.support.controlplane import ControlPlane
from tests.support.driftd_process import Driftd, WebhookReceiver, app_config, wait_until
from tests.support.gitserver import GitRepo
from tests.support.kubelet import Kubelet

SECONDS = float(os.environ.get("DRIFTD_SOAK_SECONDS", "20"))
NAMESPACE = "shop"


class Soak:
    """One run: each step writes a unique value, by which it is identified."""

    def __init__(self, cluster: ControlPlane, repository: GitRepo, away: Path, seed: int) -> None:
        self.cluster = cluster
        self.repository = repository
        self.edits: list[str] = []
        self.commits: list[str] = []
        self._home, self._away = repository.folder, away
        self._random = random.Random(seed)
        self._number = 0

    def step(self) -> None:
        """Takes one random step."""
        self._number += 1
        steps = [self._edit] * 6 + [self._commit] * 2 + [self._git_goes_and_comes, self._api_server_restarts]
        self._random.choice(steps)(f"v{self._number}")

    def image(self) -> str:
        return self._kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")

    def currency(self) -> str:
        return self._kubectl("get", "configmap", "web", "-o", "jsonpath={.data.currency}")

    def _edit(self, value: str) -> None:
        self.edits.append(f"by-hand-{value}")
        patch = f'{{"data":{{"currency":"by-hand-{value}"}}}}'
        self._kubectl("patch", "configmap", "web", "-p", patch)
        wait_until(lambda: "by-hand" not in self.currency(), f"the repair of {value}", 60)

    def _commit(self, value: str) -> None:
        self.commits.append(f"shop/web:{value}")
        self.repository.write({"app/deployment.yaml": DEPLOYMENT.replace("IMAGE", f"shop/web:{value}")})
        self.repository.commit(f"Update to {value}")
        wait_until(lambda: self.image() == f"shop/web:{value}", f"the commit of {value}", 60)

    def _git_goes_and_comes(self, value: str) -> None:
        self._home.rename(self._away)
        self._edit(value)
        self._away.rename(self._home)

    def _api_server_restarts(self, value: str) -> None:
        self.cluster.restart_apiserver()
        self._edit(value)

    def _kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", NAMESPACE, *arguments).stdout


@pytest.mark.timeout(SECONDS * 2 + 180)
def test_every_edit_is_notified_once_and_healed_and_every_commit_is_deployed(assets: Path, tmp_path: Path) -> None:
    """Edits, commits, outages of Git, restarts of the API server, in any order."""
    seed = random.SystemRandom().randrange(2**32)
    repository = GitRepo(tmp_path / "repository")
    repository.write({"app/deployment.yaml": DEPLOYMENT.replace("IMAGE", "shop/web:0"), "app/config.yaml": CONFIG})
    repository.commit("Deploy web")
    folder = tmp_path / "driftd"
    with ControlPlane(assets) as cluster, Kubelet(cluster), WebhookReceiver() as hooks:
        cluster.kubectl("create", "namespace", NAMESPACE)
        config = app_config(
            repository=repository.url, kubeconfig=cluster.kubeconfig(), namespace=NAMESPACE, webhook=hooks,
            folder=folder, mode="heal", settle="1s", deadline="120s",
        )  # fmt: skip
        with Driftd(folder, config) as driftd:
            driftd.start()
            soak = Soak(cluster, repository, tmp_path / "away", seed)
            wait_until(lambda: driftd.lines("applied"), "the first deployment")
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                soak.step()
            wait_until(lambda: _all_resolved(hooks), "the end of every incident", 60)
            assert driftd.stop() < 10
        notified = Counter(_values(hooks))
        assert {value: notified[value] for value in soak.edits} == dict.fromkeys(soak.edits, 1), f"seed {seed}"
        assert not [value for value in soak.commits if value in notified], (
            f"a commit was notified as drift: seed {seed}"
        )
        ids = [body["id"] for body in hooks.bodies]
        assert len(ids) == len(set(ids)), f"seed {seed}"
        crashed = driftd.lines("pass crashed") + driftd.lines("comparison crashed")
        assert crashed == [], f"seed {seed}"


def _values(hooks: WebhookReceiver) -> list[str]:
    """The live values in notifications, once per incident."""
    values = {
        (body["incident"], field["live"])
        for body in hooks.events("drift")
        for resource in body["resources"]
        for field in resource["fields"]
    }
    return [value for _, value in values]


def _all_resolved(hooks: WebhookReceiver) -> bool:
    opened = {body["incident"] for body in hooks.bodies if body["event"] == "opened"}
    return opened == {body["incident"] for body in hooks.bodies if body["event"] == "resolved"}
