"""Git's side of a look in a process of its own: Python runs on one core, and this takes about as long as the live side.

What goes over is a source and an app. What comes back is manifests, as they are parsed, and files to be parsed here
once this side has nothing else to do. Whatever the other process does not answer is done here. It is in
`beside_there.py`; what was measured, and what is not done this way, is in docs/adr/0016.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import structlog

from driftd.desired.state import Desired
from driftd.model.errors import DriftdError
from driftd.render.options import Objects, RenderOptions
from driftd.render.rendering import Rendering, RenderKind

if TYPE_CHECKING:
    from driftd.desired.provider import GitHere, Seen
    from driftd.git.mirror import Mirror
    from driftd.git.source import GitSource
    from driftd.model.app import App
    from driftd.model.revision import Revision

_AHEAD = 2
"""So many lots of files are on their way to this side: it parses one while the next is handed on."""

A = TypeVar("A")

log = structlog.get_logger(__name__)


class Fetch(NamedTuple):
    """Asks for a `Revision`: the commit that a source's reference has now."""

    source: GitSource


class Render(NamedTuple):
    """Asks for what a folder of a commit declares: some `Parsed` and `Unparsed`, and `Rendered` at last."""

    source: GitSource
    sha: str
    path: str
    options: RenderOptions


class Free(NamedTuple):
    """This side has the time to parse a lot of files."""


class Parsed(NamedTuple):
    """What files declare, by their paths."""

    found: Mapping[str, Objects]


class Unparsed(NamedTuple):
    """Files to be parsed on this side: their paths and contents."""

    files: Sequence[tuple[str, bytes]]


class Rendered(NamedTuple):
    """All that there is: parts of what is declared, and the paths of those files that were handed over before."""

    kind: RenderKind
    parts: Sequence[str | Objects]


class GitBeside:
    """Git's side in another process. It is asked one thing at a time."""

    def __init__(self, connection: Connection, cache: Path, end: Callable[[], None]) -> None:
        self._connection = connection
        self._cache = cache
        self._end = end
        self._turn = threading.Lock()
        self._here: GitHere | None = None
        self._gone = False
        self._lent = False

    def mirror(self, source: GitSource) -> Mirror:
        """What this machine keeps of a source, as it is there once the other process has fetched."""
        return self._own.mirror(source)

    async def fetch(self, source: GitSource) -> Revision:
        """Asks the remote for the source's reference. Raises: GitError."""

        def ask() -> Revision:
            self._send(Fetch(source))
            revision: Revision = self._answer()
            return revision

        return await self._told(ask, lambda here: here.fetch(source))

    async def desired(self, source: GitSource, app: App, revision: Revision, seen: Seen | None = None) -> Desired:
        """What an app declares at a revision that was fetched. `seen` is given the first of it, from a thread.

        Raises: GitError, where the path is not there.
        """
        question = Render(source, revision.sha, app.path, app.rendering)

        def ask() -> Desired:
            self._send(question)
            return Desired.of(revision, self._rendering(question.options.namespace, seen))

        return await self._told(ask, lambda here: here.desired(source, app, revision, seen))

    def lend_a_hand(self) -> None:
        """Says that this process has nothing else to do than to parse files, too. From now on that stays so."""
        if self._lent:
            return
        self._lent = True
        with suppress(OSError):  # it is gone: whoever asks next finds that out
            for _ in range(_AHEAD):
                self._send(Free())

    async def _told(self, ask: Callable[[], A], otherwise: Callable[[GitHere], Awaitable[A]]) -> A:
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
        return await otherwise(self._own)

    @property
    def _own(self) -> GitHere:
        if self._here is None:
            from driftd.desired.provider import GitHere  # noqa: PLC0415  # not before the other process is there

            self._here = GitHere(self._cache)
        return self._here

    def _rendering(self, namespace: str, seen: Seen | None) -> Rendering:
        found: dict[str, Objects] = {}
        while True:
            match self._answer():
                case Parsed(parsed):
                    lot = parsed
                case Unparsed(files):
                    from driftd.render.manifests import read_manifests  # noqa: PLC0415  # it loads what reads YAML

                    lot = {path: read_manifests(data, path) for path, data in files}
                    self._send(Free())
                case Rendered(kind, parts):
                    return Rendering.of(kind, [found[p] if isinstance(p, str) else p for p in parts], namespace)
            if not found and seen is not None:
                seen([manifest for objects in lot.values() for manifest in objects.manifests])
            found.update(lot)

    def _send(self, message: Any) -> None:
        with self._turn:
            self._connection.send(message)

    def _answer(self) -> Any:
        answer = self._connection.recv()
        if isinstance(answer, DriftdError):
            raise answer
        return answer


@contextmanager
def git_beside(cache: Path) -> Iterator[GitBeside | None]:
    """Such a process, to be had before anything starts a thread; it keeps its mirrors below `cache`.

    None where there is one core for all, where there may be no more processes, and where this one cannot be had safely:
    it is forked, and a process with threads must not be.
    """
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2 or threading.active_count() > 1:
        yield None
        return
    context = get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_over_there, args=(there, here, cache), daemon=True)
    try:
        process.start()
    except OSError:
        here.close()
        yield None
        return
    finally:
        there.close()
    try:
        yield GitBeside(here, cache, process.terminate)
    finally:
        process.terminate()
        process.join()


def _over_there(connection: Connection, others: Connection, cache: Path) -> None:
    from driftd.desired.worker_main import serve  # noqa: PLC0415  # it loads Git and YAML, beside this side

    others.close()
    serve(connection, cache)
