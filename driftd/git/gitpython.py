"""GitPython without the variables of this process' environment that configure Git.

Imported when Git is first run: importing GitPython is slow, and not every process runs Git.
"""

from __future__ import annotations

import configparser
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
    """Runs Git without the inherited variables that configure it. GitPython itself can only add variables."""

    def execute(self, command: Sequence[str], *args: Any, **kwargs: Any) -> Any:
        inherited = environment.inherited_variables({**self.environment(), **(kwargs.get("env") or {})})
        unset = ["env", *(part for name in inherited for part in ("-u", name))] if inherited else []
        return super().execute([*unset, *command], *args, start_new_session=True, **kwargs)

    def start(self, arguments: Sequence[str], env: Mapping[str, str], *, with_input: bool) -> subprocess.Popen[bytes]:
        """Starts Git as the leader of its own process group. Raises: OSError: it cannot be started."""
        try:
            auto_interrupt = self.execute(
                [self.GIT_PYTHON_GIT_EXECUTABLE or "git", *arguments],
                istream=subprocess.PIPE if with_input else None,
                as_process=True,
                env=env,
            )
        except GitCommandNotFound as error:
            raise FileNotFoundError(str(error)) from error
        process: subprocess.Popen[bytes] | None = auto_interrupt.proc
        assert process is not None  # noqa: S101  # it was just started
        auto_interrupt.proc = None  # GitPython would kill this process alone, not its children
        return process


class CleanRepo(Repo):
    """A `Repo` that runs `CleanGit`."""

    GitCommandWrapperType = CleanGit

    git: CleanGit


def open_repo(folder: Path) -> CleanRepo:
    """Raises: OSError, ValueError: the folder is no Git repository."""
    try:
        return CleanRepo(folder, expand_vars=False)
    except (InvalidGitRepositoryError, NoSuchPathError, configparser.Error) as error:
        raise ValueError(str(error)) from error
