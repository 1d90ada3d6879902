"""`driftd run`: the engine, its timers, its watches and its web server, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import structlog

from driftd import __version__
from driftd.config.loading import load
from driftd.config.settings import Config
from driftd.daemon.assembly import utc_now
from driftd.daemon.timers import Timers
from driftd.daemon.workspace import Components, components
from driftd.kube.cache import LiveCache
from driftd.live.actors import AuditEvent
from driftd.live.watches import ClusterWatches
from driftd.model.errors import ConfigError, DriftdError
from driftd.model.report import Report
from driftd.model.secret import Secret
from driftd.process.tuning import freeze_heap, limit_tls_buffers, tune_gc
from driftd.reconcile.controller import Controller
from driftd.reconcile.reconciler import PassResult
from driftd.web.app import create_app
from driftd.web.audit import AuditWrite
from driftd.web.audit_receiver import create_audit_app
from driftd.web.metrics import Metrics
from driftd.web.server import Certificate, serve

log = structlog.get_logger(__name__)

_CONFIG_POLL_SECONDS = 5.0
"""Seconds between two looks at the configuration file."""

_GRACE_SECONDS = 6.0
"""Seconds that passes under way have to end; with the web server's own it stays under ten."""

_SETUP_RETRY_SECONDS = 10.0
"""Seconds until an app whose cluster cannot be logged in to is tried again."""

_STUCK_AFTER = timedelta(minutes=10)
"""How long one pass may take before the process counts as stuck."""

_PRUNE_INTERVAL = timedelta(hours=6)

_SWITCH_INTERVAL = 0.001
"""Seconds for which a thread that computes may keep the event loop waiting: a pass hands work to threads and back."""

_HOUSEKEEPING_SECONDS = 5.0
"""Seconds between two looks at how the daemon itself is."""


class Daemon:
    """One process of driftd. A changed configuration is taken up as a whole, or not at all."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._metrics = Metrics()
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._running: Running | None = None

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT. Raises: ConfigError, DriftdError: it cannot start."""
        config = load(self._file)
        loop = asyncio.get_running_loop()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        tune_gc()
        limit_tls_buffers()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        watcher = asyncio.create_task(self._watch_file(), name="config")
        try:
            while not self._stopping.is_set():
                async with AsyncExitStack() as stack:
                    server = await stack.enter_async_context(
                        serve(create_app(self, self._metrics), config.web.listen.host, config.web.listen.port)
                    )
                    log.info("started", version=__version__, web=server.url, apps=[app.name for app in config.apps])
                    if audit := config.web.audit:
                        certificate = Certificate(audit.cert_file, audit.key_file)
                        address = (audit.listen.host, audit.listen.port)
                        await stack.enter_async_context(serve(create_audit_app(self), *address, certificate))
                    config = await self._run_same_address(config)
        finally:
            watcher.cancel()
        log.info("stopped")

    async def _run_same_address(self, config: Config) -> Config:
        """Runs until the end, or until the web servers have to change; returns the configuration in force."""
        web = config.web
        while not self._stopping.is_set() and config.web == web:
            async with running(config, self._metrics) as self._running:
                config = await self._until_changed(config)
            self._running = None
        return config

    async def _until_changed(self, config: Config) -> Config:
        while True:
            self._changed.clear()
            stop, change = (asyncio.create_task(event.wait()) for event in (self._stopping, self._changed))
            await asyncio.wait({stop, change}, return_when=asyncio.FIRST_COMPLETED)
            for task in (stop, change):
                task.cancel()
            if self._stopping.is_set():
                return config
            try:
                new = load(self._file)
            except ConfigError as error:
                log.error("new configuration refused, the old one stays", mistakes=error.mistakes)  # noqa: TRY400  # the user's mistake
                self._metrics.observe_reload(ok=False)
                continue
            self._metrics.observe_reload(ok=True)
            if new != config:
                log.info("configuration reloaded", file=str(self._file))
                return new

    def _on_hangup(self) -> None:
        self._changed.set()
        if self._running is not None:
            self._running.fetch_now()

    async def _watch_file(self) -> None:
        known = await asyncio.to_thread(_content, self._file)
        while True:
            await asyncio.sleep(_CONFIG_POLL_SECONDS)
            content = await asyncio.to_thread(_content, self._file)
            if content != known:
                known = content
                self._changed.set()

    # -- what the web server asks ----------------------------------------------------------------------------------

    def alive(self) -> bool:
        return self._running is None or self._running.alive()

    def ready(self) -> Sequence[str]:
        return ["starting"] if self._running is None else self._running.not_ready()

    def audit_token(self) -> Secret | None:
        audit = self._running.space.config.web.audit if self._running is not None else None
        return audit.token if audit is not None else None

    def audit(self, cluster: str | None, writes: Sequence[AuditWrite]) -> bool:
        return self._running is not None and self._running.audit(cluster, writes)

    def reports(self) -> Sequence[Report]:
        return self._running.engine.reports if self._running is not None else ()


class Running:
    """The engine of one configuration at work."""

    def __init__(self, components: Components, controller: Controller, scheduler: Timers) -> None:
        self.space = components
        self.engine = controller
        self.watches: dict[str, ClusterWatches] = {}
        self._scheduler = scheduler
        self.unreachable: dict[str, str] = {}
        """Apps that could not be set up, with the reason."""

    def fetch_now(self) -> None:
        self._scheduler.fetch_now()

    def audit(self, cluster: str | None, writes: Sequence[AuditWrite]) -> bool:
        """Takes in the writes that a cluster's audit log tells of. False: there is no such cluster."""
        clusters = [one.name for one in self.space.config.all_clusters]
        name = cluster or clusters[0]
        if name not in clusters:
            return False
        watches = self.watches.get(name)
        if watches is not None:
            for write in writes:
                ref = watches.ref_of(write.group, write.plural, write.namespace, write.name)
                if ref is not None:
                    watches.record_audit(AuditEvent(
                        ref, write.verb, write.user, write.source, write.manager,
                        write.time, write.answered, write.subresource,
                    ))  # fmt: skip
        return True

    def alive(self) -> bool:
        return not self.engine.stuck(_STUCK_AFTER)

    def not_ready(self) -> list[str]:
        """Why not everything is known yet."""
        reasons = [f"app {app}: {reason}" for app, reason in self.unreachable.items()]
        reasons += [
            f"source {s.name} has not been fetched yet" for s in self.engine.sources.values() if s.last_attempt is None
        ]
        reasons += [
            f"app {name} has had no pass yet" for name in self.engine.reconcilers if name not in self.engine.results
        ]
        return reasons


@asynccontextmanager
async def running(config: Config, metrics: Metrics) -> AsyncIterator[Running]:
    """Everything of one configuration, started; stopped in the order that loses nothing."""
    async with components(config, on_delivery=lambda name, ok: metrics.observe_delivery(name, ok=ok)) as space:
        sources = {source.name: space.source(source.name) for source in config.sources}
        engine = Controller(sources, space.recorder, space.now, [_observer(metrics)])
        scheduler = Timers(lambda name: _fetch(engine, name, metrics), engine.request_full_pass)
        now_running = Running(space, engine, scheduler)
        metrics.retain(
            apps={app.name: config.cluster_of(app).name for app in config.apps},
            sources=list(sources),
            channels=[channel.name for channel in space.channels],
        )
        for state in sources.values():
            await state.resume()
        for app in config.apps:
            await _add_app(now_running, app.name, config)
            scheduler.every_app(app.name, app.interval)
            if sources[app.source].revision is not None:
                engine.request_full_pass(app.name)
        for source in config.sources:
            scheduler.every_source(source.name, source.interval)
        dispatching = asyncio.create_task(space.dispatcher.run(), name="dispatcher")
        tending = asyncio.create_task(_housekeeping(now_running, metrics), name="housekeeping")
        setting_up = asyncio.create_task(_set_up_late(now_running, config), name="late apps")
        engine.start()
        scheduler.start()
        try:
            yield now_running
        finally:
            scheduler.stop()
            await engine.stop(_GRACE_SECONDS)
            await space.dispatcher.drain(1.0)
            for task in (dispatching, tending, setting_up):
                task.cancel()
            await asyncio.gather(dispatching, tending, setting_up, return_exceptions=True)
            for watches in now_running.watches.values():
                await watches.close()


async def _add_app(now_running: Running, name: str, config: Config) -> None:
    space, engine = now_running.space, now_running.engine
    app = space.app_config(name)
    cluster = config.cluster_of(app).name
    try:
        view = await space.view(cluster)
    except DriftdError as error:
        if now_running.unreachable.get(name) != str(error):
            log.error("app cannot be set up", app=name, error=str(error))  # noqa: TRY400  # the text says it all
        now_running.unreachable[name] = str(error)
        return
    now_running.unreachable.pop(name, None)
    watches = now_running.watches.get(cluster)
    if watches is None:
        watches = ClusterWatches(
            lambda changed, freshness: LiveCache(view.cluster, changed, freshness), engine.enqueue_changed, space.now
        )
        now_running.watches[cluster] = watches
    engine.reconcilers[name] = await space.reconciler(name, watches, lambda: engine.enqueue_changed(name))


async def _set_up_late(now_running: Running, config: Config) -> None:
    """Tries again what could not be set up at the start: a kubeconfig or a login may come later."""
    while True:
        await asyncio.sleep(_SETUP_RETRY_SECONDS)
        for name in list(now_running.unreachable):
            await _add_app(now_running, name, config)
            now_running.engine.request_full_pass(name)


async def _fetch(engine: Controller, name: str, metrics: Metrics) -> float | None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    again = await engine.fetch(name)
    source = engine.sources[name]
    metrics.observe_fetch(
        name, ok=source.error is None, seconds=loop.time() - started, time=source.last_attempt or utc_now()
    )
    return again


def _observer(metrics: Metrics) -> Callable[[PassResult], None]:
    def observe(result: PassResult) -> None:
        metrics.observe_pass(result.report, result.seconds, held=result.hold is not None)
        if result.action is not None:
            metrics.observe_action(result.action)

    return observe


async def _housekeeping(now_running: Running, metrics: Metrics) -> None:
    """Keeps the queue's depth in the metrics, tells of rules that are of no use, and keeps the store within bounds."""
    loop = asyncio.get_running_loop()
    next_pruning = loop.time()
    settled = False
    while True:
        metrics.observe_queue(len(now_running.engine.queue))
        if not now_running.not_ready():
            unused = now_running.space.comparison.ignored.unused()
            metrics.observe_unused_rules(len(unused))
            if not settled:
                settled = True
                for rule in unused:
                    log.warning("ignore rule has matched nothing", rule=str(rule))
                freeze_heap()
        if loop.time() >= next_pruning:
            next_pruning = loop.time() + _PRUNE_INTERVAL.total_seconds()
            try:
                await now_running.space.store.prune()
            except DriftdError as error:
                log.error("the store could not be pruned", error=str(error))  # noqa: TRY400  # the text says it all
        await asyncio.sleep(_HOUSEKEEPING_SECONDS)


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
