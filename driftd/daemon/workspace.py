"""The rooms of one configuration, opened together and closed together: for the daemon and for commands alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from driftd.config.app import AppConfig
from driftd.config.folders import cache_folder
from driftd.config.settings import Config
from driftd.daemon.assembly import Clock, app_of, cluster_access, comparison, git_source, utc_now
from driftd.daemon.channels import ObservedChannel, channels
from driftd.desired.source import SourceState
from driftd.diff.compare import Comparison
from driftd.git.mirror import mirror_of
from driftd.incidents.recorder import Recorder
from driftd.kube.openapi import SchemaSource
from driftd.kube.rest_client import Cluster
from driftd.live.cluster import ClusterView
from driftd.model.errors import DriftdError
from driftd.notify.channel import Channel
from driftd.notify.dispatcher import Dispatcher
from driftd.reconcile.reconciler import Reconciler, Watches
from driftd.render.parsed import CachingParser
from driftd.store.store import Store


@dataclass(slots=True)
class Components:
    """What a configuration stands for, made on demand: a source or a cluster that no app needs is never touched."""

    config: Config
    store: Store
    comparison: Comparison
    channels: tuple[Channel, ...]
    dispatcher: Dispatcher
    recorder: Recorder
    now: Clock
    _stack: AsyncExitStack
    _views: dict[str, ClusterView] = field(default_factory=dict)
    _sources: dict[str, SourceState] = field(default_factory=dict)
    _parser: CachingParser = field(default_factory=CachingParser)
    _enrichment_slot: asyncio.Lock = field(default_factory=asyncio.Lock)

    def app_config(self, name: str) -> AppConfig:
        """Raises: DriftdError: there is no such app; the text names those that there are."""
        found = self.config.app(name)
        if found is None:
            known = ", ".join(app.name for app in self.config.apps) or "none"
            raise DriftdError(f"there is no app {name!r} in the configuration (there are: {known})")
        return found

    def source(self, name: str) -> SourceState:
        """The state of a source. Raises: GitError."""
        if name not in self._sources:
            source = next(source for source in self.config.sources if source.name == name)
            mirror = mirror_of(git_source(source), self.config.cache_dir)
            self._sources[name] = SourceState(name, mirror, source.interval, self.now)
        return self._sources[name]

    async def view(self, cluster: str) -> ClusterView:
        """The view of a cluster. Raises: ConfigError, KubeError: its kubeconfig is of no use."""
        if cluster not in self._views:
            found = next(one for one in self.config.all_clusters if one.name == cluster)
            connection = await Cluster.connect(cluster_access(found))
            self._stack.push_async_callback(connection.close)
            self._views[cluster] = ClusterView(connection, SchemaSource(connection, cache_folder() / "openapi"))
        return self._views[cluster]

    async def reconciler(
        self, name: str, watches: Watches | None = None, wake: Callable[[], None] = lambda: None
    ) -> Reconciler:
        """What runs the passes of an app; without `watches` it asks the API server each time.

        `wake` is to ask for one more pass.
        """
        app = app_of(self.app_config(name), self.config)
        return Reconciler(
            app=app,
            source=self.source(app.source),
            view=await self.view(app.cluster),
            store=self.store,
            comparison=self.comparison,
            recorder=self.recorder,
            now=self.now,
            watches=watches,
            parser=self._parser,
            enrichment_slot=self._enrichment_slot,
            wake=wake,
        )


def _uncounted(_channel: str, _ok: bool) -> None:  # as CountedChannel tells it
    """A command has no metrics."""


@asynccontextmanager
async def components(
    config: Config, *, now: Clock = utc_now, on_delivery: Callable[[str, bool], None] = _uncounted
) -> AsyncIterator[Components]:
    """Opens the store and the channels of a configuration. `counted` hears of every delivery. Raises: StoreError."""
    async with AsyncExitStack() as stack:
        store = await Store.open(store_url(config))
        stack.push_async_callback(store.close)
        opened = tuple(ObservedChannel(channel, on_delivery) for channel in channels(config))
        for channel in opened:
            stack.push_async_callback(channel.close)
        dispatcher = Dispatcher(store, opened, now)
        recorder = Recorder(store, [channel.name for channel in opened], now, dispatcher.wake)
        how = comparison(config, await store.redaction_key())
        yield Components(config, store, how, opened, dispatcher, recorder, now, stack)


def store_url(config: Config) -> str:
    """The store's address with its password, where it has one."""
    from sqlalchemy import make_url  # noqa: PLC0415  # only where a store is opened

    url = make_url(config.store.url)
    password = config.store.password
    return (url.set(password=password.read()) if password else url).render_as_string(hide_password=False)
