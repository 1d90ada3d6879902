"""Two processes on one store: of one app there is never more than one pass."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.driftd_process import Driftd, WebhookReceiver, app_config, wait_until
from tests.support.gitserver import GitRepo
from tests.support.world import config_map


class Pair:
    """Two daemons on one store, in folders of their own."""

    def __init__(self, folder: Path, kubeconfig: Path, webhook: WebhookReceiver) -> None:
        self.repository = GitRepo(folder / "repository")
        self.commit("1")
        given: dict[str, Any] = app_config(
            repository=self.repository.url, kubeconfig=kubeconfig, namespace="default", webhook=webhook,
            folder=folder / "first", mode="heal", interval="1s",
        )  # fmt: skip
        given["store"] = {"url": f"sqlite:///{folder / 'shared.db'}"}
        self.first, self.second = Driftd(folder / "first", given), Driftd(folder / "second", given)

    def commit(self, value: str) -> str:
        return self.repository.write({"app/config.yaml": config_map(a=value)}).commit(f"Set {value}")


def passes(daemon: Driftd) -> int:
    return len(daemon.lines("pass"))


def get(daemon: Driftd, path: str) -> Any:
    with urllib.request.urlopen(f"{daemon.url}{path}", timeout=10) as answer:
        return json.load(answer)


def leads(daemon: Driftd) -> str:
    """The metric of a daemon that says whether it makes the passes."""
    with urllib.request.urlopen(f"{daemon.url}/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line.startswith("driftd_app_leader{")]
    return lines[0].split()[-1] if lines else ""


def test_of_two_daemons_one_works_and_the_other_takes_over(tmp_path: Path, kubeconfig: Path) -> None:
    """The standby is ready and idle, carries on at once when the first one stops, and soon when it is killed."""
    with WebhookReceiver() as webhook:
        pair = Pair(tmp_path, kubeconfig, webhook)
        with pair.first, pair.second:
            pair.first.start()
            wait_until(lambda: passes(pair.first) > 1, "the first one's passes")
            pair.second.start()
            before = passes(pair.first)
            wait_until(lambda: passes(pair.first) > before + 2, "more of the first one's passes")
            assert passes(pair.second) == 0
            (standby,) = pair.second.lines("another driftd holds the leases: standing by")
            assert standby["apps"] == ["web"]
            assert get(pair.second, "/readyz")["standby"] == {"web": standby["holder"]}
            assert get(pair.first, "/readyz")["standby"] == {}
            wait_until(lambda: (leads(pair.first), leads(pair.second)) == ("1.0", "0.0"), "the metric of both")
            assert get(pair.second, "/api/v1/status")["apps"][0]["holder"] == standby["holder"]
            pid = standby["holder"].split("/")[1]
            assert f"driftd {pid} on " in pair.second.command("status").stdout
            pair.first.stop()
            wait_until(lambda: passes(pair.second) > 1, "the second one's passes")
            assert pair.second.lines("no other driftd holds the leases any more")
            wait_until(lambda: leads(pair.second) == "1.0", "the metric of the one that took over")
            pair.first.start()
            ended = passes(pair.first)
            pair.second.kill()
            wait_until(lambda: passes(pair.first) > ended, "the first one's passes again")
            pair.first.stop()
            assert "no driftd is at work" in pair.first.command("status").stdout


def test_a_command_is_carried_out_by_the_daemon_that_has_the_app(tmp_path: Path, kubeconfig: Path) -> None:
    """`driftd sync` beside it waits for that one; without it, it does it itself."""
    with WebhookReceiver() as webhook:
        pair = Pair(tmp_path, kubeconfig, webhook)
        with pair.first:
            pair.first.start()
            wait_until(lambda: passes(pair.first) > 0, "the first pass")
            done = pair.second.command("sync", "web")
            assert done.returncode == 0, done
            (command,) = pair.first.lines("command")
            assert command["kind"] == "sync"
            pair.first.stop()
            pair.commit("2")
            alone = pair.second.command("sync", "web")
            assert alone.returncode == 0, alone
            assert "configured ConfigMap/default/web" in alone.stdout
            assert len(pair.first.lines("command")) == 1
