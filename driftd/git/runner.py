"""Runs Git: through GitPython, with one `Repo` per operation, a clean environment and a deadline.

`Repo` is not safe to share between threads, and its own `kill_after_timeout` leaves Git's helper processes running: so
no `Repo` is kept, and each process leads a process group that is killed as a whole.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from driftd.git import environment
from driftd.git.deadline import Deadline
from driftd.git.errors import CommandFailed, redact
from driftd.model.errors import GitError
from driftd.process.limits import ResourceLimits, memory_for_a_child
from driftd.process.pipes import enlarge_pipe

if TYPE_CHECKING:
    from driftd.git.gitpython import CleanGit


_MIB = 1 << 20
_MAX_OUTPUT = 64 * _MIB
_READ_MEMORY, _FETCH_MEMORY = 1024 * _MIB, 4096 * _MIB
"""A fetch holds a record of each object, however old: large repositories have millions."""
_MAX_FILE_SIZE = 8192 * _MIB
"""Of a pack, with all that a fetch brings."""


_CPU_PER_SECOND = 4
"""Seconds of CPU for each second of the deadline, which Git's threads share. The deadline itself ends Git before."""


class OutputTooLarge(GitError):
    """What a commit holds is more than can be read."""


class NoRepository(GitError):
    """The folder is not, or no longer, a Git repository."""


@dataclass(frozen=True, slots=True)
class GitRunner:
    """Runs Git for one operation on one repository. Errors never contain the secrets of `access`."""

    gitpython: CleanGit
    repository: Path
    deadline: Deadline
    access: environment.RemoteAccess = field(default_factory=environment.RemoteAccess)

    def with_access(self, access: environment.RemoteAccess) -> GitRunner:
        """The same runner, with access to a remote."""
        return replace(self, access=access)

    def run(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Git's standard output.

        Raises: CommandFailed: Git failed. TimedOut: Git was killed. OutputTooLarge: it wrote more than 64 MiB.
        GitError: git is not installed.
        """
        with self.stream(*arguments, stdin=stdin) as pipe:
            out = pipe.read(_MAX_OUTPUT + 1)
            if len(out) > _MAX_OUTPUT:
                message = f"git {arguments[0]} writes more than {_MAX_OUTPUT >> 20} MiB: name a smaller folder"
                raise OutputTooLarge(message)
        return out

    def succeeds(self, *arguments: str) -> bool:
        """Whether Git exits with 0."""
        try:
            self.run(*arguments)
        except CommandFailed:
            return False
        return True

    @contextmanager
    def stream(self, *arguments: str, stdin: bytes | None = None) -> Iterator[IO[bytes]]:
        """Git's standard output while Git runs, for output too large to hold in memory. Raises: as `run`."""
        process = self._start(arguments, with_input=stdin is not None)
        assert process.stdout is not None  # noqa: S101  # they are pipes: for the type checker
        assert process.stderr is not None  # noqa: S101
        out = enlarge_pipe(process.stdout)
        errors: list[bytes] = []
        helpers = [threading.Thread(target=_drain, args=(process.stderr, errors), daemon=True)]
        if stdin is not None:
            helpers.append(threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True))
        for helper in helpers:
            helper.start()
        try:
            with self.deadline.guard(process):
                try:
                    yield out
                    out.read()
                except EOFError:
                    ended_early = True
                else:
                    ended_early = False
                process.wait()
        finally:
            for helper in helpers:
                helper.join()
            out.close()
            process.stderr.close()
        if ended_early or process.returncode != 0:
            raise self._failed(arguments, process.returncode, b"".join(errors))

    def _start(self, arguments: Sequence[str], with_input: bool) -> subprocess.Popen[bytes]:
        self.deadline.check()
        _require_git()
        try:
            process = self.gitpython.start(arguments, self.access.environment, with_input=with_input)
        except OSError as error:
            raise GitError(f"git cannot be started: {error}") from error
        self._limits().impose(process.pid)
        return process

    def _limits(self) -> ResourceLimits:
        """Those of a fetch where there is a remote, else those of reading."""
        memory = memory_for_a_child(_FETCH_MEMORY if self.access.environment else _READ_MEMORY)
        cpu = _CPU_PER_SECOND * int(self.deadline.seconds + 1)
        return ResourceLimits(memory, cpu, _MAX_FILE_SIZE, open_files=1024)

    def _failed(self, arguments: Sequence[str], code: int, stderr: bytes) -> CommandFailed:
        text = redact(stderr.decode(errors="replace"), self.access.secrets)
        return CommandFailed(arguments[0], text or (f"killed by signal {-code}" if code < 0 else ""))


@contextmanager
def open_repository(repository: Path, deadline: Deadline) -> Iterator[GitRunner]:
    """Opens a repository for one operation in one thread. Raises: NoRepository; GitError: git is not installed."""
    from driftd.git import gitpython  # noqa: PLC0415  # slow to import

    _require_git()
    try:
        repo = gitpython.open_repo(repository)
    except (OSError, ValueError) as error:
        raise NoRepository(f"{repository} is no Git repository") from error
    # GitPython inherits GIT_COMMON_DIR from the environment of this process.
    repo.git.update_environment(**environment.local_environment(repository), GIT_COMMON_DIR=str(repository))
    try:
        yield GitRunner(repo.git, repository, deadline)
    finally:
        repo.close()


def create_repository(
    repository: Path, deadline: Deadline, alternate: Path | None = None, object_format: str = "sha1"
) -> None:
    """Creates a bare repository of an object format (`sha1`, `sha256`), without the templates of the installation.

    `alternate` is a local repository whose objects it borrows. It borrows none of a shallow one, whose history would
    have to be marked as cut off, nor of a linked worktree, whose objects are elsewhere.
    """
    from driftd.git.gitpython import CleanGit  # noqa: PLC0415  # slow to import

    repository.mkdir(parents=True)
    gitpython = CleanGit(repository)
    gitpython.update_environment(**environment.local_environment(repository))
    GitRunner(gitpython, repository, deadline).run(
        "init", "--quiet", "--bare", "--template=", "--initial-branch=main", f"--object-format={object_format}"
    )
    if alternate is not None and (objects := _alternate_objects(alternate)) is not None:
        alternates = repository / "objects" / "info" / "alternates"
        alternates.parent.mkdir(exist_ok=True)
        alternates.write_bytes(os.fsencode(objects) + b"\n")


def _alternate_objects(alternate: Path) -> Path | None:
    for folder in (alternate / ".git", alternate):
        objects = folder / "objects"
        if objects.is_dir():
            return None if (folder / "shallow").exists() or "\n" in str(objects) else objects
    return None


def _require_git() -> None:
    if shutil.which("git") is None:
        raise GitError("git is not installed, or not on the PATH: driftd needs it")


def _drain(pipe: IO[bytes], into: list[bytes]) -> None:
    into.append(pipe.read())


def _feed(pipe: IO[bytes], data: bytes) -> None:
    try:
        with pipe:
            pipe.write(data)
    except BrokenPipeError:
        return  # Git has exited: its exit code and stderr say why
