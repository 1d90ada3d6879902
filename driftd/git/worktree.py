"""The working tree of a local repository: where it begins, what of it is not committed, and all of it as a commit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from driftd.git import environment
from driftd.git.deadline import Deadline
from driftd.git.errors import CommandFailed
from driftd.git.runner import GitRunner, create_repository
from driftd.model.errors import GitError

_TIMEOUT, _STATUS_TIMEOUT = 60.0, 10.0
_AUTHOR = "Not Committed Yet"  # as in `git blame`
_SUBJECT = "Uncommitted changes"
_BARE = ("HEAD", "objects", "refs")


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder in a local repository: the repository's root, and the folder's path from there."""

    root: Path
    path: str


def find_repository(folder: Path) -> LocalFolder:
    """Looks for the repository that a folder is in, upwards as Git does.

    Raises: GitError: it is in none.
    """
    try:
        folder = folder.resolve()
    except OSError as error:  # the folder that this process works in may be gone
        raise GitError(f"{folder} cannot be looked for from here: {error.strerror}") from error
    for root in (folder, *folder.parents):
        if (root / ".git").exists() or all((root / part).exists() for part in _BARE):
            path = folder.relative_to(root).as_posix()
            return LocalFolder(root, "" if path == "." else path)
    raise GitError(f"{folder} is in no Git repository: name a folder of one, or its address")


def commit_named(root: Path, revision: str) -> str:
    """The hash of the commit that Git knows by a name: `main`, `v1`, `HEAD~1`, `main@{yesterday}`.

    Raises: GitError: it knows none.
    """
    try:
        named = local_git(root).run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        return named.decode().strip()
    except CommandFailed as error:
        raise GitError(f"{root} has no revision {revision!r}") from error


def remote_addresses(root: Path) -> frozenset[str]:
    """The addresses of the remotes that a repository fetches from; they may hold credentials."""
    with suppress(CommandFailed):  # there is none
        listed = local_git(root).run("config", "--null", "--get-regexp", r"^remote\..*\.url$")
        return frozenset(os.fsdecode(entry).partition("\n")[2] for entry in listed.split(b"\0") if entry)
    return frozenset()


def local_git(root: Path) -> GitRunner:
    """Runs Git on a repository of this machine, with a working tree or bare."""
    return git_of(root / ".git" if (root / ".git").exists() else root, root)


def uncommitted_files(root: Path, path: str) -> int:
    """The number of files under `path` that differ from the last commit, new ones included; 0 for a bare repository.

    Raises: GitError: Git failed, or takes more than a few seconds: nobody should wait for a note.
    """
    if not (root / ".git").exists():
        return 0
    git = git_of(root / ".git", root, timeout=_STATUS_TIMEOUT, settings=_without_filters(root))
    listed = git.run(
        "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=dirty",
        "--", path or ".",
    )  # fmt: skip
    return listed.count(b"\0")


def _without_filters(root: Path) -> list[tuple[str, str]]:
    """Settings that turn off the filters of a repository's own configuration: these are programs, which Git would run.

    The repository may be somebody else's: one that is found further up, in a folder that all may write to.
    """
    try:
        listed = git_of(root / ".git", root).run("config", "--null", "--name-only", "--get-regexp", r"^filter\.")
    except CommandFailed:  # there is none
        return []
    drivers = {name.rpartition(".")[0] for name in os.fsdecode(listed).split("\0") if name}
    return [(f"{driver}.{key}", "") for driver in sorted(drivers) for key in ("clean", "process", "required")]


def commit_worktree(root: Path, repository: Path) -> str:
    """Makes `repository`, a new bare one, whose only branch has the working tree on top of the last commit.

    The repository at `root` is only read. What it ignores is left out.
    Returns: the hash of that branch's commit.
    Raises: GitError: Git failed.
    """
    if not (root / ".git").exists():
        raise GitError(f"{root} is a bare repository: it has no working tree")
    create_beside(repository, root)
    git = git_of(repository, root, index=repository / "index")
    parents = _parents(root, git)
    if parents:
        git.run("read-tree", parents[0])
    git.run("add", "--all", "--", ".")
    tree = git.run("write-tree").decode().strip()
    options = [option for parent in parents for option in ("-p", parent)]
    commit = git.run("commit-tree", *options, "-m", _SUBJECT, tree).decode().strip()
    git.run("update-ref", "refs/heads/main", commit)
    return commit


def create_beside(repository: Path, root: Path) -> None:
    """Makes a new bare repository that has the objects of the one at `root`, unless that is shallow."""
    git = local_git(root)
    object_format = git.run("rev-parse", "--show-object-format").decode().strip()
    common = root / os.fsdecode(git.run("rev-parse", "--git-common-dir")).strip()
    create_repository(repository, Deadline(_TIMEOUT), common, object_format)


def _parents(root: Path, git: GitRunner) -> list[str]:
    """The last commit, if there is one and its objects are at hand."""
    head = git_of(root / ".git", root).succeeds("rev-parse", "--verify", "--quiet", "HEAD")
    if not head:
        return []
    commit = git_of(root / ".git", root).run("rev-parse", "--verify", "HEAD").decode().strip()
    return [commit] if git.succeeds("cat-file", "-e", f"{commit}^{{tree}}") else []


def git_of(
    repository: Path,
    worktree: Path,
    index: Path | None = None,
    timeout: float = _TIMEOUT,
    settings: Sequence[tuple[str, str]] = (),
) -> GitRunner:
    """Runs Git on a repository, for what is in a working tree."""
    from driftd.git.gitpython import CleanGit  # noqa: PLC0415  # slow to import

    gitpython = CleanGit(worktree)
    variables = environment.local_environment(repository, settings)
    if repository.is_file():  # a linked worktree, or a submodule: the file names the folder
        del variables["GIT_DIR"], variables["GIT_OBJECT_DIRECTORY"]
    else:
        variables["GIT_WORK_TREE"] = str(worktree)
    if index is not None:
        variables["GIT_INDEX_FILE"] = str(index)
    for who in ("AUTHOR", "COMMITTER"):
        variables |= {f"GIT_{who}_NAME": _AUTHOR, f"GIT_{who}_EMAIL": "not.committed.yet"}
    gitpython.update_environment(**variables)
    return GitRunner(gitpython, worktree, Deadline(timeout))
