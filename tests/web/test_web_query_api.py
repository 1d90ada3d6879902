"""The read model over HTTP: what passes have recorded can be asked for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from driftd.model.plan import Mode
from driftd.model.report import Report
from driftd.service.queries import Queries
from driftd.web import Metrics, create_app, serve
from tests.support.world import World
from tests.support.worlds import OpenWorld
from tests.web.test_web_app import Daemon

Get = Callable[[str], Awaitable[tuple[int, Any]]]


@asynccontextmanager
async def served(daemon: Daemon) -> AsyncIterator[Get]:
    async with serve(create_app(daemon, Metrics()), "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:

        async def get(path: str) -> tuple[int, Any]:
            async with session.get(server.url + path) as answer:
                return answer.status, json.loads(await answer.text())

        yield get


def on(world: World) -> Daemon:
    daemon = Daemon()
    daemon.queries = lambda: Queries(world.store, [world.app])  # type: ignore[method-assign]  # a store is open
    return daemon


async def names(get: Get, query: str) -> list[str]:
    status, document = await get(f"/api/v1/resources?{query}")
    assert status == 200, document
    return [f"{resource['kind']}/{resource['name']}" for resource in document["resources"]]


async def test_objects_are_found_by_their_status_kind_namespace_manager_and_health(open_world: OpenWorld) -> None:
    """Each with its differences, its health, and since when it has its status."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        world.restart(mode=Mode.OBSERVE)
        await world.edit("ConfigMap", {"data": {"a": "2"}}, manager="somebody")
        await world.run()
        async with served(on(world)) as get:
            assert await names(get, "") == ["ConfigMap/web", "Deployment/web"]
            assert await names(get, "status=drifted") == ["ConfigMap/web"]
            assert await names(get, "status=drifted&status=in_sync&kind=Deployment&namespace=web") == ["Deployment/web"]
            assert await names(get, "status=drifted&namespace=elsewhere") == []
            assert await names(get, "manager=somebody") == ["ConfigMap/web"]
            assert await names(get, "health=healthy&group=apps") == ["Deployment/web"]
            assert await names(get, "health=degraded") == []
            _, document = await get("/api/v1/resources?name=web&kind=ConfigMap")
            (resource,) = document["resources"]
            assert (resource["app"], resource["health"]) == ("web", "healthy")
            assert resource["since"]
            assert [(field["path"], field["desired"], field["live"]) for field in resource["fields"]] == [
                ("data.a", "1", "2")
            ]


async def test_the_next_page_goes_on_behind_the_one_before(open_world: OpenWorld) -> None:
    """Until there is none."""
    async with open_world() as world:
        await world.run()
        async with served(on(world)) as get:
            _, first = await get("/api/v1/resources?limit=1")
            _, second = await get(f"/api/v1/resources?limit=1&after={first['next']}")
            assert [page["resources"][0]["kind"] for page in (first, second)] == ["ConfigMap", "Deployment"]
            _, third = await get(f"/api/v1/resources?limit=1&after={second['next']}")
            assert (third["resources"], third["next"]) == ([], None)


async def test_incidents_and_writes_are_found_after_they_are_over(open_world: OpenWorld) -> None:
    """Who healed what, and what it was before."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "2"}})
        await world.run()
        async with served(on(world)) as get:
            _, over = await get("/api/v1/incidents?state=resolved&app=web&type=drift")
            (incident,) = over["incidents"]
            assert (incident["resolution"], incident["objects"]) == ("healed", 1)
            assert incident["opened"] <= incident["resolved"]
            assert (await get("/api/v1/incidents?state=open"))[1]["incidents"] == []
            _, writes = await get("/api/v1/operations?kind=ConfigMap&name=web&limit=1")
            (operation,) = writes["operations"]
            assert (operation["trigger"], operation["by"], operation["outcome"]) == ("heal", "driftd", "configured")
            assert [(field["live"], field["desired"]) for field in operation["fields"]] == [("2", "1")]
            _, deployment = await get(f"/api/v1/operations?kind=ConfigMap&before={writes['next']}")
            assert [operation["trigger"] for operation in deployment["operations"]] == ["sync"]


async def test_the_history_an_incident_and_an_app_are_told_as_by_the_command_line(open_world: OpenWorld) -> None:
    """With object, field, both values and who; what there is not is 404."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        await world.edit("ConfigMap", {"data": {"a": "2"}}, manager="somebody")
        await world.run()
        async with served(on(world)) as get:
            _, history = await get("/api/v1/history?app=web&manager=somebody&kind=ConfigMap&namespace=web")
            assert [line["what"] for line in history["history"]] == ["incident", "incident", "action"]
            (field,) = history["history"][-1]["objects"][0]["fields"]
            assert (field["live"], field["desired"], field["by"]["manager"]) == ("2", "1", "somebody")
            _, first = await get("/api/v1/history?limit=1")
            _, second = await get(f"/api/v1/history?limit=1&before={first['next']}")
            assert second["history"][0]["id"] < first["history"][0]["id"]
            name = history["history"][0]["incident"]
            _, incident = await get(f"/api/v1/incidents/{name[:8]}")
            assert (incident["incident"], incident["resolution"]) == (name, "healed")
            assert [(one["name"], one["ended_by"]) for one in incident["ended"]] == [("web", "driftd")]
            assert [told["deliveries"][0]["channel"] for told in incident["notifications"]] == ["chat", "chat"]
            _, status = await get("/api/v1/status")
            assert [(app["app"], app["health"]) for app in status["apps"]] == [("web", "healthy")]
            _, app = await get("/api/v1/status/web")
            assert (app["counts"], app["resources"], app["incidents"]) == ({"in_sync": 2}, [], [])
            assert (await get("/api/v1/status/nope"))[0] == 404
            assert (await get("/api/v1/incidents/nope"))[0] == 404


async def test_a_question_with_a_mistake_is_answered_with_it(open_world: OpenWorld) -> None:
    """Nothing is ignored that somebody asked for."""
    async with open_world() as world, served(on(world)) as get:
        for query, word in (
            ("resources?statsu=drifted", "statsu"),
            ("resources?status=drift", "status"),
            ("resources?after=x", "after"),
            ("incidents?limit=0", "limit"),
            ("incidents?since=yesterday", "since"),
            ("operations?app=web&by=ann", "by"),
        ):
            status, document = await get(f"/api/v1/{query}")
            assert status == 400, query
            assert word in document["error"]


async def test_while_no_store_is_open_nothing_is_known() -> None:
    """The daemon is starting."""
    async with served(Daemon()) as get:
        assert (await get("/api/v1/resources"))[0] == 503


async def test_a_failed_pass_is_no_calm_status_where_the_store_could_not_take_it(open_world: OpenWorld) -> None:
    """It may be the store that fails: then it still has the report of before."""
    async with open_world(mode=Mode.HEAL) as world:
        await world.settle()
        daemon = on(world)
        async with served(daemon) as get:
            _, before = await get("/api/v1/status")
            assert (before["apps"][0]["error"], before["apps"][0]["counts"]["in_sync"]) == (None, 2)
            daemon.last = [Report("web", "sandbox", None, (), world.clock(), error="the database is locked")]
            _, after = await get("/api/v1/status")
            assert after["apps"][0]["error"] == "the database is locked"
            _, detail = await get("/api/v1/status/web")
            assert detail["error"] == "the database is locked"
