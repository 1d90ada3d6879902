"""Starting a program that reads what strangers wrote: without network, and with few files and limited resources.

Nothing may run between fork and exec in a process with threads. But Landlock, seccomp and "no new privileges" belong to
a thread, and a child has those of the thread that forked it. So a short-lived thread restricts itself, and starts the
program. Limits of resources belong to a process, and are set on the child as soon as it runs.
"""

from __future__ import annotations

import contextvars
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from driftd.process import landlock, seccomp, syscalls
from driftd.process.limits import ResourceLimits

_SYSTEM = tuple(Path(path) for path in ("/usr", "/bin", "/lib", "/lib64", "/nix/store"))
"""Where programs and their libraries are. No configuration, no secrets, nobody's data."""

_NULL = Path("/dev/null")

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Box:
    """All that a program gets: folders to read, folders to write, and limits. Programs of the system may be read."""

    readable: tuple[Path, ...]
    writable: tuple[Path, ...]
    limits: ResourceLimits


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What this system's kernel can keep from a program."""

    files: bool
    sockets: bool

    def __str__(self) -> str:
        match self.files, self.sockets:
            case True, True:
                return "no network, and no files but their own"
            case True, False:
                return "no files but their own"
            case False, True:
                return "no network"
        return "nothing is enforced by the kernel"


def guarantees() -> Guarantees:
    """What `start` enforces here. Without Landlock, TCP and files are open; without seccomp, all sockets are."""
    return Guarantees(files=landlock.abi() > 0, sockets=seccomp.is_available())


def start(
    command: Sequence[str], box: Box, *, cwd: Path, env: Mapping[str, str], stderr: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Starts a program in a box, as the leader of its own process group, with a pipe as its stdout.

    What the kernel cannot enforce is left out (see `guarantees`). Raises: OSError: the program cannot be started, or
    the kernel refuses what it says it can.
    """
    starter = _Starter(command, box, cwd, env, stderr)
    starter.start()
    starter.join()
    if starter.error is not None:
        raise starter.error
    assert starter.process is not None  # noqa: S101  # there is one or the other
    box.limits.impose(starter.process.pid)
    return starter.process


class _Starter(threading.Thread):
    """Restricts itself, and starts the program. The thread is of no use for anything afterwards."""

    def __init__(self, command: Sequence[str], box: Box, cwd: Path, env: Mapping[str, str], stderr: IO[bytes]) -> None:
        super().__init__(name="confined-start", daemon=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.error: OSError | None = None
        self._command, self._box = command, box
        self._cwd, self._env, self._stderr = cwd, env, stderr

    def run(self) -> None:
        try:
            confine_thread(self._box, runnable=(Path(self._command[0]),))
            self.process = subprocess.Popen(  # noqa: S603  # the caller's program, with the caller's arguments
                self._command,
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
            )
        except OSError as error:
            self.error = error


def run_in_box(work: Callable[[], A], box: Box, runnable: Sequence[Path] = ()) -> A:
    """The result of `work`, done by a thread that is in a box with all that it starts. The box's limits do not count.

    Raises: OSError: the kernel refuses what it says it can; whatever `work` raises.
    """
    thread = _Boxed(work, box, runnable)
    thread.start()
    result: A = thread.outcome.result()
    return result


class _Boxed(threading.Thread):
    """Restricts itself, and works. Nothing can take the restriction from it."""

    def __init__(self, work: Callable[[], Any], box: Box, runnable: Sequence[Path]) -> None:
        super().__init__(name="confined", daemon=True)
        self.outcome: Future[Any] = Future()
        self._work, self._box, self._runnable = work, box, runnable
        self._context = contextvars.copy_context()

    def run(self) -> None:
        try:
            confine_thread(self._box, self._runnable)
            self.outcome.set_result(self._context.run(self._work))
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is asked for
            self.outcome.set_exception(error)


def confine_thread(box: Box, runnable: Sequence[Path] = ()) -> None:
    """Puts the calling thread, and all that it starts from here on, into a box, but for its limits. Raises: OSError."""
    can = guarantees()
    if can.files or can.sockets:
        syscalls.give_up_new_privileges()
    if can.files:
        landlock.restrict_thread(
            [
                *((path, landlock.READ_AND_RUN) for path in (*_SYSTEM, *runnable)),
                *((path, landlock.READ) for path in box.readable),
                *((path, landlock.WRITE) for path in (*box.writable, _NULL)),
            ]
        )
    if can.sockets:
        seccomp.forbid_network()
