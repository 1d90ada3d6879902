"""The loop of a process that renders for the daemon: it has no network, writes to its own folder only, and has limits.

What it reads was written by strangers. If it takes too much time or memory, this process ends, and nothing else. Each
rendering has a thread of its own, which reads the mirror of its source, programs, and nothing else of the machine.
"""

from __future__ import annotations

import os
import pwd
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from driftd.desired.rendering_messages import MoreManifests, ParsedFiles, RenderingDone, RenderingRequest
from driftd.git import gitpython  # noqa: F401  # slow to import: done now, while no request waits
from driftd.model.app import RenderOptions
from driftd.model.errors import DriftdError, RenderError
from driftd.process import confined
from driftd.process.limits import ResourceLimits, memory_for_a_child
from driftd.render import tool
from driftd.render.app import render_parts
from driftd.render.file_tree import TracedTree, TreeFile
from driftd.render.manifests import read_manifests
from driftd.render.parser import FileKey, PendingParts, UncachedParser
from driftd.render.rendering import RenderedPart

OUT_OF_MEMORY = 3
"""The exit code of a process that needed more memory than it may have."""

_CPU_SECONDS = 600
"""For one rendering. The daemon ends it long before, unless the daemon itself is gone."""

_LARGEST_FILE = 1 << 30
_BATCH_SIZE = 100
"""Files, or manifests, per message: the daemon unpacks one while other tasks wait."""

Send = Callable[[Any], None]


def main(descriptor: int, memory: int) -> None:
    """Answers requests on a socket until the daemon closes it, or ends this process. `memory` is its limit in bytes."""
    connection = Connection(descriptor)
    temporary = Path(tempfile.gettempdir())
    limits = ResourceLimits(memory, cpu=None, file_size=_LARGEST_FILE, open_files=1024)
    limits.impose(0)
    memory_for_a_child()  # reads the container's limit, which no rendering can
    programs = _Programs.of_this_process()
    confined.confine_thread(confined.Box((Path("/"),), (temporary,), limits), runnable=(Path("/"),))
    with tool.stoppable() as stop:

        def end(_signal: int, _frame: object) -> None:
            stop.now()
            os._exit(0)

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the daemon, and the daemon ends this process
        try:
            while True:
                request: RenderingRequest = connection.recv()
                box = confined.Box((*programs.readable, request.tree.folder.root), (temporary,), limits)
                work = partial(_answer, request, connection.send)
                confined.run_in_box(work, box, runnable=(*programs.runnable, *_renderers(request.options)))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return  # the daemon is gone
        except MemoryError:
            os._exit(OUT_OF_MEMORY)


@dataclass(frozen=True, slots=True)
class _Programs:
    """Where this program and git are, if elsewhere than the system's own: `readable` is what they load."""

    readable: tuple[Path, ...]
    runnable: tuple[Path, ...]

    @classmethod
    def of_this_process(cls) -> _Programs:
        libraries = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
        python = [*sys.path, sys.prefix, sys.base_prefix, *libraries]
        return cls((*(Path(path) for path in python if path), Path("/dev/urandom")), tuple(_git()))


def _git() -> Iterator[Path]:
    """git, its own programs, and the folder that it was installed into, unless that is somebody's home."""
    program = shutil.which("git")
    if program is None:
        return
    yield Path(program).resolve()
    done = subprocess.run([program, "--exec-path"], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == 0 and (folder := Path(done.stdout.strip())).is_absolute():
        yield folder
        if (prefix := folder.parent.parent) not in _around_home():
            yield prefix


def _around_home() -> tuple[Path, ...]:
    """The user's home and all that is above it. HOME is this process's own folder."""
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return (Path("/"),)  # the user of a container need not have a name
    return (home, *home.parents)


def _renderers(options: RenderOptions) -> Iterator[Path]:
    for name in (options.kustomize, options.helm):
        if (program := shutil.which(name)) is not None:
            yield Path(program).resolve()


def _answer(request: RenderingRequest, send: Send) -> None:
    _allow_cpu(_CPU_SECONDS)
    try:
        send(_render(request, send))
    except DriftdError as error:
        send(error)
    except (MemoryError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # noqa: BLE001  # a defect spoils one app, and its text may quote a value
        send(RenderError(f"rendering failed with a {type(error).__name__}", file=request.tree.path or "."))


def _render(request: RenderingRequest, send: Send) -> RenderingDone:
    tree = TracedTree(request.tree)
    kind, parts = render_parts(tree, request.options, _SendingParser(send, request.known))
    return RenderingDone(kind, list(_without_most_manifests(parts, send)), tree.paths_read)


def _without_most_manifests(parts: tuple[RenderedPart, ...], send: Send) -> Iterator[FileKey | RenderedPart]:
    for index, part in enumerate(parts):
        if isinstance(part, _SentFile):
            yield part.key
            continue
        for start in range(0, len(part.manifests), _BATCH_SIZE):
            send(MoreManifests(index, part.manifests[start : start + _BATCH_SIZE]))
        yield replace(part, manifests=())


@dataclass(frozen=True, slots=True)
class _SentFile(RenderedPart):
    """Stands for a file whose manifests the daemon has."""

    key: FileKey = ("", "")


class _SendingParser(UncachedParser):
    """Sends what it parses, in batches."""

    def __init__(self, send: Send, known: frozenset[FileKey]) -> None:
        self._send = send
        self._known = known

    def cached(self, file: TreeFile) -> RenderedPart | None:  # type: ignore[override]
        key = (file.blob, file.path)
        return _SentFile(key=key) if key in self._known else None

    def parse(self, files: Mapping[TreeFile, bytes]) -> PendingParts:
        contents = list(files.items())
        for start in range(0, len(contents), _BATCH_SIZE):
            batch = contents[start : start + _BATCH_SIZE]
            self._send(ParsedFiles([((f.blob, f.path), read_manifests(data, f.path)) for f, data in batch]))
        placeholders = {file.path: _SentFile(key=(file.blob, file.path)) for file in files}
        return lambda: placeholders


def _allow_cpu(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
