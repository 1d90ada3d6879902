"""The composition root: the components of one configuration, opened and closed together, for daemon and commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

from driftd.config.expansion import NotJudged
from driftd.config.settings import Config
from driftd.daemon.assembly import Clock, app_of, cluster_access, comparison_of, git_source, utc_now
from driftd.daemon.clusters import Clusters
from driftd.daemon.messaging import Messaging, messaging
from driftd.desired.provider import InProcessProvider
from driftd.desired.rendering_pool import RenderingPool
from driftd.desired.source import SourceState
from driftd.diff.compare import Comparison
from driftd.discovery.deployed import DeployedApp
from driftd.incidents.recorder import Recorder
from driftd.live.cluster import ClusterView
from driftd.model.app import App
from driftd.model.errors import DriftdError
from driftd.reconcile.declared_objects import DeclaredObjects
from driftd.reconcile.leases import Leases
from driftd.reconcile.reconciler import Reconciler, Shared
from driftd.reconcile.scan import Background, Watches
from driftd.reconcile.unread_apps import UnreadApps
from driftd.render.parser import CachingParser
from driftd.service.commands import Commands
from driftd.service.queries import Queries

DISCOVERED_INTERVAL = timedelta(minutes=5)
"""How often the commit of an app that was found is looked for, if it is not mirrored: what is deployed is watched."""


class Components:
    """The components of one configuration, made on demand: a source or a cluster that no app needs is never touched."""

    def __init__(
        self,
        config: Config,
        opened: Messaging,
        comparison: Comparison,
        now: Clock,
        discovered: Sequence[DeployedApp] = (),
        not_judged: Callable[[], NotJudged] = dict,
    ) -> None:
        self.config = config
        self.discovered = {one.app.name: one for one in discovered}
        self.apps = {app.name: app_of(app, config) for app in config.apps}
        self.apps |= {name: replace(one.app, source=name) for name, one in self.discovered.items()}
        self.store = store = opened.store
        self.comparison = comparison
        self.dispatcher = opened.dispatcher
        self.now = now
        self.channels = opened.channels
        self.recorder = Recorder(store, self.channels, now, self.dispatcher.wake)
        self.clusters = Clusters()
        self.leases = Leases(store)
        self.commands = Commands(store, now)
        apps = list(self.apps.values())
        self.queries = Queries(store, apps, discovers=bool(config.discover), not_judged=not_judged)
        self.rendering = RenderingPool()
        self._provider = InProcessProvider(config.cache_dir, CachingParser(), self.rendering.render)
        self._sources: dict[str, SourceState] = {}
        self._enrichment_slot = asyncio.Lock()
        self.declared = DeclaredObjects()
        self.unread = UnreadApps(self.declared, apps)

    def app(self, name: str) -> App:
        """Raises: DriftdError: there is no such app; the text names those that there are."""
        if name not in self.apps:
            known = ", ".join(self.apps) or "none"
            raise DriftdError(f"there is no app {name!r} in the configuration (there are: {known})")
        return self.apps[name]

    def source(self, name: str) -> SourceState:
        """The state of a source. Raises: GitError."""
        if name in self.discovered and name not in self._sources:
            found = self.discovered[name]
            self._sources[name] = SourceState(
                found.source,
                self._provider,
                DISCOVERED_INTERVAL,
                self.now,
                name=name,
                commit=found.commit,
                next_=found.next,
            )
        elif name not in self._sources:
            source = next(source for source in self.config.sources if source.name == name)
            self._sources[name] = SourceState(git_source(source), self._provider, source.interval, self.now)
        return self._sources[name]

    async def view(self, cluster: str) -> ClusterView:
        """The view of a cluster. Raises: ConfigError, KubeError: its kubeconfig is of no use."""
        return await self.clusters.connect(
            cluster_access(next(one for one in self.config.all_clusters if one.name == cluster))
        )

    def background(self, watches: Watches, wake: Callable[[], None]) -> Background:
        """What a reconciler of the daemon has beside its passes. `wake` requests a pass."""
        return Background(watches, wake, self._enrichment_slot)

    async def reconciler(self, name: str, background: Background | None = None) -> Reconciler:
        """The reconciler of an app; without a `background` each pass reads from the API server."""
        app = self.app(name)
        return Reconciler(
            app,
            self.source(app.source),
            await self.view(app.cluster),
            self._shared(name, read_by_passes=background is not None),
            background=background,
            check_lease=partial(self.leases.check, name),
        )

    def _shared(self, name: str, *, read_by_passes: bool) -> Shared:
        """What the reconcilers share. Of a command, the other apps are read before its pass, and never by one."""
        unread = self.unread if read_by_passes else UnreadApps(self.declared)
        comparison = self.comparison
        if name in self.discovered:
            comparison = comparison.with_ignored(self.discovered[name].ignore)
        return Shared(self.store, comparison, self.recorder, self.now, declared=self.declared, unread=unread)


@asynccontextmanager
async def components(
    config: Config,
    opened: Messaging | None = None,
    *,
    now: Clock = utc_now,
    discovered: Sequence[DeployedApp] = (),
    not_judged: Callable[[], NotJudged] = dict,
) -> AsyncIterator[Components]:
    """The components of a configuration, with what is `opened` already; by default its store is opened and closed.

    `discovered` are the apps that were found in its clusters. Each app has its own entry in `config`, and `not_judged`
    tells what could not be made one.

    Raises: StoreError.
    """
    async with AsyncExitStack() as stack:
        if opened is None:
            opened = await stack.enter_async_context(messaging(config, now=now))
        comparison = comparison_of(config, await opened.store.redaction_key())
        made = Components(config, opened, comparison, now, discovered, not_judged)
        stack.push_async_callback(made.clusters.close)
        stack.push_async_callback(made.rendering.close)
        stack.push_async_callback(made.leases.release)
        yield made
