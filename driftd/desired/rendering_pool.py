"""Processes that render for the daemon, so that no content of a repository can stop it or take its memory."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from driftd.desired.rendering_main import OUT_OF_MEMORY
from driftd.desired.rendering_messages import MoreManifests, ParsedFiles, RenderingDone, RenderingRequest
from driftd.git.revision_tree import MirrorDamaged, RevisionTree
from driftd.model.app import RenderOptions
from driftd.model.errors import DriftdError, RenderError
from driftd.model.resource import Manifest
from driftd.process.groups import kill_group
from driftd.process.limits import memory_for_a_child
from driftd.render.parser import FileKey, Parser
from driftd.render.rendering import RenderedPart, Rendering

_PROCESSES = 2
_IDLE_SECONDS = 60.0
_GRACE_SECONDS = 0.5
_MAX_MANIFESTS, _MAX_BYTES = 200_000, 256 << 20
"""Of one app, as they are received: what the daemon keeps of them is smaller by far, unless somebody sees to it."""
_INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "GIT_EXEC_PATH")
"""What a process may have of the daemon's environment, which may have tokens in it."""


class RenderingPool:
    """Renders in other processes, two at a time. They start when they are needed, and end when they are not."""

    def __init__(self, memory: int | None = None) -> None:
        """`memory`: the bytes that each process may have; by default a share of what there is."""
        self._memory = memory or memory_for_a_child()
        self._slots = asyncio.Semaphore(_PROCESSES)
        self._idle: list[_RenderingProcess] = []
        self._reaper: asyncio.TimerHandle | None = None

    async def render(
        self, tree: RevisionTree, options: RenderOptions, parser: Parser
    ) -> tuple[Rendering, tuple[str, ...]]:
        """The rendering of a folder, and the paths that were read for it. Cancelled, it kills what runs, and waits for
        nothing.

        Raises: GitError: the tree could not be read. RenderError: it takes too much time or memory.
        """
        seconds = 2 * options.timeout + 30
        async with self._slots:
            process = self._idle.pop() if self._idle else None
            if process is None:
                process = await asyncio.to_thread(_start, self._memory, tree.path or ".")
            try:
                async with asyncio.timeout(seconds):
                    result = await asyncio.to_thread(process.render, tree, options, parser)
            except TimeoutError as error:
                message = f"rendering was stopped: it took longer than {seconds:g} s"
                raise RenderError(message, file=tree.path or ".") from error
            finally:
                if process.is_ready:
                    self._keep(process)
                else:
                    process.kill()
            return result

    async def close(self) -> None:
        """Ends all processes."""
        if self._reaper is not None:
            self._reaper.cancel()
        self._end_idle()

    def _keep(self, process: _RenderingProcess) -> None:
        self._idle.append(process)
        if self._reaper is not None:
            self._reaper.cancel()
        self._reaper = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        while self._idle:
            self._idle.pop().kill()


class _TooMuch(Exception):
    """A rendering is larger than the daemon can keep. The message says what it has."""


class _RenderingProcess:
    """A running `rendering_main`. `is_ready` between two requests, and never again after a failure."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        connection: Connection,
        folder: tempfile.TemporaryDirectory[str],
        memory: int,
    ) -> None:
        self.is_ready = True
        self._memory = memory
        self._process = process
        self._connection = connection
        self._folder = folder

    def render(self, tree: RevisionTree, options: RenderOptions, parser: Parser) -> tuple[Rendering, tuple[str, ...]]:
        """Blocking. Raises: as `RenderingPool.render`."""
        self.is_ready = False
        known = parser.known(tree.path)
        try:
            self._connection.send(RenderingRequest(tree, options, frozenset(known)))
            done, parts = self._receive(known, parser)
        except _TooMuch as error:
            raise RenderError(f"this declares {error}: make it several apps", file=tree.path or ".") from error
        except (EOFError, OSError) as error:
            raise RenderError(self._reason(), file=tree.path or ".") from error
        except MirrorDamaged:
            self.is_ready = True
            tree.folder.mark_suspect()
            raise
        except DriftdError:
            self.is_ready = True
            raise
        self.is_ready = True
        return Rendering.merge(done.kind, parts, options.namespace, parser.deduplicated), done.paths_read

    def _receive(self, parts: dict[FileKey, RenderedPart], parser: Parser) -> tuple[RenderingDone, list[RenderedPart]]:
        """The answer to a request. `parts` has the parts of known files, and is filled with those of others."""
        more: dict[int, list[Manifest]] = {}
        count = size = 0
        while True:
            data = self._connection.recv_bytes()
            size += len(data)
            match pickle.loads(data):  # noqa: S301  # of this program, in another process
                case ParsedFiles(files):
                    for key, part in files:
                        parts[key] = parser.keep(key, part)
                        count += len(part.manifests)
                case MoreManifests(index, manifests):
                    more.setdefault(index, []).extend(parser.deduplicated(manifests))
                    count += len(manifests)
                case RenderingDone() as done:
                    return done, [
                        RenderedPart(tuple(more.get(index, ())), part.errors)
                        if isinstance(part, RenderedPart)
                        else parts[part]
                        for index, part in enumerate(done.parts)
                    ]
                case DriftdError() as error:
                    raise error
            if count > _MAX_MANIFESTS or size > _MAX_BYTES:
                raise _TooMuch(f"more than {_MAX_MANIFESTS} objects, or than {_MAX_BYTES >> 20} MiB of them")

    def _reason(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            if self._process.wait(_GRACE_SECONDS) == OUT_OF_MEMORY:
                return f"rendering was stopped: it needs more than {self._memory >> 20} MiB of memory"
        return "rendering was stopped: it takes too much, or the system ended it"

    def kill(self) -> None:
        """Ends the process with all that it runs, at once and without waiting for it."""
        self.is_ready = False
        threading.Thread(target=self._end, name="rendering-end").start()

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)  # it ends the programs that it runs
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)
        kill_group(self._process.pid)
        self._process.wait()
        with suppress(OSError):
            self._folder.cleanup()


def _start(memory: int, file: str) -> _RenderingProcess:
    """Starts a process. Raises: RenderError: for `file`: the system has no room for it."""
    folder = tempfile.TemporaryDirectory(prefix="driftd-rendering-")
    with _socket_pair() as (ours, theirs):
        environment = {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            # The process is this program, wherever it was started from.
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": folder.name,
            "HOME": folder.name,
        }
        try:
            process = subprocess.Popen(  # noqa: S603  # this program, by another entry
                [sys.executable, "-P", "-m", "driftd.desired.rendering_main", str(theirs.fileno()), str(memory)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            folder.cleanup()
            raise RenderError(f"no process can be started to render it: {error.strerror}", file=file) from error
        return _RenderingProcess(process, Connection(ours.detach()), folder, memory)


@contextmanager
def _socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs
