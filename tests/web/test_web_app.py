"""What the web server answers."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import driftd
from driftd.model.audit import AuditEvent
from driftd.model.document import check_document
from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.errors import DriftdError
from driftd.model.plan import Action, Applied, Outcome, Trigger
from driftd.model.report import Report
from driftd.model.resource import ResourceRef, Source
from driftd.model.secret import Secret
from driftd.process.supervisor import TaskState
from driftd.service.queries import Queries
from driftd.store import Backlog, Store
from driftd.web import Metrics, create_app, limits, serve
from driftd.web.app import create_probes_app

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
REF = ResourceRef("", "ConfigMap", "web", "web")
DRIFT = FieldDrift(("data", "n"), Change.CHANGED, 2**70, 1, ())


def report(app: str, *statuses: Status, cluster: str = "prod", error: str | None = None) -> Report:
    verdicts = tuple(
        Verdict(REF, "v1", status, Source("a.yaml", 1), (DRIFT,) if status is Status.DRIFTED else ())
        for status in statuses
    )
    return Report(app, cluster, None, verdicts, NOW, error)


@dataclass
class Daemon:
    """A fake daemon."""

    dead: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    last: list[Report] = field(default_factory=list)
    token: Secret | None = None
    written: list[tuple[str | None, AuditEvent]] = field(default_factory=list)

    store: Store | None = None

    def queries(self) -> Queries | None:
        return Queries(self.store) if self.store is not None else None

    def audit_token(self) -> Secret | None:
        return self.token

    def audit(self, cluster: str | None, events: Sequence[AuditEvent]) -> bool:
        self.written += [(cluster, event) for event in events]
        return cluster in (None, "prod")

    def unhealthy(self) -> list[str]:
        return self.dead

    def not_ready(self) -> list[str]:
        return self.reasons

    def warnings(self) -> list[str]:
        return self.mistakes

    def apps_of_others(self) -> dict[str, str]:
        return self.others

    def reports(self) -> list[Report]:
        return self.last


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every value by its metric's name and its labels' values, in the order of the labels' names."""
    body, _ = metrics.render()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def get(daemon, metrics):
    """GET a path of the running server: status, content type and text."""
    async with serve(create_app(daemon, metrics), "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:

        async def ask(path: str, **headers: str) -> tuple[int, str, str]:
            async with session.get(server.url + path, headers=headers) as answer:
                return answer.status, answer.headers["Content-Type"], await answer.text()

        yield ask


async def test_health_is_whether_the_loops_turn(daemon, get):
    """Not whether Git or a cluster answer: a restart would not help those."""
    daemon.reasons = ["source shop was not fetched yet"]
    assert (await get("/healthz"))[0] == 200
    daemon.dead = ["the background task commands has crashed 5 times in a row (KeyError)"]
    status, _, text = await get("/healthz")
    assert (status, text.splitlines()) == (503, daemon.dead)


async def test_readiness_says_what_is_missing(daemon, get):
    """One sentence for each."""
    daemon.reasons = ["source shop was not fetched yet", "the store is not open"]
    status, kind, text = await get("/readyz")
    assert (status, kind) == (503, "application/json")
    assert json.loads(text) == {"ready": False, "reasons": daemon.reasons, "warnings": [], "standby": {}}
    daemon.reasons, daemon.mistakes = [], ["the new configuration was refused"]
    status, _, text = await get("/readyz")
    assert (status, json.loads(text)["warnings"]) == (200, daemon.mistakes)


async def test_the_api_has_the_documents_of_check(daemon, get):
    """Any JSON value among them: a number past 64 bits is one."""
    daemon.last = [report("web", Status.DRIFTED, Status.IN_SYNC), report("api", error="Git does not answer")]
    status, kind, text = await get("/api/v1/apps")
    assert (status, kind) == (200, "application/json")
    assert json.loads(text) == check_document(daemon.last)


async def test_the_front_page_names_the_others(get):
    """And the version."""
    _, kind, text = await get("/")
    assert kind.startswith("text/plain")
    assert driftd.__version__ in text
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/apps"):
        assert path in text
        assert (await get(path))[0] == 200
    assert (await get("/nope"))[0] == 404


async def test_nothing_can_be_changed_from_outside(daemon, metrics):
    """Every path only reads."""
    async with serve(create_app(daemon, metrics), "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:
        for path in ("/", "/healthz", "/readyz", "/metrics", "/api/v1/apps"):
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                async with session.request(method, server.url + path) as answer:
                    assert answer.status == 405


async def test_metrics_come_in_the_format_that_is_asked_for(metrics, get):
    """Prometheus' text by default, OpenMetrics where the scraper knows it."""
    metrics.observe_pass(report("web", Status.IN_SYNC), 0.2)
    _, kind, text = await get("/metrics")
    assert kind.startswith("text/plain; version=")
    assert "driftd_app_in_sync" in {family.name for family in text_string_to_metric_families(text)}
    _, kind, text = await get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert "driftd_pass" in {family.name for family in parse_openmetrics(text)}


def test_a_pass_is_counted_by_what_it_found(metrics):
    """An app that could not be read is never in sync."""
    metrics.observe_pass(report("web", Status.IN_SYNC, Status.IN_SYNC), 0.2)
    metrics.observe_pass(report("api", Status.DRIFTED, Status.MISSING), 3, held=True)
    metrics.observe_pass(report("pay", Status.IN_SYNC, Status.UNKNOWN), 0.1)
    metrics.observe_pass(report("far", error="Git does not answer"), 0.1)
    seen = samples(metrics)
    assert {app: seen["driftd_app_in_sync", app, "prod"] for app in ("web", "api", "pay", "far")} == {
        "web": 1,
        "api": 0,
        "pay": 0,
        "far": 0,
    }
    assert seen["driftd_objects", "web", "prod", "in_sync"] == 2
    assert seen["driftd_objects", "web", "prod", "drifted"] == 0
    assert seen["driftd_pass_total", "api", "drift"] == 1
    assert seen["driftd_pass_total", "pay", "unknown"] == 1
    assert seen["driftd_pass_total", "far", "unknown"] == 1
    assert seen["driftd_pass_duration_seconds_sum", "api"] == 3
    assert seen["driftd_app_held", "api", "prod"] == 1
    assert seen["driftd_app_pending", "api", "prod"] == 0
    assert seen["driftd_pass_last_timestamp_seconds", "web", "prod"] == NOW.timestamp()


def test_a_failed_pass_leaves_nothing_of_the_one_before_in_the_metrics(metrics):
    """The app was in sync, and is unknown now; the time of the last pass stays."""
    metrics.observe_pass(report("web", Status.IN_SYNC), 0.2)
    metrics.observe_failed_pass(report("web", error="the last pass failed: disk full"))
    seen = samples(metrics)
    assert seen["driftd_app_in_sync", "web", "prod"] == 0
    assert seen["driftd_app_unknown", "web", "prod"] == 1
    assert seen["driftd_objects", "web", "prod", "in_sync"] == 0
    assert seen["driftd_pass_total", "web", "failed"] == 1
    assert seen["driftd_pass_last_timestamp_seconds", "web", "prod"] == NOW.timestamp()
    metrics.observe_pass(report("web", Status.IN_SYNC), 0.2)
    assert samples(metrics)["driftd_app_unknown", "web", "prod"] == 0


def test_what_waits_in_the_outbox_is_in_the_metrics_by_channel(metrics):
    """With the age of the oldest while there is one; a channel that is gone leaves them."""
    metrics.observe_backlog({"slack": Backlog(3, 1, NOW), "old": Backlog(1, 0, NOW)})
    metrics.observe_backlog({"slack": Backlog(2, 1, NOW)})
    seen = samples(metrics)
    assert seen["driftd_notifications_pending", "slack"] == 2
    assert seen["driftd_notifications_failed", "slack"] == 1
    assert seen["driftd_notifications_oldest_pending_timestamp_seconds", "slack"] == NOW.timestamp()
    assert not [key for key in seen if "old" in key]
    metrics.observe_backlog({"slack": Backlog(0, 1, None)})
    assert ("driftd_notifications_oldest_pending_timestamp_seconds", "slack") not in samples(metrics)


def test_background_tasks_are_in_the_metrics(metrics):
    """Whether they run, and how often they crashed."""
    for state in (TaskState.RUNNING, TaskState.CRASHED, TaskState.RUNNING, TaskState.CRASHED):
        metrics.observe_task("commands", state)
    seen = samples(metrics)
    assert seen["driftd_task_running", "commands"] == 0
    assert seen["driftd_task_crashes_total", "commands"] == 2
    metrics.observe_task("commands", TaskState.STOPPED)
    assert not [key for key in samples(metrics) if "commands" in key]


def test_fetches_actions_and_messages_are_counted_by_how_they_went(metrics):
    """The last success stays when a fetch fails."""
    metrics.observe_fetch("shop", ok=True, seconds=1, time=NOW)
    metrics.observe_fetch("shop", ok=False, seconds=60, time=datetime.now(UTC))
    action = Action("web", Trigger.HEAL, "4f0c", "driftd", NOW, NOW, (Applied(REF, Outcome.FAILED, "Forbidden"),))
    metrics.observe_action(action)
    metrics.observe_delivery("slack", ok=True)
    metrics.observe_queue(3)
    metrics.observe_reload(ok=False)
    seen = samples(metrics)
    assert seen["driftd_source_fetch_total", "success", "shop"] == 1
    assert seen["driftd_source_fetch_total", "failure", "shop"] == 1
    assert seen["driftd_source_last_success_timestamp_seconds", "shop"] == NOW.timestamp()
    assert seen["driftd_actions_total", "web", "failure", "heal"] == 1
    assert seen["driftd_notifications_total", "slack", "success"] == 1
    assert seen["driftd_queue_depth",] == 3
    assert seen["driftd_config_reloads_total", "failure"] == 1
    assert seen["driftd_build_info", driftd.__version__] == 1


def test_what_the_configuration_no_longer_has_leaves_the_metrics(metrics):
    """An app that was removed must not stay "out of sync" for ever; one that moved has only its new cluster."""
    action = Action("old", Trigger.HEAL, "4f0c", "driftd", NOW, NOW, ())
    for app in ("web", "old", "moved"):
        metrics.observe_pass(report(app, Status.DRIFTED), 1)
    metrics.observe_pass(report("moved", Status.DRIFTED, cluster="edge"), 1)
    metrics.observe_action(action)
    for name in ("shop", "gone"):
        metrics.observe_fetch(name, ok=True, seconds=1, time=NOW)
        metrics.observe_delivery(name, ok=True)
    metrics.retain(apps={"web": "prod", "moved": "edge"}, sources=["shop"], channels=["shop"])
    seen = samples(metrics)
    assert not [key for key in seen if "old" in key or "gone" in key]
    assert seen["driftd_app_in_sync", "web", "prod"] == 0
    assert seen["driftd_app_in_sync", "moved", "edge"] == 0
    assert ("driftd_app_in_sync", "moved", "prod") not in seen
    assert seen["driftd_source_fetch_total", "success", "shop"] == 1


def test_every_metric_is_named_as_prometheus_wants_it(metrics):
    """driftd_ before it, a sentence of help, base units."""
    body, _ = metrics.render()
    for family in text_string_to_metric_families(body.decode()):
        assert family.name.startswith("driftd_")
        assert family.documentation.endswith(".")


async def test_the_reports_of_apps_that_another_process_has_come_from_the_store(daemon, get, tmp_path):
    """A standby leaves nothing out."""
    daemon.last = [report("web", Status.IN_SYNC)]
    store = await Store.open(f"sqlite:///{tmp_path / 'history.db'}")
    await store.record_report(report("api", Status.DRIFTED))
    daemon.store, daemon.others = store, {"api": "node-2/17", "new": "node-2/17"}
    _, _, text = await get("/api/v1/apps")
    assert {app["app"]: app["in_sync"] for app in json.loads(text)["apps"]} == {"web": True, "api": False}
    await store.close()


async def test_half_sent_requests_by_the_thousand_stop_nothing(daemon, metrics):
    """Health is answered within a second, at the same listener and at that of the probes; few sockets are held."""
    served = serve(create_app(daemon, metrics), "127.0.0.1", 0)
    probes = serve(create_probes_app(daemon), "127.0.0.1", 0)
    held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    async with served as server, probes as own, aiohttp.ClientSession() as session:
        sockets = _open_files()
        for _ in range(12):
            held += await asyncio.gather(*[asyncio.open_connection("127.0.0.1", server.port) for _ in range(40)])
            for _, writer in held[-40:]:
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: ")
            for address in (server, own):
                async with asyncio.timeout(1), session.get(address.url + "/healthz") as answer:
                    assert answer.status == 200
        ours = _open_files() - sockets - len(held)
        assert ours <= limits.MAX_CONNECTIONS + 4
        for _, writer in held:
            writer.close()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\na",
        b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_a_client_that_does_not_go_on_is_left(monkeypatch, sent: bytes):
    """Nothing sent, a part of the headers, of a body; and an answer that takes too long."""
    monkeypatch.setattr(limits, "_HEADER_SECONDS", 0.2)
    monkeypatch.setattr(limits, "_REQUEST_SECONDS", 0.2)

    async def slow(_: object) -> PlainTextResponse:
        await asyncio.sleep(2)
        return PlainTextResponse("late")

    async with serve(Starlette(routes=[Route("/slow", slow)]), "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        loop = asyncio.get_running_loop()
        for _ in range(4):  # drop by drop, it is no quicker
            loop.call_later(0.05, writer.write, b"")
        with suppress(ConnectionResetError):
            async with asyncio.timeout(5):
                await reader.read()
        writer.close()


async def test_a_connection_is_used_again_for_as_long_as_requests_come(daemon, metrics, monkeypatch):
    """The time for headers begins anew with each request."""
    monkeypatch.setattr(limits, "_HEADER_SECONDS", 0.3)
    async with serve(create_app(daemon, metrics), "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(5):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(5):
                assert await reader.readuntil(b"ok\n")
            await asyncio.sleep(0.1)
        writer.close()


async def test_bad_requests_are_a_line_a_second_in_the_log(daemon, metrics, caplog):
    """However many come."""
    async with serve(create_app(daemon, metrics), "127.0.0.1", 0) as server:
        for _ in range(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"\x00 is no request\r\n\r\n")
            await reader.read()
            writer.close()
    lines = [record for record in caplog.records if "Invalid HTTP request" in record.getMessage()]
    assert 1 <= len(lines) < 10


async def test_an_address_in_use_is_a_clear_error(daemon, metrics):
    """With the address and the key of the configuration."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            DriftdError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(web\.listen\): Address already"
        ):
            async with serve(create_app(daemon, metrics), "127.0.0.1", port):
                pytest.fail("two servers at one address")


async def test_a_host_that_is_not_there_is_a_clear_error(daemon, metrics):
    """A name that does not resolve, and an address of another machine."""
    for host in ("no-such-host.invalid", "192.0.2.1"):
        with pytest.raises(DriftdError, match="cannot listen on"):
            async with serve(create_app(daemon, metrics), host, 0):
                pytest.fail("it cannot listen there")


async def test_an_open_request_is_answered_before_the_server_stops():
    """Graceful: what has begun is ended, then the port is free."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> PlainTextResponse:
        begun.set()
        await go_on.wait()
        return PlainTextResponse("done")

    async with aiohttp.ClientSession() as session:
        async with serve(Starlette(routes=[Route("/", slow)]), "127.0.0.1", 0) as server:
            request = asyncio.create_task(session.get(server.url))
            await begun.wait()
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert await (await request).text() == "done"
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(server.url)


async def test_a_request_that_never_ends_does_not_keep_the_server(monkeypatch):
    """The daemon stops in time whatever clients do."""
    monkeypatch.setattr("driftd.web.server.STOP_SECONDS", 0.2)
    begun = asyncio.Event()

    async def endless(_: object) -> PlainTextResponse:
        begun.set()
        await asyncio.Event().wait()
        return PlainTextResponse("never")

    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        async with serve(Starlette(routes=[Route("/", endless)]), "127.0.0.1", 0) as server:
            request = asyncio.create_task(session.get(server.url))
            await begun.wait()
            began = loop.time()
        assert loop.time() - began < 3
        await asyncio.gather(request, return_exceptions=True)


async def test_signals_stay_the_daemons(daemon, metrics):
    """The server neither takes nor restores any."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serve(create_app(daemon, metrics), "127.0.0.1", 0):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
