"""What a path held at earlier commits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from driftd.git.cat_file import Answer, contents
from driftd.git.commits import history
from driftd.git.runner import Shell
from driftd.model.errors import GitError
from driftd.model.revision import Revision


@dataclass(frozen=True, slots=True)
class Step:
    """A commit in the history of a path. `differs` is what it has otherwise than the next newer one of that history:
    files by path, with the blob that this commit has of each, or None where it has no such file."""

    revision: Revision
    differs: Mapping[str, str | None] = field(default_factory=dict)


def steps(shell: Shell, sha: str, path: str, limit: int) -> list[Step]:
    """The commits up to `sha` that touched a path, newest first. Blocking: two runs of Git, however many there are.

    What the first of them has at the path is what `sha` has. Links and submodules are no files.
    """
    commits = history(shell, sha, [path], limit)
    differs = differences(shell, [commit.sha for commit in commits], path)
    return [Step(commit, files) for commit, files in zip(commits, [{}, *differs], strict=False)]


def differences(shell: Shell, commits: Sequence[str], path: str = "") -> list[dict[str, str | None]]:
    """What each commit but the first has otherwise than the one before it in the list, as in `Step`."""
    if len(commits) < 2:
        return []
    pairs = "".join(f"{newer} {older}\n" for newer, older in pairwise(commits))
    options = ("--always", "-r", "-z", "--raw", "--no-abbrev", "--no-renames")
    below = [path] if path else []
    return list(_differences(shell.run("diff-tree", "--stdin", *options, "--", *below, stdin=pairs.encode())))


def differences_at(
    shell: Shell, commits: Sequence[str], files: Sequence[str] = (), only: str = ""
) -> list[dict[str, str | None]]:
    """What each of these commits has otherwise than its parent, in the form of `Step`; of a merge, nothing.

    `only` limits it to some kinds of changes, as Git's `--diff-filter` does. What the first commit of all has is new.
    """
    if not commits:
        return []
    options = ("--always", "--root", "-r", "-z", "--raw", "--no-abbrev", "--no-renames")
    filters = (f"--diff-filter={only}",) if only else ()
    names = "".join(f"{commit}\n" for commit in commits)
    return list(_differences(shell.run("diff-tree", "--stdin", *options, *filters, "--", *files, stdin=names.encode())))


def _differences(raw: bytes) -> Iterator[dict[str, str | None]]:
    """Source: git-diff-tree(1), "RAW OUTPUT FORMAT"; each pair of commits is headed by the newer one's hash."""
    found: dict[str, str | None] | None = None
    words = iter(raw.split(b"\0"))
    for word in words:
        if word.startswith(b":"):
            mode, _, blob, _, _ = word[1:].decode().split(" ")
            assert found is not None  # noqa: S101  # --always: a hash comes first
            found[os.fsdecode(next(words))] = blob if mode.startswith("100") else None
        elif word:
            if found is not None:
                yield found
            found = {}
    if found is not None:
        yield found


def blobs(shell: Shell, wanted: Iterable[str], most: int) -> dict[str, bytes]:
    """The contents of blobs, in their order, until they are more than `most` bytes. Raises: GitError: one is lost."""
    names = list(dict.fromkeys(wanted))
    found: dict[str, bytes] = {}
    left = most

    def take(answer: Answer, parts: Iterator[bytes]) -> None:
        nonlocal left
        if answer.kind != "blob":
            raise GitError(f"object {answer.name} is {answer.kind}")
        left -= answer.size
        if left >= 0:
            found[answer.name] = b"".join(parts)

    if names:
        contents(shell, names, take)
    return found


def boundary(shell: Shell) -> frozenset[str]:
    """The commits whose parents the remote did not give, since its own history is shallow."""
    try:
        return frozenset((shell.repository / "shallow").read_text(encoding="ascii").split())
    except FileNotFoundError:
        return frozenset()
