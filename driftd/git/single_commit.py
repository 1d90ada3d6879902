"""Files that one commit has written as they are: whoever made it wrote each of their lines, and nobody has to be asked.

In a short history that is most files, and one look tells for many of them; `git blame` is a run for each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from driftd.git.commits import time_of
from driftd.git.path_history import blobs, boundary, differences_at
from driftd.git.paths import entries
from driftd.git.runner import Shell

_SHORT = 2000
"""With more commits than that, walking through all of them takes longer than a few files are worth."""

_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Origin:
    """The commit that wrote a file of so many `lines`; `subject` is the first line of its message."""

    lines: int
    commit: str
    author: str
    time: datetime
    subject: str


@dataclass(frozen=True, slots=True)
class _Commit:
    sha: str
    parents: Sequence[str]
    author: str
    time: datetime
    subject: str


def is_short(shell: Shell, sha: str) -> bool:
    """Whether the history of a commit is short enough to be looked through."""
    return int(shell.run("rev-list", "--count", f"--max-count={_SHORT + 1}", sha, "--")) <= _SHORT


def origins(shell: Shell, sha: str, files: Collection[str]) -> Mapping[str, Origin]:
    """Of these files, as a commit with a short history has them, those that one commit has written.

    Left out are links, what a merge has touched, what may have been renamed (some file went when this one came, and
    `git blame` would look there), and what may be older than the history that the remote gave.
    """
    regular = {
        entry.path: entry.oid
        for entry in entries(shell.run("ls-tree", "-z", sha, "--", *files))
        if entry.kind == "blob" and entry.mode >> 12 == 0o10  # no link
    }
    commits = _log(shell, sha, list(regular)) if regular else []
    if any(len(commit.parents) > 1 for commit in commits):
        return {}
    touched = differences_at(shell, [commit.sha for commit in commits], list(regular))
    first = {file: commit for commit, changes in zip(commits, touched, strict=True) for file in changes}
    count = [file for changes in touched for file in changes]
    once = {file: first[file] for file in regular if count.count(file) == 1}
    suspect = boundary(shell) | _with_losses(shell, {commit.sha for commit in once.values()})
    sole = {file: commit for file, commit in once.items() if commit.sha not in suspect}
    contents = blobs(shell, [regular[file] for file in sole], _MOST_BYTES)
    return {
        file: Origin(_lines(contents[regular[file]]), commit.sha, commit.author, commit.time, commit.subject)
        for file, commit in sole.items()
        if regular[file] in contents
    }


def _log(shell: Shell, sha: str, files: Sequence[str]) -> list[_Commit]:
    """The commits that touched one of the files."""
    # The author's name as `git blame` has it, that is by the mailmap.
    form = "--format=%H%n%P%n%aN%n%aI%n%B"
    options = ("-z", "--encoding=UTF-8", "--no-show-signature", "--no-color", "--use-mailmap", form)
    found = []
    for record in shell.run("log", *options, sha, "--", *files).decode(errors="replace").split("\0"):
        if record:
            commit, parents, author, time, message = record.split("\n", 4)
            subject = next((line for line in message.split("\n") if line.strip()), "")
            found.append(_Commit(commit, parents.split(), author, time_of(time), subject))
    return found


def _with_losses(shell: Shell, commits: Collection[str]) -> frozenset[str]:
    """Those of the commits that took some file away."""
    listed = list(commits)
    found = differences_at(shell, listed, only="D")
    return frozenset(commit for commit, changes in zip(listed, found, strict=True) if changes)


def _lines(data: bytes) -> int:
    return data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
