"""Running kustomize and helm: confined to their folder, without network or driftd's environment."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from driftd.model.errors import RenderError, ToolMissing
from driftd.process import confined
from driftd.process.groups import kill_group
from driftd.process.limits import ResourceLimits, memory_for_a_child

_OUTPUT_LIMIT = 64 * 1024 * 1024
_ERROR_LIMIT = 64 * 1024
_FILE_LIMIT = 64 * 1024 * 1024
_THREADS = 2
_DEAD_PROXY = "http://127.0.0.1:9"
_PROXIES = {
    name: _DEAD_PROXY for proxy in ("http_proxy", "https_proxy", "all_proxy") for name in (proxy, proxy.upper())
}
_OUT_OF_MEMORY = re.compile(r"out of memory|cannot allocate memory|failed to create new OS thread", re.IGNORECASE)


class ToolFailed(Exception):
    """The program failed; the message is its stderr."""


class Stop:
    """Ends the programs of one rendering, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may stop the thread that holds it
        self._leaders: set[int] = set()
        self._stopped = False

    def now(self) -> None:
        """Kills what runs, and whatever the rendering starts after that. Does not wait."""
        with self._lock:
            self._stopped = True
            for leader in self._leaders:
                kill_group(leader)

    @contextmanager
    def watching(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._lock:
            self._leaders.add(process.pid)
            if self._stopped:
                kill_group(process.pid)
        try:
            yield
        finally:
            with self._lock:
                self._leaders.discard(process.pid)


_current_stop: ContextVar[Stop | None] = ContextVar("stop", default=None)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """What can stop the programs that are started in this context, also by threads that take it over."""
    stop = Stop()
    token = _current_stop.set(stop)
    try:
        yield stop
    finally:
        _current_stop.reset(token)


class Workbench(NamedTuple):
    """A temporary folder for one run of a program: it reads `repository`, and `home` is its own."""

    repository: Path
    home: Path


@contextmanager
def workbench() -> Iterator[Workbench]:
    """A new workbench, removed afterwards. Its path has no symlinks in it."""
    with tempfile.TemporaryDirectory(prefix="driftd-render-") as temporary:
        bench = Workbench(Path(temporary).resolve() / "repository", Path(temporary).resolve() / "home")
        for folder in bench:
            folder.mkdir()
        yield bench


def find(program: str, install_url: str, file: str) -> str:
    """The path of a program that rendering `file` needs; `install_url` documents it. Raises: ToolMissing."""
    path = shutil.which(program)
    if path is None:
        message = f"rendering this needs `{program}`, which is not installed (or not on the PATH): see {install_url}"
        raise ToolMissing(message, file=file)
    return str(Path(path).resolve())


def run(command: Sequence[str], bench: Workbench, *, env: Mapping[str, str], timeout: float, file: str) -> bytes:
    """The stdout of a program.

    It has no socket, reads nothing but its workbench and the system's programs, and does not inherit driftd's
    environment, which may have tokens in it. Where the kernel cannot enforce this (`confined.guarantees`), its PATH is
    empty and its proxy refuses connections, so that it can neither clone with git nor download. After `timeout` seconds
    it is killed with its children.

    Raises: ToolFailed: the program failed. RenderError: for `file`: it cannot be started, or took too much time, memory
    or space.
    """
    name = Path(command[0]).name
    memory = memory_for_a_child()
    limits = ResourceLimits(memory, cpu=1 + _THREADS * int(timeout + 1), file_size=_FILE_LIMIT)
    box = confined.Box((bench.repository,), (bench.home,), limits)
    with tempfile.TemporaryFile() as errors:
        try:
            environment = {**_environment(bench, memory), **env}
            process = confined.start(command, box, cwd=bench.home, env=environment, stderr=errors)
        except OSError as error:
            raise RenderError(f"{name} cannot be started: {error.strerror}", file=file) from error
        output, timed_out = _read(process, timeout)
        if len(output) > _OUTPUT_LIMIT:
            raise RenderError(f"{name} wrote more than {_OUTPUT_LIMIT >> 20} MiB", file=file)
        if timed_out or process.returncode == -signal.SIGXCPU:
            raise RenderError(f"{name} was stopped: it took longer than {timeout:g} s", file=file)
        if process.returncode == 0:
            return output
        errors.seek(0)
        message = errors.read(_ERROR_LIMIT).decode(errors="replace").strip()
    if process.returncode == -signal.SIGKILL:
        raise RenderError(f"{name} was stopped, or the system ran out of memory", file=file)
    if _OUT_OF_MEMORY.search(message):
        raise RenderError(f"{name} was stopped: it needs more than {memory >> 20} MiB of memory", file=file)
    raise ToolFailed(message or f"{name} failed silently")


def _environment(bench: Workbench, memory: int) -> dict[str, str]:
    return {
        "LANG": "C.UTF-8",
        "PATH": "/nonexistent",
        "HOME": str(bench.home),
        "TMPDIR": str(bench.home),
        "GOMEMLIMIT": str(memory * 3 // 4),  # from here on Go collects garbage more often, before the limit ends it
        "GOMAXPROCS": str(_THREADS),
        **_PROXIES,
    }


def _read(process: subprocess.Popen[bytes], timeout: float) -> tuple[bytes, bool]:
    """What a program writes, until it ends or is killed for writing too much, and whether it was killed in the end."""
    timed_out = threading.Event()

    def stop() -> None:
        timed_out.set()
        kill_group(process.pid)

    deadline = threading.Timer(timeout, stop)
    deadline.daemon = True
    deadline.start()
    current = _current_stop.get() or Stop()
    try:
        with current.watching(process), process:
            output = process.stdout.read(_OUTPUT_LIMIT + 1) if process.stdout else b""
            if len(output) > _OUTPUT_LIMIT:
                kill_group(process.pid)
    finally:
        deadline.cancel()
    return output, timed_out.is_set() and process.returncode == -signal.SIGKILL
