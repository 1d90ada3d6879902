"""Commits of a mirror, as revisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from driftd.git.errors import CommandFailed
from driftd.git.runner import Shell
from driftd.git.source import is_hash
from driftd.model.errors import GitError, RefNotFound
from driftd.model.revision import Revision

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Git brings the text into UTF-8 from whatever the commit is written in; GitPython's own reader does not.
_LOG = ("log", "-z", "--encoding=UTF-8", "--no-show-signature", "--no-color", "--format=%H%n%an%n%aI%n%s")


def existing_commit(shell: Shell, sha: str) -> str:
    """The full hash of a commit that the mirror has. Raises: RefNotFound."""
    if not is_hash(sha):
        raise RefNotFound(f"{sha!r} is not a commit's hash")
    try:
        return shell.run("rev-parse", "--verify", "--end-of-options", f"{sha}^{{commit}}").decode().strip()
    except CommandFailed as error:
        if "ambiguous" in error.stderr:
            raise RefNotFound(f"{sha} is the beginning of several commits: give more of it") from error
        raise RefNotFound(f"the mirror has no commit {sha}") from error


def revision_of(shell: Shell, sha: str, name: str) -> Revision:
    """The commit of a full hash. `name` is what it was resolved from. Raises: GitError: it cannot be read."""
    for revision in _revisions(shell.run(*_LOG, "--max-count=1", sha, "--")):
        return replace(revision, ref=name)
    raise GitError(f"git log has nothing to say of commit {sha}")


def history(shell: Shell, sha: str, paths: Sequence[str], limit: int) -> list[Revision]:
    """The commits up to `sha` that touched one of these paths, newest first; the empty string is the root."""
    start = existing_commit(shell, sha)
    out = shell.run(*_LOG, f"--max-count={max(0, limit)}", start, "--", *([] if "" in paths else paths))
    return list(_revisions(out))


def _revisions(log: bytes) -> Iterator[Revision]:
    for record in log.decode(errors="replace").split("\0"):
        if record:
            sha, author, time, subject = record.split("\n", 3)
            yield Revision(sha=sha, author=author, time=time_of(time), subject=subject.rstrip("\n"), ref=sha)


def time_of(text: str) -> datetime:
    """When the commit was written; the epoch where its date is none that a calendar has."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _EPOCH
