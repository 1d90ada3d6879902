"""The daemon with one configuration, in this process, on the sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftd.config.loading import load
from driftd.config.settings import Config
from driftd.daemon import running as daemon_running
from driftd.daemon.running import Running, delivering, running
from driftd.process.supervisor import Supervisor
from driftd.reconcile import leases
from driftd.web.metrics import Metrics
from tests.support.world import World, config_map, create_world, deployment, until


def configuration(
    world: World, *, kubeconfig: Path | None = None, ignore: Sequence[Mapping[str, Any]] = (), **app: Any
) -> Config:
    """A configuration of the world's app, on the world's own store."""
    file = world.folder / "driftd.yaml"
    file.write_text(
        json.dumps(
            {
                "apiVersion": "driftd.io/v1alpha1",
                "kind": "Config",
                "clusters": [{"name": "sandbox", "kubeconfig": str(kubeconfig or world.folder / "kubeconfig")}],
                "sources": [{"name": "shop", "url": world.repository.url, "interval": "1s"}],
                "apps": [{"name": "web", "source": "shop", "path": "app", "namespace": "web", "settle": "1s", **app}],
                "store": {"url": f"sqlite:///{world.folder / 'history.db'}"},
                "cacheDir": str(world.folder / "mirrors"),
                "ignore": list(ignore),
            }
        )
    )
    return load(file)


@asynccontextmanager
async def at_work(config: Config, metrics: Metrics) -> AsyncIterator[Running]:
    """One configuration, with its channels."""
    supervisor = Supervisor(metrics.observe_task)
    async with (
        delivering(config, metrics, supervisor) as opened,
        running(config, metrics, opened, supervisor) as now_running,
    ):
        yield now_running


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    async with create_world(tmp_path, [("deployment.yaml", deployment()), ("config.yaml", config_map(a="1"))]) as made:
        yield made


async def test_a_kubeconfig_that_comes_late_is_loaded_without_a_restart(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then the daemon is not ready, with the reason."""
    monkeypatch.setattr(daemon_running, "_SETUP_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(daemon_running, "_HOUSEKEEPING_SECONDS", 0.05)
    late, metrics = world.folder / "late", Metrics()
    async with at_work(configuration(world, kubeconfig=late, mode="heal"), metrics) as now_running:
        assert any(str(late) in reason for reason in now_running.not_ready())
        (unknown,) = now_running.reports()
        assert unknown.undecided
        assert str(late) in (unknown.error or "")
        await until(lambda: b'driftd_app_unknown{app="web",cluster="sandbox"} 1.0' in metrics.render()[0], "the metric")
        late.write_text((world.folder / "kubeconfig").read_text())
        await until(lambda: not now_running.not_ready(), "readiness")
        await until(lambda: now_running.controller.reports[0].in_sync, "the deployment")


async def test_another_configuration_continues_with_the_same_history(world: World) -> None:
    """From observe to heal: open drift is not notified again, and is healed; no task of the old one still runs."""
    async with at_work(configuration(world), Metrics()):
        await until(world.incident_events, "the first message")
    assert world.requests.writes == []
    assert await world.incident_events() == ["drift opened"]
    async with at_work(configuration(world, mode="heal"), Metrics()) as second:
        await until(lambda: second.controller.reports and second.controller.reports[0].in_sync, "the deployment")
        assert (await world.incident_events())[0] == "drift opened"
        await until(lambda: _no_incident(world), "the end of the incident")
        assert (await world.incident_events()).count("drift opened") == 1
    seen = len(world.requests.received)
    await world.edit("ConfigMap", {"data": {"a": "2"}})
    assert len(world.requests.received) == seen + 1


async def test_a_daemon_that_lost_an_app_to_another_one_says_nothing_more_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither "in sync" nor the time of a pass long ago; it stays ready to take over."""
    monkeypatch.setattr(leases, "_RENEW_SECONDS", 0.1)
    monkeypatch.setattr(daemon_running, "_HOUSEKEEPING_SECONDS", 0.1)
    metrics = Metrics()
    async with at_work(configuration(world, mode="heal"), metrics) as now_running:
        await until(lambda: now_running.controller.reports, "a pass")
        assert b'driftd_app_in_sync{app="web"' in metrics.render()[0]
        store = now_running.components.store
        await store.release_leases(now_running.controller.leases.holder, ["web"])
        assert await store.acquire_lease("web", "another daemon", timedelta(minutes=1))
        await until(lambda: not now_running.controller.reports, "the loss of the lease")
        text = metrics.render()[0].decode()
        for name in ("driftd_app_in_sync", "driftd_app_held", "driftd_objects", "driftd_pass_last_timestamp_seconds"):
            assert f'{name}{{app="web"' not in text
        assert now_running.not_ready() == []


async def _no_incident(world: World) -> bool:
    return not await world.incidents()


async def test_a_commit_is_fetched_and_deployed_by_the_timer_alone(world: World) -> None:
    """Without a webhook and without a command."""
    async with at_work(configuration(world, mode="heal"), Metrics()) as now_running:
        await until(
            lambda: now_running.controller.reports and now_running.controller.reports[0].in_sync, "the deployment"
        )
        world.repository.write({"app/config.yaml": config_map(a="9")})
        world.repository.commit("Nine")
        await until(lambda: _nine(world), "the commit in the cluster")


async def _nine(world: World) -> bool:
    return bool((await world.get("ConfigMap"))["data"] == {"a": "9"})


async def test_ignore_rules_that_match_nothing_are_reported(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once in the log, after a pass over every app, and as a metric: one of the two rules matches."""
    monkeypatch.setattr(daemon_running, "_HOUSEKEEPING_SECONDS", 0.05)
    await world.apply("Deployment", deployment())
    await world.apply("ConfigMap", config_map(a="2"))
    metrics = Metrics()
    rules = [{"kind": "ConfigMap", "path": "data.a"}, {"kind": "Widget"}]
    async with at_work(configuration(world, ignore=rules), metrics) as now_running:
        await until(lambda: not now_running.not_ready(), "the first pass")
        await until(lambda: b"driftd_ignore_rules_unused 1.0" in metrics.render()[0], "the metric")
    log = capsys.readouterr().out
    assert log.count("ignore rule has matched nothing") == 1
    assert "kind Widget" in log
