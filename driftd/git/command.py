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
from typing import IO, Any

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # a missing git is reported when it is used, not at the import

from git import GitCommandNotFound, InvalidGitRepositoryError, NoSuchPathError, Repo
from git.cmd import Git

from driftd.git import environment
from driftd.git.deadline import Deadline
from driftd.git.failure import CommandFailed, redacted
from driftd.model.errors import GitError


class _CleanGit(Git):
    """Takes away what the environment of this process would tell Git. GitPython itself can only add variables."""

    def execute(self, command: Sequence[str], *args: Any, **kwargs: Any) -> Any:
        unwanted = environment.unwanted({**self.environment(), **(kwargs.get("env") or {})})
        cleaner = ["env", *(part for name in unwanted for part in ("-u", name))] if unwanted else []
        return super().execute([*cleaner, *command], *args, start_new_session=True, **kwargs)


class _CleanRepo(Repo):
    GitCommandWrapperType = _CleanGit


class NoRepository(GitError):
    """The folder is no Git repository (any more)."""


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs Git for one operation on one repository. What a login has for secrets never shows up in an error."""

    git: Git
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
        errors: list[bytes] = []
        feeder = threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True)
        drain = threading.Thread(target=lambda pipe: errors.append(pipe.read()), args=(process.stderr,), daemon=True)
        feeder.start()
        drain.start()
        try:
            with self.deadline.over(process):
                try:
                    yield process.stdout
                    process.stdout.read()
                except EOFError:
                    ended_early = True
                else:
                    ended_early = False
                process.wait()
        finally:
            feeder.join()
            drain.join()
            process.stdout.close()
            process.stderr.close()
        if ended_early or process.returncode != 0:
            raise self._failed(arguments, process.returncode, b"".join(errors))

    def _start(self, arguments: Sequence[str], with_input: bool) -> subprocess.Popen[bytes]:
        self.deadline.check()
        _require_git()
        try:
            guarded = self.git.execute(
                [self.git.GIT_PYTHON_GIT_EXECUTABLE or "git", *arguments],
                istream=subprocess.PIPE if with_input else None,
                as_process=True,
                env=self.login.environment,
            )
        except (GitCommandNotFound, OSError) as error:
            raise GitError(f"git cannot be started: {error}") from error
        process = guarded.proc
        assert process is not None  # noqa: S101  # it has only just been started
        guarded.proc = None  # GitPython would end it in its own way, which leaves children behind
        return process

    def _failed(self, arguments: Sequence[str], code: int, stderr: bytes) -> CommandFailed:
        text = redacted(stderr.decode(errors="replace"), self.login.secrets)
        return CommandFailed(arguments[0], text or (f"killed by signal {-code}" if code < 0 else ""))


@contextmanager
def opened(repository: Path, deadline: Deadline) -> Iterator[Shell]:
    """A repository, for one operation in one thread. Raises: NoRepository; GitError: there is no git."""
    _require_git()
    try:
        repo = _CleanRepo(repository, expand_vars=False)
    except (InvalidGitRepositoryError, NoSuchPathError, OSError, ValueError) as error:
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
    repository.mkdir(parents=True)
    git = _CleanGit(repository)
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
