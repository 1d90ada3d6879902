"""`driftd run`: the process, its configuration file and its web servers, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog
from starlette.applications import Starlette

from driftd import __version__
from driftd.config.loading import load, load_or_default
from driftd.config.settings import Config, WebConfig
from driftd.config.values import ListenAddress
from driftd.daemon.discovery import DiscoveredApps, discovering
from driftd.daemon.messaging import Messaging
from driftd.daemon.patterns import PatternApps
from driftd.daemon.running import Running, delivering, running
from driftd.model.audit import AuditEvent
from driftd.model.deployer import Deployer
from driftd.model.errors import ConfigError, StoreError
from driftd.model.report import Report
from driftd.model.secret import Secret
from driftd.process.confined import guarantees
from driftd.process.files import read_file
from driftd.process.garbage_collector import tune_gc
from driftd.process.supervisor import Supervisor
from driftd.process.threads import set_switch_interval
from driftd.process.tls import limit_tls_buffers
from driftd.service.queries import Queries
from driftd.web.app import create_app, create_probes_app
from driftd.web.audit_receiver import create_audit_app
from driftd.web.metrics import Metrics
from driftd.web.server import Certificate, Server, serve

log = structlog.get_logger(__name__)

_CONFIG_POLL_SECONDS = 5.0
"""Seconds between two looks at the configuration file."""

_SWITCH_INTERVAL = 0.001
"""Seconds for which a thread that computes may keep the event loop waiting: a pass hands work to threads and back."""


class Daemon:
    """One process of driftd. A changed configuration is taken up as a whole, or not at all.

    `on_configuration` is called with each configuration before it is used. `discover` takes the place of what the file
    says of it; there need be no file then. `credentials` lets it use the deployers' logins, whatever the file says.
    """

    def __init__(
        self,
        file: Path,
        on_configuration: Callable[[Config], None] = lambda _: None,
        discover: tuple[Deployer, ...] = (),
        *,
        credentials: bool = False,
    ) -> None:
        self._file = file
        self._on_configuration = on_configuration
        self._discover = discover
        self._credentials = credentials
        self._metrics = Metrics()
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._supervisor = Supervisor(self._metrics.observe_task)
        self._servers: list[Server] = []
        self._mistakes: tuple[str, ...] = ()
        self._followed = False
        self._content: bytes | None = None
        self._running: Running | None = None

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT. Raises: ConfigError, DriftdError: it cannot start."""
        self._content = _content(self._file)  # before it is loaded: a change in between is one
        config = self._load()
        loop = asyncio.get_running_loop()
        set_switch_interval(_SWITCH_INTERVAL)
        tune_gc()
        limit_tls_buffers()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        self._supervisor.start("configuration file", self._watch_file)
        try:
            while not self._stopping.is_set():
                async with AsyncExitStack() as stack:
                    self._servers = await self._serve(config.web, stack)
                    apps = [app.name for app in config.apps]
                    url = self._servers[0].url
                    log.info("started", version=__version__, web=url, apps=apps, rendering=str(guarantees()))
                    config = await self._run_same_address(config, config.web)
        finally:
            await self._supervisor.stop()
        log.info("stopped")

    def _load(self) -> Config:
        """Raises: ConfigError."""
        config = load_or_default(self._file) if self._discover else load(self._file)
        if self._discover:
            config = config.model_copy(update={"discover": tuple(map(str, self._discover))})
        if self._credentials:
            config = config.model_copy(update={"deployer_credentials": True})
        self._on_configuration(config)
        return config

    async def _serve(self, web: WebConfig, stack: AsyncExitStack) -> list[Server]:
        """Starts the web servers, which stop with `stack`; the first one is that of metrics and API."""
        wanted: list[tuple[Starlette, ListenAddress, Certificate | None]] = [
            (create_app(self, self._metrics), web.listen, None)
        ]
        if web.probes:
            wanted.append((create_probes_app(self), web.probes, None))
        if web.audit:
            certificate = Certificate(web.audit.cert_file, web.audit.key_file)
            wanted.append((create_audit_app(self), web.audit.listen, certificate))
        return [
            await stack.enter_async_context(serve(app, address.host, address.port, certificate))
            for app, address, certificate in wanted
        ]

    async def _run_same_address(self, config: Config, web: WebConfig) -> Config:
        """Runs until the end, or until the web servers have to change; returns the configuration in force."""
        while not self._stopping.is_set() and config.web == web:
            async with delivering(config, self._metrics, self._supervisor) as opened:
                config = await self._run_same_channels(config, opened)
        return config

    async def _run_same_channels(self, config: Config, opened: Messaging) -> Config:
        """The same, or until the store or the channels have to change: until then, messages are sent as they come."""
        kept = (config.web, config.store, config.notify)
        while not self._stopping.is_set() and (config.web, config.store, config.notify) == kept:
            async with discovering(config, self._changed.set, self._supervisor) as discovered:
                await self._or_stop(discovered.first_look())
                config = await self._run_same_configuration(config, opened, discovered)
        return config

    async def _run_same_configuration(self, config: Config, opened: Messaging, discovered: DiscoveredApps) -> Config:
        """The same, or until anything of the configuration changes. Apps that are found come and go meanwhile."""
        new, patterns = config, PatternApps(config, self._changed.set)
        await self._or_stop(patterns.look_at_mirrors())
        while not self._stopping.is_set() and new == config:
            async with running(config, self._metrics, opened, self._supervisor, discovered, patterns) as self._running:
                new = await self._until_changed(config)
            self._running = None
        return new

    async def _or_stop(self, what: Coroutine[Any, Any, Any]) -> None:
        """Waits for something, or until the daemon has to stop."""
        tasks = {asyncio.create_task(what), asyncio.create_task(self._stopping.wait())}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    async def _until_changed(self, config: Config) -> Config:
        while True:
            # Set already where something has changed since the configuration was loaded, while it was taken up.
            await self._or_stop(self._changed.wait())
            if self._stopping.is_set():
                return config
            self._changed.clear()
            try:
                new = self._load()
            except ConfigError as error:
                if tuple(error.mistakes) != self._mistakes:  # else a signal and the file's change were one
                    log.error("new configuration refused, the old one stays", mistakes=error.mistakes)  # noqa: TRY400  # the user's mistake
                await self._record_reload(error.mistakes)
            else:
                await self._record_reload(())
                if new != config:
                    log.info("configuration reloaded", file=str(self._file))
                    return new
            if self._running is not None and not self._running.take_discovered():
                log.info("apps have come or gone, and the passes begin anew")
                return config

    async def _record_reload(self, mistakes: Sequence[str]) -> None:
        """Tells whether the configuration file is in force: in the metrics, at /readyz, and by an incident."""
        self._mistakes = tuple(mistakes)
        self._metrics.observe_reload(ok=not mistakes)
        await self._follow_incident()

    async def _follow_incident(self) -> None:
        """Opens, changes or ends the incident of the configuration file; what fails is tried again later."""
        self._followed = False
        if self._running is None:
            return
        try:
            await self._running.components.recorder.record_reload(self._file.name, self._mistakes)
        except StoreError as error:
            log.error("reload not recorded", error=str(error))  # noqa: TRY400  # the text says it all
        else:
            self._followed = True

    def _on_hangup(self) -> None:
        self._changed.set()
        if self._running is not None:
            self._running.fetch_now()

    async def _watch_file(self) -> None:
        while True:
            await asyncio.sleep(_CONFIG_POLL_SECONDS)
            content = await asyncio.to_thread(_content, self._file)
            if content != self._content:
                self._content = content
                self._changed.set()
            elif not self._followed:
                await self._follow_incident()

    # -- what the web server asks ----------------------------------------------------------------------------------

    def unhealthy(self) -> Sequence[str]:
        stuck = self._running is not None and self._running.stuck()
        ended = [f"the web server at {server.url} has ended" for server in self._servers if server.ended]
        return [*self._supervisor.failed(), *ended, *(["a pass has been stuck for a long time"] if stuck else [])]

    def not_ready(self) -> Sequence[str]:
        return ["starting"] if self._running is None else self._running.not_ready()

    def warnings(self) -> Sequence[str]:
        refused = "the new configuration was refused, the one before stays in force: "
        return [refused + mistake for mistake in self._mistakes]

    def queries(self) -> Queries | None:
        return self._running.components.queries if self._running is not None else None

    def audit_token(self) -> Secret | None:
        audit = self._running.config.web.audit if self._running is not None else None
        return audit.token if audit is not None else None

    def audit(self, cluster: str | None, events: Sequence[AuditEvent]) -> bool:
        return self._running is not None and self._running.audit(cluster, events)

    def reports(self) -> Sequence[Report]:
        return self._running.reports() if self._running is not None else ()

    def apps_of_others(self) -> Mapping[str, str]:
        return self._running.apps_of_others() if self._running is not None else {}


def _content(file: Path) -> bytes | None:
    try:
        return read_file(file)
    except OSError:
        return None
