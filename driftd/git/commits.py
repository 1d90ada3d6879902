"""Reading commits of a mirror."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from driftd.git.errors import CommandFailed
from driftd.git.runner import GitRunner
from driftd.git.source import is_hash
from driftd.model.errors import GitError, RefNotFound
from driftd.model.revision import Revision

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Git converts a commit's encoding to UTF-8; GitPython's own reader does not.
_LOG = ("log", "-z", "--encoding=UTF-8", "--no-show-signature", "--no-color", "--format=%H%n%an%n%aI%n%s")


def resolve_commit(git: GitRunner, sha: str) -> str:
    """The full hash of a commit, from an abbreviated one. Raises: RefNotFound: the mirror has no such commit."""
    if not is_hash(sha):
        raise RefNotFound(f"{sha!r} is not a commit's hash")
    try:
        return git.run("rev-parse", "--verify", "--end-of-options", f"{sha}^{{commit}}").decode().strip()
    except CommandFailed as error:
        if "ambiguous" in error.stderr:
            raise RefNotFound(f"{sha} is the beginning of several commits: give more of it") from error
        raise RefNotFound(f"the mirror has no commit {sha}") from error


def read_revision(git: GitRunner, sha: str, name: str) -> Revision:
    """A commit by its full hash. `name` is the reference that resolved to it. Raises: GitError: it cannot be read."""
    for revision in _parse_log(git.run(*_LOG, "--max-count=1", sha, "--")):
        return replace(revision, ref=name)
    raise GitError(f"git log has nothing to say of commit {sha}")


def history(git: GitRunner, sha: str, paths: Sequence[str], limit: int) -> list[Revision]:
    """The commits up to `sha` that changed one of these paths, newest first; the empty string is the root."""
    start = resolve_commit(git, sha)
    out = git.run(*_LOG, f"--max-count={max(0, limit)}", start, "--", *([] if "" in paths else paths))
    return list(_parse_log(out))


def count_commits(git: GitRunner, old: str, new: str) -> int:
    """How many commits `new` has that `old` has not, both by their full hashes."""
    return int(git.run("rev-list", "--count", f"{old}..{new}", "--"))


def _parse_log(log: bytes) -> Iterator[Revision]:
    for record in log.decode(errors="replace").split("\0"):
        if record:
            sha, author, time, subject = record.split("\n", 3)
            yield Revision(sha=sha, author=author, time=parse_time(time), subject=subject.rstrip("\n"), ref=sha)


def parse_time(text: str) -> datetime:
    """A commit's ISO 8601 time; the epoch for a date that does not exist."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _EPOCH


def shallow_boundary(git: GitRunner) -> frozenset[str]:
    """The commits of a shallow mirror whose parents the remote did not send."""
    try:
        return frozenset((git.repository / "shallow").read_text(encoding="ascii").split())
    except FileNotFoundError:
        return frozenset()
