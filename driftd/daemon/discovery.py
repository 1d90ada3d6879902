"""The apps that other deployers have in the clusters of a configuration, followed while the daemon runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import structlog

from driftd.config.settings import ClusterConfig, Config
from driftd.daemon.assembly import cluster_access
from driftd.daemon.clusters import Clusters
from driftd.discovery.cluster import Kind, Values, deployed_from_git, find_resource, kinds_of
from driftd.discovery.deployed import DeployedApp, NotJudged, Object
from driftd.kube.cache import LiveCache, Timing
from driftd.live.cluster import ClusterView
from driftd.model.errors import DriftdError, KubeError
from driftd.process.supervisor import Supervisor

log = structlog.get_logger(__name__)

_SETTLE_SECONDS = 2.0
"""After a change, so that many of them are looked at once."""

_LOOK_SECONDS = 300.0
"""Between two looks without a change: kinds may have come that were not served before."""

_VALUES_SECONDS = 60.0
"""For which variables of Flux, and logins, count that were read: they are not watched."""

_RETRY_SECONDS = 15.0

_FIRST_LOOK_SECONDS = 30.0


class DiscoveredApps:
    """What the deployers of a configuration deploy, as of the last complete look at each cluster.

    A cluster that cannot be read keeps the apps that it had, and is itself among what cannot be judged.
    """

    def __init__(self, config: Config, on_change: Callable[[], None]) -> None:
        self._config = config
        self._on_change = on_change
        self._clusters = Clusters()
        self._found: dict[str, Sequence[DeployedApp | NotJudged]] = {}
        self._errors: dict[str, str] = {}
        self._looked = {cluster.name: asyncio.Event() for cluster in config.all_clusters}

    @property
    def apps(self) -> list[DeployedApp]:
        """The apps that can be judged, by name."""
        found = [one for name in self._found for one in self._found[name] if isinstance(one, DeployedApp)]
        return sorted(found, key=lambda one: one.app.name)

    @property
    def not_judged(self) -> Mapping[str, tuple[str, str]]:
        """What cannot be judged by name, with the cluster and the reason."""
        unread = {
            self._qualified("discovery", name): (name, f"what is deployed to it cannot be read: {error}")
            for name, error in self._errors.items()
        }
        found = [(name, one) for name in self._found for one in self._found[name] if isinstance(one, NotJudged)]
        return unread | {one.name: (name, one.reason) for name, one in found}

    @property
    def is_complete(self) -> bool:
        """Whether every cluster was read, so that an app that is not among these is gone."""
        return self._found.keys() >= self._looked.keys() and not self._errors

    async def first_look(self) -> None:
        """Waits until every cluster was read, or could not be; for half a minute at most."""
        if not self._config.discover:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOOK_SECONDS):
                await asyncio.gather(*(looked.wait() for looked in self._looked.values()))

    async def follow(self, cluster: ClusterConfig) -> None:
        """Looks at one cluster whenever something of its deployers changes, until it is cancelled."""
        while True:
            try:
                await self._follow(cluster.name, await self._clusters.connect(cluster_access(cluster)))
            except DriftdError as error:
                self._take(cluster.name, None, str(error))
            await asyncio.sleep(_RETRY_SECONDS)

    async def close(self) -> None:
        await self._clusters.close()

    async def _follow(self, name: str, view: ClusterView) -> None:
        """Raises: KubeError: discovery failed."""
        changed = asyncio.Event()
        watch = self._config.watch
        timing = Timing(bookmark_timeout=watch.silence.total_seconds(), relist_interval=watch.relist.total_seconds())
        cache = LiveCache(view.cluster, lambda _: changed.set(), lambda *_: changed.set(), timing)
        values = Values.of(view, credentials=self._config.deployer_credentials, max_age=_VALUES_SECONDS)
        try:
            while True:
                changed.clear()
                found, error = await self._look(view, cache, values)
                self._take(name, found, error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS if error is None else _RETRY_SECONDS):
                        await changed.wait()
                await asyncio.sleep(_SETTLE_SECONDS)
        finally:
            await cache.close()

    async def _look(
        self, view: ClusterView, cache: LiveCache, values: Values
    ) -> tuple[Sequence[DeployedApp | NotJudged] | None, str | None]:
        """What is deployed to a cluster, or why it is not known. Raises: KubeError."""
        deployers = self._config.deployers
        resources = [await find_resource(view, kind) for kind in kinds_of(deployers)]
        await cache.watch_scopes([(resource, None) for resource in resources if resource is not None])
        error: str | None = None

        async def listed(kind: Kind) -> Sequence[Object]:
            nonlocal error
            resource = await find_resource(view, kind)
            try:
                return [one.object for one in cache.items((resource, None))] if resource is not None else []
            except KubeError as unread:
                error = str(unread)
                raise

        found = await deployed_from_git(view, deployers, listed, values)
        return (None, error) if error is not None else ([self._named(one, view.name) for one in found], None)

    def _take(self, cluster: str, found: Sequence[DeployedApp | NotJudged] | None, error: str | None) -> None:
        before = (self.apps, self.not_judged)
        if found is not None:
            self._found[cluster] = found
        if error is None:
            self._errors.pop(cluster, None)
        elif self._errors.get(cluster) != error:
            log.error("what is deployed to a cluster cannot be read", cluster=cluster, error=error)
            self._errors[cluster] = error
        self._looked[cluster].set()
        if before != (self.apps, self.not_judged):
            self._on_change()

    def _named(self, one: DeployedApp | NotJudged, cluster: str) -> DeployedApp | NotJudged:
        if isinstance(one, NotJudged):
            return replace(one, name=self._qualified(one.name, cluster))
        return replace(one, app=replace(one.app, name=self._qualified(one.app.name, cluster)))

    def _qualified(self, name: str, cluster: str) -> str:
        """A name that no app of another cluster has."""
        return name if len(self._looked) == 1 else f"{name}@{cluster}"


@asynccontextmanager
async def discovering(
    config: Config, on_change: Callable[[], None], supervisor: Supervisor
) -> AsyncIterator[DiscoveredApps]:
    """The apps that are found in the clusters of a configuration; `on_change` is called when they have changed."""
    discovered = DiscoveredApps(config, on_change)
    tasks = []
    if config.discover:
        for cluster in config.all_clusters:
            tasks.append(f"discovery/{cluster.name}")
            supervisor.start(tasks[-1], partial(discovered.follow, cluster))
    try:
        yield discovered
    finally:
        if tasks:
            await supervisor.stop(*tasks)
        await discovered.close()
