"""A complete environment of a pass: Git, a store, and the sandbox as the API server."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from driftd.desired.provider import InProcessProvider
from driftd.desired.source import SourceState
from driftd.diff.compare import Comparison
from driftd.diff.redact import Redactor
from driftd.git.source import GitSource
from driftd.incidents.recorder import Recorder
from driftd.kube.cache import LiveCache, Timing
from driftd.kube.kubeconfig import ClusterAccess
from driftd.kube.openapi import SchemaSource
from driftd.kube.rest_client import Cluster
from driftd.live.cluster import ClusterView
from driftd.live.watches import ClusterWatches
from driftd.model.app import App
from driftd.model.command import Command, CommandKind
from driftd.model.drift import Status
from driftd.model.plan import Mode
from driftd.model.report import Report
from driftd.policy.lifecycle import LOOK_EVERY
from driftd.process.supervisor import Supervisor
from driftd.reconcile.controller import Controller
from driftd.reconcile.leases import Leases
from driftd.reconcile.reconciler import Reconciler, Shared
from driftd.reconcile.result import PassResult
from driftd.reconcile.scan import Background
from driftd.render.parser import CachingParser
from driftd.sandbox.controllers import RolloutSettings
from driftd.sandbox.server import Sandbox
from driftd.store import HistoryKind, Store
from tests.support.gitserver import GitRepo

APPS = {"Deployment": "apis/apps/v1", "ConfigMap": "api/v1", "Secret": "api/v1"}
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def config_map(name: str = "web", **data: str) -> str:
    values = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in data.items())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n{values}"


def deployment(image: str = "shop/web:1", name: str = "web") -> str:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  replicas: 1
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
        - name: web
          image: {image}
"""


def command(kind: CommandKind, by: str, *, to: str | None = None, release: bool = False) -> Command:
    """A person's command for the app `web`."""
    return Command(uuid.uuid4().hex, "web", kind, by, datetime.now(UTC), to=to, release=release)


class Requests:
    """Wraps an ASGI application and records the method and path of each request."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self.received: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.received.append((scope["method"], scope["path"] + "?" + scope["query_string"].decode()))
        await self._api(scope, receive, send)

    @property
    def writes(self) -> list[str]:
        """All requests that can change objects."""
        return [f"{method} {path}" for method, path in self.received if method in WRITES and "dryRun" not in path]


class Clock:
    """The clock on the wall, and the monotonic one. Time passes on both; only the first can be set."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self.passed = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.passed.total_seconds()

    def advance(self, **span: float) -> None:
        """Lets time pass."""
        self.passed += timedelta(**span)
        self.ahead += timedelta(**span)

    def set(self, **span: float) -> None:
        """Sets the clock on the wall forward, or back where the span is negative."""
        self.ahead += timedelta(**span)


@dataclass
class World:
    """The app `web` from the folder `app` of a repository, with its cluster and store."""

    folder: Path
    repository: GitRepo
    sandbox: Sandbox
    requests: Requests
    cluster: Cluster
    store: Store
    source: SourceState
    app: App
    clock: Clock
    runner: Reconciler = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, **app: Any) -> Reconciler:
        """Simulates a restart with the same store, optionally with another configuration of the app."""
        self.app = replace(self.app, **app)
        self.runner = self.make_runner()
        return self.runner

    def make_runner(self, background: Background | None = None) -> Reconciler:
        view = ClusterView(self.cluster, SchemaSource(self.cluster, self.folder / "openapi"))
        comparison = Comparison(Redactor(b"k" * 32))
        shared = Shared(self.store, comparison, self.recorder(), self.clock, self.clock.monotonic)
        return Reconciler(self.app, self.source, view, shared, background=background)

    def recorder(self) -> Recorder:
        return Recorder(self.store, ["chat"], self.clock, lambda: None, monotonic=self.clock.monotonic)

    async def commit(self, files: Mapping[str, str], subject: str = "Change things") -> str:
        """Commits files in `app/`, and fetches."""
        self.repository.write({f"app/{name}": text for name, text in files.items()})
        sha = self.repository.commit(subject)
        await self.source.fetch()
        return sha

    async def run(self, command: Command | None = None) -> PassResult:
        """Runs a pass, and the passes of a rollback that follow from it."""
        result = await self.runner.run(command)
        while result.rollback_due:
            result = await self.runner.run()
        return result

    async def settle(self) -> PassResult:
        """Runs passes until the app's revision is good: rolled out, and stable for its settle time."""
        await until(self._is_healthy, "the rollout")
        result = await self.watch(seconds=self.app.settle.total_seconds())
        assert result.state == "good", result
        return result

    async def watch(self, **span: float) -> PassResult:
        """Lets time pass in which the app is looked at, as often as a daemon does. Ends with a pass."""
        left = timedelta(**span)
        while left > timedelta(0):
            step = min(left, LOOK_EVERY)
            self.clock.advance(seconds=step.total_seconds())
            left -= step
            result = await self.run()
        return result

    async def _is_healthy(self) -> bool:
        result = await self.run()
        return not result.health and all(v.status is Status.ORPHANED for v in result.report.drifted)

    # -- the cluster, as used by others --------------------------------------------------------------------------

    async def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        return await self.cluster.request(method, path, body=json.dumps(body).encode() if body else None,
                                          content_type=kind)  # fmt: skip

    async def edit(self, kind: str, body: Any, name: str = "web", manager: str = "kubectl-edit") -> Any:
        path = f"/{APPS[kind]}/namespaces/web/{kind.lower()}s/{name}?fieldManager={manager}"
        return await self.request("PATCH", path, body, "application/merge-patch+json")

    async def apply(
        self, kind: str, text: str, name: str = "web", manager: str = "pipeline", *, force: bool = False
    ) -> None:
        """Server-side apply by another manager."""
        path = f"/{APPS[kind]}/namespaces/web/{kind.lower()}s/{name}?fieldManager={manager}"
        path += "&force=true" if force else ""
        await self.cluster.request("PATCH", path, body=text.encode(), content_type="application/apply-patch+yaml")

    async def get(self, kind: str, name: str = "web") -> Any:
        return await self.request("GET", f"/{APPS[kind]}/namespaces/web/{kind.lower()}s/{name}")

    async def delete(self, kind: str, name: str = "web") -> None:
        await self.request("DELETE", f"/{APPS[kind]}/namespaces/web/{kind.lower()}s/{name}")

    async def image(self) -> str:
        live = await self.get("Deployment")
        return str(live["spec"]["template"]["spec"]["containers"][0]["image"])

    @contextmanager
    def stalled_controllers(self) -> Iterator[None]:
        """The cluster's controllers see nothing for a while, and all of it afterwards."""
        controllers = self.sandbox._controllers
        missed: list[Any] = []
        controllers._reconcile = missed.append  # type: ignore[method-assign, assignment]  # as long as this lasts
        try:
            yield
        finally:
            del controllers._reconcile  # the method again
            for key in missed:
                controllers._add(key, 0.0)

    # -- the store -----------------------------------------------------------------------------------------------

    async def incident_events(self, app: str = "web") -> list[str]:
        """The transitions of incidents in order: `drift opened`, `drift resolved (healed)`."""
        entries = [e for e in await self.store.history(app, 500) if e.kind is HistoryKind.INCIDENT]
        return [
            f"{e.details['type']} {e.details['event']}"
            + (f" ({e.details['resolution']})" if e.details["resolution"] else "")
            for e in reversed(entries)
        ]

    async def incidents(self, app: str = "web") -> dict[str, str]:
        """The message of each open incident, by its type."""
        return {str(incident.type): incident.message for incident in await self.store.open_incidents(app)}

    # -- the daemon ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Controller]:
        """Runs the app under a controller that watches the cluster."""
        leases = Leases(self.store)
        engine = Controller({"shop": self.source}, self.recorder(), self.store, leases, self.clock)
        watches = ClusterWatches(
            lambda changed, fresh: LiveCache(self.cluster, changed, fresh, Timing(backoff=0.05, stale_after=0.3)),
            engine.enqueue_changed,
            self.clock,
        )
        self.runner = engine.reconcilers["web"] = self.make_runner(
            Background(watches, lambda: engine.enqueue_changed("web"), asyncio.Lock())
        )
        supervisor = Supervisor()
        engine.start(supervisor)
        engine.request_full_pass("web")
        try:
            yield engine
        finally:
            await engine.stop(5)
            await supervisor.stop()
            await watches.close()


def statuses(report: Report) -> dict[str, Status]:
    """The status of each object, by its kind and name."""
    return {f"{v.ref.kind}/{v.ref.name}": v.status for v in report.verdicts}


async def until(condition: Callable[[], Awaitable[Any] | Any], awaited: str, within: float = 15) -> Any:
    """The first true result of `condition`. Raises: AssertionError: none in time."""
    end = asyncio.get_running_loop().time() + within
    while True:
        answer = condition()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < end, f"waited in vain for {awaited}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def create_world(folder: Path, files: Sequence[tuple[str, str]], **app: Any) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        repository = GitRepo(folder / "repository")
        repository.write({f"app/{name}": text for name, text in files}).commit("Deploy web")
        sandbox = Sandbox(rollout=RolloutSettings(pod_start=0.01, job_duration=0.01))
        requests = Requests(sandbox._api)
        sandbox._api = requests  # type: ignore[assignment]  # it wraps the API
        await stack.enter_async_context(sandbox.serve())
        cluster = await Cluster.connect(ClusterAccess("sandbox", sandbox.write_kubeconfig(folder / "kubeconfig")))
        stack.push_async_callback(cluster.close)
        clock = Clock()
        store = await Store.open(f"sqlite:///{folder / 'history.db'}", clock=clock, monotonic=clock.monotonic)
        stack.push_async_callback(store.close)
        provider = InProcessProvider(folder / "mirrors", CachingParser())
        source = SourceState(GitSource("shop", repository.url, allow_file=True), provider, timedelta(seconds=60), clock)
        await source.fetch()
        settings = {"mode": Mode.OBSERVE, "kinds": frozenset({"CustomResourceDefinition"}), **app}
        described = App("web", "shop", "sandbox", path="app", namespace="web", **settings)
        world = World(folder, repository, sandbox, requests, cluster, store, source, described, clock)
        await world.request(
            "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}
        )
        requests.received.clear()
        yield world
