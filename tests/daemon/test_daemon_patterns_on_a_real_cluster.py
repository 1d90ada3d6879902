"""An app for each folder, on a real API server: each in its own namespace, healed, and never deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.driftd_process import Driftd, WebhookReceiver, app_config, wait_until
from tests.support.gitserver import GitRepo
from tests.support.world import config_map

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def namespaces(control_plane: ControlPlane, namespace: str) -> Iterator[tuple[str, str]]:
    """Two namespaces with one beginning: `…-web` and `…-api`."""
    names = (f"{namespace}-web", f"{namespace}-api")
    for name in names:
        control_plane.kubectl("create", "namespace", name)
    yield names
    for name in names:
        control_plane.kubectl("delete", "namespace", name, "--wait=false")


def test_each_folder_is_deployed_to_its_namespace_and_what_a_gone_one_deployed_stays(
    control_plane: ControlPlane, namespace: str, namespaces: tuple[str, str], tmp_path: Path
) -> None:
    """A folder writes where its template leads, whatever namespace its files name."""
    web, api = namespaces

    def live(where: str) -> dict[str, str]:
        done = control_plane.kubectl("-n", where, "get", "configmap", "-o", "json")
        items = json.loads(done.stdout)["items"]
        return {
            one["metadata"]["name"]: one["data"].get("a")
            for one in items
            if not one["metadata"]["name"].startswith("kube-")
        }

    repository = GitRepo(tmp_path / "repository")
    elsewhere = config_map("stray", a="1").replace("name: stray", f"name: stray\n  namespace: {api}")
    repository.write({"apps/web/config.yaml": config_map(a="1"), "apps/web/stray.yaml": elsewhere}).commit("Deploy web")
    with WebhookReceiver() as hooks:
        config = app_config(
            repository=repository.url, kubeconfig=control_plane.kubeconfig(), namespace="", webhook=hooks,
            folder=tmp_path / "driftd",
        )  # fmt: skip
        entry = {"name": "{folder}", "source": "shop", "path": "apps/*", "namespace": f"{namespace}-{{folder}}"}
        config["apps"] = [{**entry, "mode": "heal"}]
        with Driftd(tmp_path / "driftd", config) as driftd:
            driftd.start()
            wait_until(lambda: live(web) == {"web": "1"}, "what the first folder declares")
            repository.write({"apps/api/config.yaml": config_map("api", a="1")}).commit("Add a folder")
            wait_until(lambda: live(api) == {"api": "1"}, "what the new folder declares")
            assert "stray" not in live(api), "another app's namespace is not the first one's to write to"

            control_plane.kubectl("-n", api, "patch", "configmap", "api", "-p", '{"data": {"a": "2"}}')
            wait_until(lambda: live(api) == {"api": "1"}, "the heal")
            repository.remove("apps/web").commit("Take the first folder out")
            wait_until(
                lambda: (
                    [app["app"] for app in json.loads(driftd.command("status", "-o", "json").stdout)["apps"]] == ["api"]
                ),
                "the end of the first app",
            )
            assert driftd.stop() < 10
        assert live(web) == {"web": "1"}, "nothing is deleted"
        done = driftd.command("check", "api", "-o", "json")
        assert (done.returncode, json.loads(done.stdout)["apps"][0]["in_sync"]) == (0, True)
