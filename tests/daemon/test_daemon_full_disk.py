"""The disk is full for a while: the daemon says so, and goes on by itself when it is not."""

from __future__ import annotations

import json
import resource
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.driftd_process import Driftd, WebhookReceiver, app_config, wait_until
from tests.support.gitserver import GitRepo
from tests.support.world import config_map

UNKNOWN = 'driftd_app_unknown{app="web",cluster="test"} 1.0'
IN_SYNC = 'driftd_app_in_sync{app="web",cluster="test"} 1.0'


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can limit the files of another process")
def test_a_full_disk_makes_the_app_unknown_and_is_over_by_itself(tmp_path: Path, kubeconfig: Path) -> None:
    """Metrics, API and /readyz, which names the store; afterwards the app is judged and kept as before."""
    repository = GitRepo(tmp_path / "repository")
    repository.write({"app/config.yaml": config_map(a="1")}).commit("Deploy")
    with WebhookReceiver() as hooks:
        folder = tmp_path / "driftd"
        config = app_config(
            repository=repository.url, kubeconfig=kubeconfig, namespace="default", webhook=hooks, folder=folder,
            mode="heal", interval="2s",
        )  # fmt: skip
        with Driftd(folder, config) as driftd:
            driftd.start()
            wait_until(lambda: IN_SYNC in _get(driftd, "/metrics"), "the first deployment", 60)
            before = driftd.limit_files(0)
            wait_until(lambda: UNKNOWN in _get(driftd, "/metrics"), "the word that nothing is known", 60)
            assert IN_SYNC not in _get(driftd, "/metrics")
            (app,) = json.loads(_get(driftd, "/api/v1/apps"))["apps"]
            assert app["error"].startswith("the last pass failed")
            assert any("store cannot be written" in reason for reason in json.loads(_get(driftd, "/readyz"))["reasons"])
            assert _get(driftd, "/healthz") == "ok\n"
            driftd.limit_files(before)
            wait_until(lambda: IN_SYNC in _get(driftd, "/metrics"), "the recovery", 60)
            wait_until(lambda: json.loads(_get(driftd, "/readyz"))["ready"], "readiness", 60)
            repository.write({"app/config.yaml": config_map(a="2")}).commit("Two")
            wait_until(lambda: "Two" in json.dumps(driftd.lines("new revision")), "the next commit", 60)


def _get(driftd: Driftd, path: str) -> Any:
    try:
        with urllib.request.urlopen(driftd.url + path, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()
