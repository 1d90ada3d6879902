"""A worker process for Git and parsing: Python runs on one core, and this takes about as long as reading the cluster.

Requests name a source and an app. The worker streams manifests as they are parsed and, once this process is idle,
files to be parsed in this process. If the worker dies, this process does the work. The worker's loop is in
`worker_main.py`; measurements, and what the worker is not used for, are in docs/adr/0016.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from driftd.desired.state import CapabilitiesSource, Desired
from driftd.desired.worker_messages import (
    CapabilitiesNeeded,
    FetchRequest,
    ParseBatch,
    ParsedBatch,
    ReadyForBatch,
    RenderRequest,
    RenderResult,
)
from driftd.model.errors import DriftdError
from driftd.render.rendering import RenderedPart, Rendering

if TYPE_CHECKING:
    from driftd.desired.provider import InProcessProvider, OnFirstBatch
    from driftd.desired.sources import Source
    from driftd.git.mirrored_commits import MirroredCommits
    from driftd.model.app import App, RenderOptions
    from driftd.model.revision import Revision

_BATCHES_AHEAD = 2
"""Batches of files requested ahead: one is parsed while the next one is sent."""

A = TypeVar("A")
B = TypeVar("B")

log = structlog.get_logger(__name__)


class GitWorker:
    """A `DesiredStateProvider` that works in another process, with one request at a time."""

    def __init__(self, connection: Connection, cache: Path, end: Callable[[], None]) -> None:
        self._connection = connection
        self._cache = cache
        self._end = end
        self._send_lock = threading.Lock()
        self._in_process_provider: InProcessProvider | None = None
        self._gone = False
        self._stealing = False

    def mirror(self, source: Source) -> MirroredCommits:
        """The local mirror of a source, which the worker fetches into."""
        return self._in_process.mirror(source)

    async def fetch(self, source: Source) -> Revision:
        """Fetches the source's reference from the remote. Raises: GitError."""

        def request() -> Revision:
            self._send(FetchRequest(source))
            revision: Revision = self._receive()
            return revision

        return await self._call(request, lambda provider: provider.fetch(source))

    async def desired(
        self,
        source: Source,
        app: App,
        revision: Revision,
        capabilities: CapabilitiesSource | None = None,
        on_first_batch: OnFirstBatch | None = None,
    ) -> Desired:
        """What an app declares at a fetched revision. `on_first_batch` is called from a thread.

        Raises: GitError: the path does not exist. KubeError: of `capabilities`, which only a chart asks for.
        """

        def request(options: RenderOptions, *, ask: bool) -> Rendering | None:
            self._send(RenderRequest(source, revision.sha, app.path, options, ask))
            return self._receive_rendering(options.namespace, on_first_batch)

        def fallback(provider: InProcessProvider) -> Awaitable[Desired]:
            return provider.desired(source, app, revision, capabilities, on_first_batch)

        answer = await self._call(partial(request, app.rendering, ask=capabilities is not None), fallback)
        if isinstance(answer, Desired):
            return answer
        if answer is not None or capabilities is None:
            assert answer is not None  # noqa: S101  # the worker asks for capabilities only if it may
            return Desired.of(revision, answer, app)
        found = await capabilities()
        answer = await self._call(partial(request, app.rendering.for_cluster(found), ask=False), fallback)
        if isinstance(answer, Desired):
            return answer
        assert answer is not None  # noqa: S101  # as above
        return Desired.of(revision, answer, app, found)

    def steal_work(self) -> None:
        """Declares this process idle: from now on it parses batches of files for the worker, too."""
        if self._stealing:
            return
        self._stealing = True
        with suppress(OSError):  # the worker is gone: the next request falls back
            for _ in range(_BATCHES_AHEAD):
                self._send(ReadyForBatch())

    async def _call(self, request: Callable[[], A], fallback: Callable[[InProcessProvider], Awaitable[B]]) -> A | B:
        """The result of a request to the worker, or of `fallback` in this process once the worker is gone."""
        if not self._gone:
            try:
                return await asyncio.to_thread(request)
            except (EOFError, OSError) as error:
                # It was killed, or hit a defect, which is raised if it occurs in this process, too.
                log.debug("git worker has ended", error=repr(error))
                self._gone = True
            except asyncio.CancelledError:
                self._end()  # the thread would wait for it
                raise
        return await fallback(self._in_process)

    @property
    def _in_process(self) -> InProcessProvider:
        if self._in_process_provider is None:
            from driftd.desired.provider import InProcessProvider  # noqa: PLC0415  # not before the fork

            self._in_process_provider = InProcessProvider(self._cache)
        return self._in_process_provider

    def _receive_rendering(self, namespace: str, on_first_batch: OnFirstBatch | None) -> Rendering | None:
        """The rendering, or None if the folder is a chart, and the cluster has to be asked first."""
        by_file: dict[str, RenderedPart] = {}
        while True:
            match self._receive():
                case ParsedBatch(objects_by_file):
                    batch = objects_by_file
                case ParseBatch(files):
                    from driftd.render.manifests import read_manifests  # noqa: PLC0415  # it imports the YAML parser

                    batch = {path: read_manifests(data, path) for path, data in files}
                    self._send(ReadyForBatch())
                case CapabilitiesNeeded():
                    return None
                case RenderResult(kind, parts):
                    return Rendering.merge(kind, [by_file[p] if isinstance(p, str) else p for p in parts], namespace)
            if not by_file and on_first_batch is not None:
                on_first_batch([manifest for objects in batch.values() for manifest in objects.manifests])
            by_file.update(batch)

    def _send(self, message: Any) -> None:
        with self._send_lock:
            self._connection.send(message)

    def _receive(self) -> Any:
        message = self._connection.recv()
        if isinstance(message, DriftdError):
            raise message
        return message


@contextmanager
def git_worker(cache: Path) -> Iterator[GitWorker | None]:
    """A running worker with its mirrors below `cache`; to be entered before any thread is started.

    None if only one core is available, if no process can be started, or if this process has threads: the worker is
    forked, which is not safe with threads.
    """
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2 or threading.active_count() > 1:
        yield None
        return
    context = get_context("fork")
    parent_end, worker_end = context.Pipe()
    process = context.Process(target=_worker_process, args=(worker_end, parent_end, cache), daemon=True)
    try:
        process.start()
    except OSError:
        parent_end.close()
        yield None
        return
    finally:
        worker_end.close()
    try:
        yield GitWorker(parent_end, cache, process.terminate)
    finally:
        process.terminate()
        process.join()


def _worker_process(connection: Connection, parent_end: Connection, cache: Path) -> None:
    from driftd.desired.worker_main import serve  # noqa: PLC0415  # Git and YAML are imported in the worker only

    parent_end.close()
    serve(connection, cache)
