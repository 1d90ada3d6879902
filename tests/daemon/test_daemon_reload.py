"""The configuration changes while the daemon is at work."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.driftd_process import Driftd, WebhookReceiver, app_config, wait_until
from tests.support.gitserver import GitRepo
from tests.support.world import config_map


def test_a_reload_repeats_no_message_and_a_refused_one_is_told(tmp_path: Path, kubeconfig: Path) -> None:
    """A channel that is slow to answer has one message; mistakes are an incident, at /readyz and in the metrics."""
    repository = GitRepo(tmp_path / "repository")
    repository.write({"app/config.yaml": config_map(a="1")}).commit("Deploy")
    with WebhookReceiver() as hooks:
        folder = tmp_path / "driftd"

        def config(interval: str) -> dict[str, Any]:
            return app_config(
                repository=repository.url, kubeconfig=kubeconfig, namespace="default", webhook=hooks, folder=folder,
                interval=interval,
            )  # fmt: skip

        hooks.delay = 3.0
        with Driftd(folder, config("30s")) as driftd:
            driftd.start()
            wait_until(lambda: hooks.events("drift"), "the message about the missing object")
            driftd.configure(config("40s"))
            driftd.hang_up()
            wait_until(lambda: driftd.lines("configuration reloaded"), "the reload")
            wait_until(lambda: driftd.lines("delivered"), "the end of the delivery")
            hooks.delay = 0.0
            assert len(hooks.events("drift")) == 1

            driftd.configure({**config("40s"), "apps": [{"nme": "web"}]})
            driftd.hang_up()
            refused = wait_until(lambda: hooks.events("config"), "the word of the mistake")[0]
            assert refused["event"] == "opened"
            assert "nme" in refused["message"]
            with urllib.request.urlopen(driftd.url + "/readyz") as answer:
                assert any("refused" in warning for warning in json.load(answer)["warnings"])
            with urllib.request.urlopen(driftd.url + "/metrics") as answer:
                assert "driftd_config_refused 1.0" in answer.read().decode()
            driftd.configure(config("40s"))
            driftd.hang_up()
            wait_until(lambda: hooks.events("config", "resolved"), "the end of the incident")
            assert driftd.stop() < 10
        errors = [line["message"] for line in driftd.lines() if line["level"] == "error"]
        assert errors == ["new configuration refused, the old one stays"]
        assert len(hooks.events("drift")) == 1
