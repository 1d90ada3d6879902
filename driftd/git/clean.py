"""GitPython, as driftd uses it: with nothing of this process' environment that would tell Git where to look.

It is loaded with the first Git that runs: that takes a while, and not every process runs one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from driftd.git import environment
from driftd.process.imports import environment_default

# A missing git is reported when it is used, not when GitPython is imported.
with environment_default("GIT_PYTHON_REFRESH", "quiet"):
    from git import GitCommandNotFound, InvalidGitRepositoryError, NoSuchPathError, Repo
    from git.cmd import Git


class CleanGit(Git):
    """Takes away what the environment of this process would tell Git. GitPython itself can only add variables."""

    def execute(self, command: Sequence[str], *args: Any, **kwargs: Any) -> Any:
        unwanted = environment.unwanted({**self.environment(), **(kwargs.get("env") or {})})
        cleaner = ["env", *(part for name in unwanted for part in ("-u", name))] if unwanted else []
        return super().execute([*cleaner, *command], *args, start_new_session=True, **kwargs)

    def start(self, arguments: Sequence[str], env: Mapping[str, str], *, with_input: bool) -> subprocess.Popen[bytes]:
        """A process of Git that leads a process group of its own. Raises: OSError: it cannot be started."""
        try:
            guarded = self.execute(
                [self.GIT_PYTHON_GIT_EXECUTABLE or "git", *arguments],
                istream=subprocess.PIPE if with_input else None,
                as_process=True,
                env=env,
            )
        except GitCommandNotFound as error:
            raise FileNotFoundError(str(error)) from error
        process: subprocess.Popen[bytes] | None = guarded.proc
        assert process is not None  # noqa: S101  # it has only just been started
        guarded.proc = None  # GitPython would end it in its own way, which leaves children behind
        return process


class CleanRepo(Repo):
    """A repository that is asked through such a Git."""

    GitCommandWrapperType = CleanGit

    git: CleanGit


def repository(folder: Path) -> CleanRepo:
    """Raises: OSError, ValueError: there is none in the folder."""
    try:
        return CleanRepo(folder, expand_vars=False)
    except (InvalidGitRepositoryError, NoSuchPathError) as error:
        raise ValueError(str(error)) from error
