"""An app for each folder: the daemon follows the folders of a repository, with nothing else to configure."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.driftd_process import Driftd, WebhookReceiver, app_config, wait_until
from tests.support.gitserver import GitRepo
from tests.support.world import config_map

pytestmark = pytest.mark.timeout(180)


def configuration(repository: Path, kubeconfig: Path, hooks: WebhookReceiver, folder: Path) -> dict[str, Any]:
    """An app for each folder of `apps`, in the namespace `default`."""
    config = app_config(
        repository=str(repository), kubeconfig=kubeconfig, namespace="default", webhook=hooks, folder=folder
    )
    config["apps"] = [{"name": "{folder}", "source": "shop", "path": "apps/*", "namespace": "default"}]
    return config


def statuses(driftd: Driftd) -> dict[str, dict[str, Any]]:
    done = driftd.command("status", "-o", "json")
    return {app["app"]: app for app in json.loads(done.stdout)["apps"]} if done.stdout else {}


def looked_at(driftd: Driftd, *names: str) -> bool:
    """Whether these are the apps, and a pass was made over each."""
    apps = statuses(driftd)
    return apps.keys() == set(names) and all(app["last_pass"] for app in apps.values())


def not_ready(driftd: Driftd) -> list[str]:
    """Why the daemon says that it is not ready."""
    try:
        with urllib.request.urlopen(driftd.url + "/readyz"):
            return []
    except urllib.error.HTTPError as error:
        return list(json.load(error)["reasons"])


def test_apps_come_and_go_with_their_folders(tmp_path: Path, kubeconfig: Path) -> None:
    """A new folder is an app after the next fetch. One that is gone ends its app, with its incidents and no others."""
    repository = GitRepo(tmp_path / "repository")
    repository.write({f"apps/{name}/config.yaml": config_map(name, a="1") for name in ("web", "api")}).commit("Deploy")
    with (
        WebhookReceiver() as hooks,
        Driftd(tmp_path / "driftd", configuration(repository.folder, kubeconfig, hooks, tmp_path / "driftd")) as driftd,
    ):
        driftd.start()
        wait_until(lambda: looked_at(driftd, "web", "api"), "both apps")
        wait_until(
            lambda: {body["app"] for body in hooks.events("drift", "opened")} == {"web", "api"}, "what is missing"
        )

        repository.write({"apps/jobs/config.yaml": config_map("jobs", a="1")}).commit("Add a folder")
        wait_until(lambda: looked_at(driftd, "web", "api", "jobs"), "the new app")
        wait_until(lambda: len(hooks.events("drift", "opened")) == 3, "what is missing of it")

        repository.remove("apps/web").commit("Take a folder out")
        [ended] = wait_until(lambda: hooks.events("drift", "resolved"), "the end of the incident")
        assert (ended["app"], ended["resolution"]) == ("web", "removed")
        wait_until(lambda: looked_at(driftd, "api", "jobs"), "the end of the app")
        begun = len(driftd.lines("apps have come or gone, and the passes begin anew"))

        head = repository.write({"apps/api/config.yaml": config_map("api", a="1", b="2")}).commit("Change a file")
        wait_until(lambda: statuses(driftd)["api"]["revision"] == head, "the commit")
        assert len(driftd.lines("apps have come or gone, and the passes begin anew")) == begun, "nothing came or went"
        with urllib.request.urlopen(driftd.url + "/metrics") as answer:
            assert 'app="web"' not in answer.read().decode()
        assert driftd.stop() < 10
        assert len(hooks.events("drift", "opened")) == 3, "each is told once"


def test_a_folder_that_is_no_app_is_unknown_by_name_and_keeps_no_other_from_being_one(
    tmp_path: Path, kubeconfig: Path
) -> None:
    """It is in the status, the metrics and at the API, until Git has it right."""
    repository = GitRepo(tmp_path / "repository")
    files = {f"apps/{name}/config.yaml": config_map("web", a="1") for name in ("web", "My_App")}
    repository.write(files).commit("Deploy")
    with (
        WebhookReceiver() as hooks,
        Driftd(tmp_path / "driftd", configuration(repository.folder, kubeconfig, hooks, tmp_path / "driftd")) as driftd,
    ):
        driftd.start()
        wait_until(lambda: looked_at(driftd, "web", "shop/apps/My_App"), "both")
        wrong = statuses(driftd)["shop/apps/My_App"]
        repository.write({"apps/{x}/config.yaml": config_map("web", a="1")}).commit("Add another one")

        def at_the_api() -> list[str]:
            with urllib.request.urlopen(driftd.url + "/api/v1/status") as answer:
                return [app["app"] for app in json.load(answer)["apps"]]

        wait_until(lambda: at_the_api() == ["web", "shop/apps/My_App", "shop/apps/{x}"], "the other one at the API")
        assert 'its name would be "My_App", which must be a name of lower-case letters' in wrong["error"]
        metric = 'driftd_app_unknown{app="shop/apps/My_App",cluster="test"} 1.0'

        def measured() -> bool:
            with urllib.request.urlopen(driftd.url + "/metrics") as answer:
                return metric in answer.read().decode()

        wait_until(measured, "the metric")
        done = driftd.command("sync", "shop/apps/My_App")
        assert done.returncode == 2
        assert "is no app: its name would be" in done.stderr
        repository.remove("apps/{x}").git("mv", "apps/My_App", "apps/mine")
        repository.commit("Put it right")
        wait_until(lambda: looked_at(driftd, "web", "mine"), "the app")
        assert not measured()
        assert driftd.stop() < 10


def test_without_git_the_last_mirror_serves_and_before_there_is_one_the_apps_are_unknown(
    tmp_path: Path, kubeconfig: Path
) -> None:
    """Nothing is said to be in sync, and no incident ends, of apps that nobody has seen."""
    away = tmp_path / "repository"
    with WebhookReceiver() as hooks:
        config = configuration(away, kubeconfig, hooks, tmp_path / "driftd")
        with Driftd(tmp_path / "driftd", config) as driftd:
            driftd.start()
            wait_until(lambda: looked_at(driftd, "shop/apps/*"), "the pattern")
            assert "its folders are not known" in statuses(driftd)["shop/apps/*"]["error"]
            assert "the folders of shop/apps/* are not known yet" in not_ready(driftd)
            repository = GitRepo(tmp_path / "new")
            repository.write({"apps/web/config.yaml": config_map("web", a="1")}).commit("Deploy")
            repository.folder.rename(away)
            wait_until(lambda: looked_at(driftd, "web"), "the app", within=60)
            wait_until(lambda: not not_ready(driftd), "the daemon to be ready")
            wait_until(lambda: hooks.events("drift", "opened"), "what is missing")
            driftd.stop()
            away.rename(tmp_path / "gone")
            driftd.start()
            wait_until(lambda: driftd.lines("pass")[-1]["app"] == "web", "a pass by the mirror")
            assert looked_at(driftd, "web")
            assert driftd.stop() < 10
        assert [body["event"] for body in hooks.events("drift")] == ["opened"]
