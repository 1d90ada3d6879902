"""Files that a single commit wrote: all their lines are that commit's, without running `git blame`.

In a short history those are most files, and a few runs of Git find all of them; `git blame` takes a run per file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from driftd.git.cat_file import read_blobs
from driftd.git.commits import parse_time, shallow_boundary
from driftd.git.path_history import diff_with_parents
from driftd.git.paths import parse_ls_tree
from driftd.git.runner import GitRunner

_MAX_COMMITS = 2000
"""Walking through a longer history takes more time than blaming a few files."""

_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class SingleCommitFile:
    """The commit that wrote a file. `lines` is the file's number of lines, `subject` the first line of the message."""

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


def is_short_history(git: GitRunner, sha: str) -> bool:
    """Whether `single_commit_files` is worth its time."""
    return int(git.run("rev-list", "--count", f"--max-count={_MAX_COMMITS + 1}", sha, "--")) <= _MAX_COMMITS


def single_commit_files(git: GitRunner, sha: str, files: Collection[str]) -> Mapping[str, SingleCommitFile]:
    """Those of these files, as a commit with a short history has them, that a single commit wrote.

    Left out are symlinks, files that a merge changed, files that may have been renamed (their commit also deleted some
    file, and `git blame` would follow that one), and files that may be older than the history of a shallow mirror.
    """
    regular = {
        entry.path: entry.oid
        for entry in parse_ls_tree(git.run("ls-tree", "-z", sha, "--", *files))
        if entry.kind == "blob" and entry.mode >> 12 == 0o10  # no symlink
    }
    commits = _log(git, sha, list(regular)) if regular else []
    if any(len(commit.parents) > 1 for commit in commits):
        return {}
    diffs = diff_with_parents(git, [commit.sha for commit in commits], list(regular))
    first = {file: commit for commit, changes in zip(commits, diffs, strict=True) for file in changes}
    changed = [file for changes in diffs for file in changes]
    changed_once = {file: first[file] for file in regular if changed.count(file) == 1}
    excluded = shallow_boundary(git) | _with_deletions(git, {commit.sha for commit in changed_once.values()})
    single = {file: commit for file, commit in changed_once.items() if commit.sha not in excluded}
    contents = read_blobs(git, [regular[file] for file in single], _MAX_BYTES)
    return {
        file: SingleCommitFile(count_lines(contents[blob]), commit.sha, commit.author, commit.time, commit.subject)
        for file, commit in single.items()
        if (blob := regular[file]) in contents
    }


def _log(git: GitRunner, sha: str, files: Sequence[str]) -> list[_Commit]:
    """The commits that changed one of the files."""
    # The author's name as `git blame` prints it, that is after the mailmap.
    log_format = "--format=%H%n%P%n%aN%n%aI%n%B"
    options = ("-z", "--encoding=UTF-8", "--no-show-signature", "--no-color", "--use-mailmap", log_format)
    commits = []
    for record in git.run("log", *options, sha, "--", *files).decode(errors="replace").split("\0"):
        if record:
            commit, parents, author, time, message = record.split("\n", 4)
            subject = next((line for line in message.split("\n") if line.strip()), "")
            commits.append(_Commit(commit, parents.split(), author, parse_time(time), subject))
    return commits


def _with_deletions(git: GitRunner, commits: Collection[str]) -> frozenset[str]:
    """Those of the commits that deleted a file."""
    ordered = list(commits)
    deletions = diff_with_parents(git, ordered, diff_filter="D")
    return frozenset(commit for commit, files in zip(ordered, deletions, strict=True) if files)


def count_lines(data: bytes) -> int:
    """Number of lines as Git counts them: an unterminated last line is one."""
    return data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
