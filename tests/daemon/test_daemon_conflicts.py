"""Two apps of one daemon that declare the same object."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from driftd.config.loading import load
from driftd.config.settings import Config
from driftd.web.metrics import Metrics
from tests.daemon.test_daemon_on_the_sandbox import at_work
from tests.support.world import World, config_map, create_world, until


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    async with create_world(tmp_path, [("config.yaml", config_map(a="app"))]) as made:
        made.repository.write({"other/config.yaml": config_map(a="other")}).commit("Declare it again")
        yield made


def two_apps(world: World) -> Config:
    file = world.folder / "driftd.yaml"
    app = {"source": "shop", "namespace": "web", "mode": "heal"}
    file.write_text(
        json.dumps(
            {
                "clusters": [{"name": "sandbox", "kubeconfig": str(world.folder / "kubeconfig")}],
                "sources": [{"name": "shop", "url": world.repository.url, "interval": "1s"}],
                "apps": [{"name": "web", "path": "app", **app}, {"name": "other", "path": "other", **app}],
                "store": {"url": f"sqlite:///{world.folder / 'history.db'}"},
                "cacheDir": str(world.folder / "mirrors"),
            }
        )
    )
    return load(file)


async def test_neither_app_heals_what_both_declare_and_people_are_told_once(world: World) -> None:
    """They would fight for ever, and nobody would know why."""
    async with at_work(two_apps(world), Metrics()) as now_running:
        await until(lambda: _conflicts(world), "the conflict")
        (message,) = await _conflicts(world)
        assert "other (other/config.yaml:1), web (app/config.yaml:1)" in message
        await world.apply("ConfigMap", config_map(a="by hand"))
        for name in ("web", "other"):
            now_running.controller.request_full_pass(name)
        await until(lambda: _all_drifted(now_running), "both verdicts")
        assert (await world.get("ConfigMap"))["data"] == {"a": "by hand"}
        world.repository.remove("other/config.yaml")
        world.repository.write({"other/else.yaml": config_map(a="1").replace("name: web", "name: else")})
        world.repository.commit("Declare it once")
        await until(lambda: _is_healed(world), "the heal by the one that declares it")
        await until(lambda: _is_over(world), "the end of the conflict")


async def test_at_the_first_start_what_both_declare_is_written_by_neither_of_them(world: World) -> None:
    """Not even once, by the one that is read first; what only one of them declares is."""
    world.repository.write({"app/own.yaml": config_map("own", a="1")}).commit("Declare one more")
    world.requests.received.clear()
    async with at_work(two_apps(world), Metrics()):
        await until(lambda: _conflicts(world), "the conflict")
        await until(lambda: world.requests.writes, "the write of the object of one app")
    assert all("/configmaps/own?" in write for write in world.requests.writes)


async def test_an_app_that_cannot_be_rendered_holds_no_other_up_at_the_first_start(world: World) -> None:
    """What it declares is not known, and stays so."""
    world.repository.write({"other/config.yaml": "a: ["}).commit("Break it")
    async with at_work(two_apps(world), Metrics()):
        await until(lambda: world.requests.writes, "the write of the other app", within=30)
        assert (await world.get("ConfigMap"))["data"] == {"a": "app"}


async def _conflicts(world: World) -> list[str]:
    return [incident.message for incident in await world.store.open_incidents() if incident.type == "conflict"]


async def _is_over(world: World) -> bool:
    return not await _conflicts(world)


def _all_drifted(now_running: object) -> bool:
    reports = now_running.controller.reports  # type: ignore[attr-defined]
    return len(reports) == 2 and all(report.drifted for report in reports)


async def _is_healed(world: World) -> bool:
    return bool((await world.get("ConfigMap"))["data"] == {"a": "app"})
