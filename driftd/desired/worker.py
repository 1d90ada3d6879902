"""Git's side of a look in a process of its own: Python runs on one core, and this takes about as long as the live side.

What goes over is a source and an app. What comes back is manifests, as they are parsed, and files to be parsed here
once this side has nothing else to do. Whatever the other process does not answer is done here. It is in
`beside_there.py`; what was measured, and what is not done this way, is in docs/adr/0016.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from driftd.desired.state import Desired
from driftd.desired.worker_messages import (
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
    from driftd.git.mirror import Mirror
    from driftd.git.source import GitSource
    from driftd.model.app import App
    from driftd.model.revision import Revision

_BATCHES_AHEAD = 2
"""So many lots of files are on their way to this side: it parses one while the next is handed on."""

A = TypeVar("A")

log = structlog.get_logger(__name__)


class GitWorker:
    """Git's side in another process. It is asked one thing at a time."""

    def __init__(self, connection: Connection, cache: Path, end: Callable[[], None]) -> None:
        self._connection = connection
        self._cache = cache
        self._end = end
        self._send_lock = threading.Lock()
        self._in_process_provider: InProcessProvider | None = None
        self._gone = False
        self._stealing = False

    def mirror(self, source: GitSource) -> Mirror:
        """What this machine keeps of a source, as it is there once the other process has fetched."""
        return self._in_process.mirror(source)

    async def fetch(self, source: GitSource) -> Revision:
        """Asks the remote for the source's reference. Raises: GitError."""

        def ask() -> Revision:
            self._send(FetchRequest(source))
            revision: Revision = self._answer()
            return revision

        return await self._ask_worker(ask, lambda here: here.fetch(source))

    async def desired(
        self, source: GitSource, app: App, revision: Revision, on_first_batch: OnFirstBatch | None = None
    ) -> Desired:
        """What an app declares at a revision that was fetched. `seen` is given the first of it, from a thread.

        Raises: GitError, where the path is not there.
        """
        question = RenderRequest(source, revision.sha, app.path, app.rendering)

        def ask() -> Desired:
            self._send(question)
            return Desired.of(revision, self._rendering(question.options.namespace, on_first_batch))

        return await self._ask_worker(ask, lambda here: here.desired(source, app, revision, on_first_batch))

    def steal_work(self) -> None:
        """Says that this process has nothing else to do than to parse files, too. From now on that stays so."""
        if self._stealing:
            return
        self._stealing = True
        with suppress(OSError):  # it is gone: whoever asks next finds that out
            for _ in range(_BATCHES_AHEAD):
                self._send(ReadyForBatch())

    async def _ask_worker(self, ask: Callable[[], A], otherwise: Callable[[InProcessProvider], Awaitable[A]]) -> A:
        if not self._gone:
            try:
                return await asyncio.to_thread(ask)
            except (EOFError, OSError) as error:
                # It was killed, or met a defect, which is told of once it shows here.
                log.debug("the process for Git is gone", error=repr(error))
                self._gone = True
            except asyncio.CancelledError:
                self._end()  # the thread would wait for it
                raise
        return await otherwise(self._in_process)

    @property
    def _in_process(self) -> InProcessProvider:
        if self._in_process_provider is None:
            from driftd.desired.provider import InProcessProvider  # noqa: PLC0415  # not before the other process is there

            self._in_process_provider = InProcessProvider(self._cache)
        return self._in_process_provider

    def _rendering(self, namespace: str, on_first_batch: OnFirstBatch | None) -> Rendering:
        found: dict[str, RenderedPart] = {}
        while True:
            match self._answer():
                case ParsedBatch(parsed):
                    lot = parsed
                case ParseBatch(files):
                    from driftd.render.manifests import read_manifests  # noqa: PLC0415  # it loads what reads YAML

                    lot = {path: read_manifests(data, path) for path, data in files}
                    self._send(ReadyForBatch())
                case RenderResult(kind, parts):
                    return Rendering.merge(kind, [found[p] if isinstance(p, str) else p for p in parts], namespace)
            if not found and on_first_batch is not None:
                on_first_batch([manifest for objects in lot.values() for manifest in objects.manifests])
            found.update(lot)

    def _send(self, message: Any) -> None:
        with self._send_lock:
            self._connection.send(message)

    def _answer(self) -> Any:
        answer = self._connection.recv()
        if isinstance(answer, DriftdError):
            raise answer
        return answer


@contextmanager
def git_worker(cache: Path) -> Iterator[GitWorker | None]:
    """Such a process, to be had before anything starts a thread; it keeps its mirrors below `cache`.

    None where there is one core for all, where there may be no more processes, and where this one cannot be had safely:
    it is forked, and a process with threads must not be.
    """
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2 or threading.active_count() > 1:
        yield None
        return
    context = get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_worker_process, args=(there, here, cache), daemon=True)
    try:
        process.start()
    except OSError:
        here.close()
        yield None
        return
    finally:
        there.close()
    try:
        yield GitWorker(here, cache, process.terminate)
    finally:
        process.terminate()
        process.join()


def _worker_process(connection: Connection, others: Connection, cache: Path) -> None:
    from driftd.desired.worker_main import serve  # noqa: PLC0415  # it loads Git and YAML, beside this side

    others.close()
    serve(connection, cache)
