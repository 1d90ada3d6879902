"""What driftd keeps for itself is damaged: what Git has is stored anew, and nothing wrong is written meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from driftd.model.command import CommandKind
from driftd.model.errors import DriftdError, StoreError
from driftd.model.plan import Mode
from driftd.service.queries import Queries
from driftd.service.views import HistoryFilter
from tests.support.world import World, command, config_map, deployment
from tests.support.worlds import OpenWorld


def damage(world: World, statement: str) -> None:
    """Changes the file of the store behind the back of driftd."""
    with closing(sqlite3.connect(world.folder / "history.db")) as connection, connection:
        assert connection.execute(statement).rowcount > 0


async def damage_is_told(world: World) -> int:
    return sum("stored manifests were damaged" in entry.summary for entry in await world.store.history("web", 500))


@pytest.mark.parametrize("statement", ["UPDATE manifests SET packed = x'00'", "UPDATE manifest_sets SET document = 1"])
async def test_damaged_manifests_are_stored_anew_by_the_pass_that_finds_them(
    open_world: OpenWorld, statement: str
) -> None:
    """It heals as ever; the history tells it once, and an object that left Git before is still an orphan."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.repository.remove("app/config.yaml")
        await world.commit({"new.yaml": config_map("new", a="1")})
        await world.run()
        damage(world, statement)
        world.restart()
        await world.edit("ConfigMap", {"data": {"a": "by hand"}}, name="new")
        for _ in range(3):
            result = await world.run()
        assert (await world.get("ConfigMap", "new"))["data"] == {"a": "1"}
        assert [str(verdict.ref) for verdict in result.report.drifted] == ["ConfigMap/web/web"]
        assert result.report.error is None
        told = await damage_is_told(world)
        assert told > 0
        world.restart()
        assert (await world.run()).report.error is None
        assert await damage_is_told(world) == told


async def test_an_app_held_at_damaged_manifests_stays_there_as_git_has_them(open_world: OpenWorld) -> None:
    """The commit is rendered again; were it something else, nothing would be written."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.commit({"config.yaml": config_map(a="2")})
        await world.settle()
        await world.run(command(CommandKind.ROLLBACK, "ann"))
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}
        damage(world, "UPDATE manifests SET packed = x'00'")
        world.restart()
        await world.edit("ConfigMap", {"data": {"a": "by hand"}})
        result = await world.run()
        assert result.hold is not None
        assert (await world.get("ConfigMap"))["data"] == {"a": "1"}
        damage(world, "UPDATE manifests SET packed = x'00'")
        world.restart(path="elsewhere")
        await world.edit("ConfigMap", {"data": {"a": "by hand"}})
        moved = {"elsewhere/config.yaml": config_map(a="2"), "elsewhere/deployment.yaml": deployment()}
        world.repository.write(moved).commit("Move it")
        await world.source.fetch()
        with pytest.raises(DriftdError, match=r"damaged.* cannot be rendered again"):
            await world.run()
        assert (await world.get("ConfigMap"))["data"] == {"a": "by hand"}


async def test_a_plan_whose_records_are_damaged_is_closed(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app goes on; the history shows what can be read."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "by hand"}})
        with monkeypatch.context() as patch:
            patch.setattr(type(world.store), "record_outcomes", _refuse)
            with pytest.raises(StoreError):
                await world.run()
        assert await world.store.open_plans("web")
        damage(world, "UPDATE operations SET document = x'00' WHERE stage <> 'closed'")
        world.restart()
        result = await world.run()
        assert result.report.in_sync
        assert await world.store.open_plans("web") == []
        lines = await Queries(world.store).history(HistoryFilter("web"), 100)
        assert any("sync" in line.detail for line in lines)


async def _refuse(*_: object) -> None:
    raise StoreError("no")
