"""The history of a path: which commits changed it, and which files they changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from driftd.git.commits import history
from driftd.git.runner import GitRunner
from driftd.model.revision import Revision

BlobsByFile = dict[str, str | None]
"""Changed files by path, with the blob that the commit has of each, or None where it has no such file."""


@dataclass(frozen=True, slots=True)
class PathChange:
    """A commit in the history of a path. `differing_blobs` are the files in which it differs from the next newer
    commit of that history."""

    revision: Revision
    differing_blobs: Mapping[str, str | None] = field(default_factory=dict)


def path_changes(git: GitRunner, sha: str, path: str, limit: int) -> list[PathChange]:
    """The commits up to `sha` that changed a path, newest first. Blocking: two runs of Git, whatever their number.

    The first of them has the same content at the path as `sha`. Symlinks and submodules do not count as files.
    """
    commits = history(git, sha, [path], limit)
    diffs = diff_consecutive(git, [commit.sha for commit in commits], path)
    return [PathChange(commit, blobs) for commit, blobs in zip(commits, [{}, *diffs], strict=False)]


def diff_consecutive(git: GitRunner, commits: Sequence[str], path: str = "") -> list[BlobsByFile]:
    """For each commit but the first: the files in which it differs from the one before it in the list."""
    if len(commits) < 2:
        return []
    pairs = "".join(f"{newer} {older}\n" for newer, older in pairwise(commits))
    options = ("--always", "-r", "-z", "--raw", "--no-abbrev", "--no-renames")
    pathspec = [path] if path else []
    return list(_parse_raw_diff(git.run("diff-tree", "--stdin", *options, "--", *pathspec, stdin=pairs.encode())))


def diff_with_parents(
    git: GitRunner, commits: Sequence[str], files: Sequence[str] = (), diff_filter: str = ""
) -> list[BlobsByFile]:
    """For each of these commits: the files in which it differs from its parent; none for a merge.

    `diff_filter` limits the kinds of changes, as Git's option does. Of a root commit, all files count as new.
    """
    if not commits:
        return []
    options = ("--always", "--root", "-r", "-z", "--raw", "--no-abbrev", "--no-renames")
    filters = (f"--diff-filter={diff_filter}",) if diff_filter else ()
    names = "".join(f"{commit}\n" for commit in commits).encode()
    return list(_parse_raw_diff(git.run("diff-tree", "--stdin", *options, *filters, "--", *files, stdin=names)))


def _parse_raw_diff(raw: bytes) -> Iterator[BlobsByFile]:
    """Source: git-diff-tree(1), "RAW OUTPUT FORMAT"; each diff is headed by the (newer) commit's hash."""
    blobs: BlobsByFile | None = None
    fields = iter(raw.split(b"\0"))
    for text in fields:
        if text.startswith(b":"):
            mode, _, blob, _, _ = text[1:].decode().split(" ")
            assert blobs is not None  # noqa: S101  # --always: a hash comes first
            blobs[os.fsdecode(next(fields))] = blob if mode.startswith("100") else None
        elif text:
            if blobs is not None:
                yield blobs
            blobs = {}
    if blobs is not None:
        yield blobs
