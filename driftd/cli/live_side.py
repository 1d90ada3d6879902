"""The live side of `driftd check`: clusters whose code is imported, and lists that are begun, while Git is at work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from driftd.cli.output import Format, load
from driftd.kube.kubeconfig import ClusterAccess
from driftd.model.app import App
from driftd.model.resource import Manifest
from driftd.process.lazy_ca import lazy_ca

if TYPE_CHECKING:
    from driftd.daemon.clusters import Clusters
    from driftd.live.api_reader import ApiReader
    from driftd.live.cluster import ClusterView


class LazyClusters:
    """The clusters of a check. What they and the output need is imported in a thread, at the first connection."""

    def __init__(self, output: Format) -> None:
        self._output = output
        self._clusters: Clusters | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._clusters is not None:
            await self._clusters.close()

    async def connect(self, access: ClusterAccess) -> ClusterView:
        """A connection with discovery loaded. Raises: DriftdError: its kubeconfig cannot be used."""
        if self._clusters is None:
            self._clusters = await asyncio.to_thread(import_clusters, self._output)
        return await self._clusters.connect_and_discover(access)


class Prefetch:
    """Begins to list live objects as soon as the first manifests of an app show which ones are needed."""

    def __init__(self, app: App, connecting: asyncio.Task[ClusterView]) -> None:
        self._app = app
        self._connecting = connecting
        self._loop = asyncio.get_running_loop()
        self._first_batch: asyncio.Future[Sequence[Manifest]] = self._loop.create_future()
        self._reader: ApiReader | None = None
        self._prefetching = asyncio.create_task(self._prefetch())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._prefetching.cancel()
        await asyncio.gather(self._prefetching, return_exceptions=True)
        if self._reader is not None:
            await self._reader.close()

    def on_first_batch(self, manifests: Sequence[Manifest]) -> None:
        """Takes some of the app's manifests, from any thread. Only the first call counts."""
        self._loop.call_soon_threadsafe(self._set_first_batch, manifests)

    async def reader(self) -> ApiReader:
        """A reader for all manifests of the app. Raises: DriftdError: there is no connection."""
        self._set_first_batch(())
        return await self._prefetching

    def _set_first_batch(self, manifests: Sequence[Manifest]) -> None:
        if not self._first_batch.done():
            self._first_batch.set_result(manifests)

    async def _prefetch(self) -> ApiReader:
        manifests = await self._first_batch
        view = await asyncio.shield(self._connecting)
        from driftd.daemon.clusters import prefetch  # noqa: PLC0415  # imported by `import_clusters` already
        from driftd.live.api_reader import ApiReader  # noqa: PLC0415  # as above

        self._reader = ApiReader(view.cluster)
        await prefetch(self._reader, self._app, view, manifests)
        return self._reader


def import_clusters(output: Format) -> Clusters:
    """Imports all that talks to clusters, and what prints `output`. Blocking."""
    with lazy_ca():
        from driftd.daemon.clusters import Clusters  # noqa: PLC0415  # slow to import

    load(output)
    return Clusters()
