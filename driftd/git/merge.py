"""A merge that was not made yet: what a branch will have once a commit is merged into it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from driftd.git.errors import CommandFailed
from driftd.git.worktree import commit_named, create_beside, git_of, local_git
from driftd.model.errors import GitError

_DEFAULTS = ("refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master")
_MAX_FILES = 5


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch (or any other name of a commit) of a local repository, and the commit that it leads to."""

    name: str
    commit: str


def branch_named(root: Path, name: str) -> Branch:
    """The commit that a name leads to; a branch that was only fetched has its remote's name before its own.

    Raises: GitError: there is none.
    """
    for candidate in (name, f"origin/{name}"):
        with suppress(GitError):
            return Branch(candidate, commit_named(root, candidate))
    raise GitError(
        f"{root} has no revision {name!r}, nor origin/{name}: fetch it first (`git fetch origin {name}`; "
        "in CI, check out the whole history: fetch-depth: 0, GIT_DEPTH: 0)"
    )


def default_branch(root: Path) -> Branch | None:
    """The default branch of the remote `origin`, as it was last fetched; None where there is none."""
    git = local_git(root)
    for ref in _DEFAULTS:
        with suppress(CommandFailed):
            commit = git.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").decode().strip()
            name = git.run("rev-parse", "--abbrev-ref", ref).decode().strip()
            return Branch(name, commit)
    return None


def branch_of_head(root: Path) -> Branch | None:
    """What is checked out; None where there is no commit yet."""
    with suppress(GitError):
        return Branch("HEAD", commit_named(root, "HEAD"))
    return None


def merge_base(root: Path, one: str, other: str) -> str | None:
    """The last commit that two commits have in common; None where the history at hand has none."""
    with suppress(CommandFailed):
        return local_git(root).run("merge-base", one, other).decode().strip()
    return None


def commits_missing(root: Path, of: str, commit: str) -> int:
    """How many commits of a branch another commit does not have."""
    return int(local_git(root).run("rev-list", "--count", f"{commit}..{of}", "--"))


def commit_merge(root: Path, branch: Branch, commit: str, repository: Path) -> str | None:
    """Makes the merge of a commit into a branch in `repository`, and returns its hash; None where the commit has all
    of the branch already, so that it is what the branch will have.

    `repository` may have been made for the working tree of `root`, and is made if it is not there. Nothing is written
    to `root`.
    Raises: GitError: the two conflict, or their common history is not at hand.
    """
    if not repository.exists():
        create_beside(repository, root)
    git = git_of(repository, root)
    if not git.succeeds("cat-file", "-e", f"{branch.commit}^{{tree}}"):
        raise GitError(f"{root} has only the end of its history: fetch all of it (`git fetch --unshallow`) to merge")
    if git.succeeds("merge-base", "--is-ancestor", branch.commit, commit):
        return None
    tree = _merged_tree(repository, root, branch, commit)
    merged = git.run(
        "commit-tree", "-p", branch.commit, "-p", commit, "-m", f"Merge {commit[:8]} into {branch.name}", tree
    )
    sha = merged.decode().strip()
    git.run("update-ref", "refs/heads/main", sha)
    return sha


def _merged_tree(repository: Path, root: Path, branch: Branch, commit: str) -> str:
    """Source: git-merge-tree(1): the tree first, then the files with conflicts; 1 stands for these."""
    git = git_of(repository, root)
    out = b""
    try:
        with git.stream(
            "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", branch.commit, commit
        ) as pipe:
            out = pipe.read()
    except CommandFailed as error:
        files = [os.fsdecode(name) for name in out.split(b"\0")[1:] if name]
        if files:
            shown = ", ".join(files[:_MAX_FILES]) + (" and others" if len(files) > _MAX_FILES else "")
            raise GitError(f"{commit[:8]} conflicts with {branch.name} in {shown}: resolve it first") from error
        raise GitError(
            f"{commit[:8]} cannot be merged into {branch.name}: {error} (it takes Git 2.38 or newer)"
        ) from error
    return out.split(b"\0", 1)[0].decode().strip()
