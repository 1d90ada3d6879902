"""The one place that runs Git: through GitPython, one `Repo` for each operation, in a clean environment, with an end.

`Repo` is not safe to share between threads, and its own `kill_after_timeout` leaves the helpers of Git running: so
nothing here is kept, and each process leads a process group that is killed as a whole.
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
from driftd.git.failure import CommandFailed, redacted
from driftd.model.errors import GitError
from driftd.process.pipes import enlarge_pipe

if TYPE_CHECKING:
    from driftd.git.clean import CleanGit


class NoRepository(GitError):
    """The folder is no Git repository (any more)."""


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs Git for one operation on one repository. What a login has for secrets never shows up in an error."""

    git: CleanGit
    repository: Path
    deadline: Deadline
    login: environment.Login = field(default_factory=environment.Login)

    def logged_in(self, login: environment.Login) -> Shell:
        """The same, but it may also talk to a remote."""
        return replace(self, login=login)

    def run(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """What Git writes to its standard output.

        Raises: CommandFailed: it ended with an error. TimedOut: it was killed. GitError: there is no git.
        """
        process = self._start(arguments, stdin is not None)
        with self.deadline.over(process):
            out, err = process.communicate(stdin)
        if process.returncode != 0:
            raise self._failed(arguments, process.returncode, err)
        return out

    def succeeds(self, *arguments: str) -> bool:
        """Whether Git answers yes to a question, by its exit code."""
        try:
            self.run(*arguments)
        except CommandFailed:
            return False
        return True

    @contextmanager
    def stream(self, *arguments: str, stdin: bytes) -> Iterator[IO[bytes]]:
        """Git's standard output while it runs, for answers that are too large to hold. Raises: as `run`."""
        process = self._start(arguments, with_input=True)
        assert process.stdin is not None  # noqa: S101  # all three are pipes: told to the type checker
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        out = enlarge_pipe(process.stdout)
        errors: list[bytes] = []
        feeder = threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True)
        drain = threading.Thread(target=lambda pipe: errors.append(pipe.read()), args=(process.stderr,), daemon=True)
        feeder.start()
        drain.start()
        try:
            with self.deadline.over(process):
                try:
                    yield out
                    out.read()
                except EOFError:
                    ended_early = True
                else:
                    ended_early = False
                process.wait()
        finally:
            feeder.join()
            drain.join()
            out.close()
            process.stderr.close()
        if ended_early or process.returncode != 0:
            raise self._failed(arguments, process.returncode, b"".join(errors))

    def _start(self, arguments: Sequence[str], with_input: bool) -> subprocess.Popen[bytes]:
        self.deadline.check()
        _require_git()
        try:
            return self.git.start(arguments, self.login.environment, with_input=with_input)
        except OSError as error:
            raise GitError(f"git cannot be started: {error}") from error

    def _failed(self, arguments: Sequence[str], code: int, stderr: bytes) -> CommandFailed:
        text = redacted(stderr.decode(errors="replace"), self.login.secrets)
        return CommandFailed(arguments[0], text or (f"killed by signal {-code}" if code < 0 else ""))


@contextmanager
def opened(repository: Path, deadline: Deadline) -> Iterator[Shell]:
    """A repository, for one operation in one thread. Raises: NoRepository; GitError: there is no git."""
    from driftd.git import clean  # noqa: PLC0415  # see there

    _require_git()
    try:
        repo = clean.repository(repository)
    except (OSError, ValueError) as error:
        raise NoRepository(f"{repository} is no Git repository") from error
    # GitPython has taken GIT_COMMON_DIR over from the environment of this process, if it is there.
    repo.git.update_environment(**environment.local(repository), GIT_COMMON_DIR=str(repository))
    try:
        yield Shell(repo.git, repository, deadline)
    finally:
        repo.close()


def create(repository: Path, deadline: Deadline, lender: Path | None = None) -> None:
    """A new bare repository, with nothing of the templates that an installation may have.

    `lender` is a folder on this machine with a repository whose objects it has as if they were its own. Nothing is lent
    by a shallow one, whose history has to be marked as cut off, and by a linked worktree, whose objects are elsewhere.
    """
    from driftd.git.clean import CleanGit  # noqa: PLC0415  # see there

    repository.mkdir(parents=True)
    git = CleanGit(repository)
    git.update_environment(**environment.local(repository))
    Shell(git, repository, deadline).run("init", "--quiet", "--bare", "--template=", "--initial-branch=main")
    if lender is not None and (objects := _lent(lender)) is not None:
        known = repository / "objects" / "info" / "alternates"
        known.parent.mkdir(exist_ok=True)
        known.write_bytes(os.fsencode(objects) + b"\n")


def _lent(lender: Path) -> Path | None:
    for folder in (lender / ".git", lender):
        objects = folder / "objects"
        if objects.is_dir():
            return None if (folder / "shallow").exists() or "\n" in str(objects) else objects
    return None


def _require_git() -> None:
    if shutil.which("git") is None:
        raise GitError("git is not installed, or not on the PATH: driftd needs it")


def _feed(pipe: IO[bytes], data: bytes) -> None:
    try:
        with pipe:
            pipe.write(data)
    except BrokenPipeError:
        return  # Git has ended: its exit code and its errors tell why
