"""What `driftd check` previews: a revision as it will be merged, and the base that it is told from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from driftd.cli.checked_apps import CheckedApp, CheckRequest, PreviewBase
from driftd.git.merge import (
    Branch,
    branch_named,
    branch_of_head,
    commit_merge,
    commits_missing,
    default_branch,
    merge_base,
)
from driftd.git.source import GitSource, Ref, RefKind
from driftd.git.worktree import commit_named, commit_worktree
from driftd.model.errors import GitError
from driftd.model.text import plural


@dataclass(frozen=True, slots=True)
class Checkout:
    """What is judged of a repository on this machine, and the branch that it is told from.

    `named`: the branch was asked for. `note` says what the reader has to know of how the two relate.
    """

    source: GitSource
    branch: Branch | None
    named: bool = False
    note: str | None = None


def checkout_of(request: CheckRequest, root: Path, folder: Path) -> Checkout:
    """The revision or the working tree that a request names, merged into its `--base` where it has one.

    What does not exist as a commit is made in a repository in `folder`; the one at `root` is only read. Blocking.
    Raises: GitError: there is no such revision or base, or the two conflict.
    """
    repository = folder / root.name
    commit = commit_worktree(root, repository) if request.worktree else _named(request, root)
    made = local_source(repository, Ref())
    source = made if request.worktree else local_source(root, Ref(RefKind.ANY, commit))
    if request.base is None:
        branch = _fork_point(request, root)
        return Checkout(source, branch, note=_note(request, root, branch))
    branch = branch_named(root, request.base)
    merged = commit_merge(root, branch, commit, repository)
    return Checkout(source if merged is None else made, branch, named=True)


def local_source(repository: Path, ref: Ref) -> GitSource:
    """A repository on this machine as a source."""
    return GitSource(name="repository", url=str(repository), ref=ref, allow_file=True, borrow=True)


def of_checkout(checked: CheckedApp, checkout: Checkout) -> CheckedApp:
    """The app of a repository at what a checkout has, with its base."""
    if checkout.branch is None or checked.local is None:
        return replace(checked, source=checkout.source)
    source = local_source(checked.local.root, Ref(RefKind.ANY, checkout.branch.commit))
    base = PreviewBase(checkout.branch.name, source, required=checkout.named)
    return replace(checked, source=checkout.source, base=base)


def _fork_point(request: CheckRequest, root: Path) -> Branch | None:
    """Where the revision parts from the default branch, or where there is no remote, from what is checked out.

    None where it does not: then there is nothing to be merged.
    """
    commit = _committed(request, root)
    if commit is None:
        return None
    branch = default_branch(root) or branch_of_head(root)
    fork = merge_base(root, branch.commit, commit) if branch is not None else None
    if branch is None or fork is None or (fork == commit and not request.worktree):
        return None
    return Branch(branch.name, fork)


def _named(request: CheckRequest, root: Path) -> str:
    """The commit that is judged; a name that Git does not know is left as it is, for the fetch to tell what there is.

    Raises: GitError: there is none that could be merged.
    """
    if (known := _committed(request, root)) is not None:
        return known
    revision = request.revision or "HEAD"
    return revision if request.base is None else commit_named(root, revision)


def _committed(request: CheckRequest, root: Path) -> str | None:
    """The commit that is judged, or that the working tree is based on; None where there is none yet."""
    with suppress(GitError):
        return commit_named(root, request.revision or "HEAD")
    return None


def _note(request: CheckRequest, root: Path, branch: Branch | None) -> str | None:
    """That the default branch has moved on: what it has brought since would look as if it were undone."""
    tip = default_branch(root)
    if branch is None or tip is None:
        return None
    commit = _committed(request, root)
    missing = commits_missing(root, tip.commit, commit) if commit else 0
    if not missing:
        return None
    what = "the working tree" if request.worktree else str(request.revision)
    return f"{what} lacks {plural(missing, 'commit')} of {tip.name}: --base {tip.name} shows it as merged into that"


def checkouts(apps: Sequence[CheckedApp], request: CheckRequest, folder: Path) -> tuple[list[CheckedApp], list[str]]:
    """The apps of a repository as a request wants them judged, and what has to be said of that. Blocking.

    Raises: GitError: as `checkout_of`.
    """
    if not (request.worktree or request.revision or request.base):
        return list(apps), []
    made: dict[Path, Checkout] = {}
    result = []
    for checked in apps:
        if checked.local is None or checked.base is not None:
            result.append(checked)
            continue
        root = checked.local.root
        if root not in made:
            made[root] = checkout_of(request, root, folder)
        result.append(of_checkout(checked, made[root]))
    return result, [checkout.note for checkout in made.values() if checkout.note]
