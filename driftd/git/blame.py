"""The commit that last changed a line, from `git blame --porcelain`."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

from driftd.git.commits import shallow_boundary
from driftd.git.errors import CommandFailed
from driftd.git.path_history import diff_consecutive
from driftd.git.paths import ResolvedPath, resolve_path
from driftd.git.runner import GitRunner
from driftd.git.single_commit import SingleCommitFile, count_lines, is_short_history, single_commit_files
from driftd.model.errors import PathNotFound
from driftd.model.revision import GitLine

_MAX_CACHED_LINES = 20_000
_MAX_CACHED_COMMIT_PAIRS = 100
_MAX_COMMITS_BETWEEN = 200
_HEADER = re.compile(r"(?P<sha>[0-9a-f]{40,64}) \d+ (?P<line>\d+)(?: \d+)?")

_K = TypeVar("_K")
_V = TypeVar("_V")


class BlameCache:
    """Blames lines and caches the result: the blame of a line at a commit never changes, and a later commit that does
    not change the file does not change it either.

    The key is not the blob: a revert restores the content, and is another author's. Nor is it the last commit that
    changed the file, which costs a run of Git per file: a result is carried from the commit at which a file was last
    blamed to a later one, if no commit between them changed the file. The commits between are those of the first-parent
    chain, each compared with the next; two runs of Git serve all files. `git blame` itself follows the first parent of
    a merge that leaves the file as that parent has it; where the chain is another one, or long, the file is blamed
    anew.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[tuple[str, str, int], GitLine] = OrderedDict()
        self._cache_commits: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._latest_commit: OrderedDict[str, str] = OrderedDict()
        self._changes: OrderedDict[tuple[str, str], frozenset[str] | None] = OrderedDict()
        self._short: OrderedDict[str, bool] = OrderedDict()
        self._lock = threading.Lock()
        self._diff_lock = threading.Lock()

    def cached(self, sha: str, file: str, numbers: Collection[int]) -> dict[int, GitLine] | None:
        """All of these lines from the cache, without running Git, or None. `sha` is a full hash."""
        with self._lock:
            commit = self._cache_commits.get((sha, file))
            lines = self._cached_lines(commit, file, numbers) if commit is not None else {}
        return lines if len(lines) == len(set(numbers)) else None

    def blame_files(
        self, git: GitRunner, sha: str, files: Mapping[str, Collection[int]]
    ) -> dict[str, dict[int, GitLine]]:
        """Blocking. As `blame_lines` for several files; files that the commit does not have are left out."""
        blamed: dict[str, dict[int, GitLine]] = {}
        for file, numbers in files.items():
            commit = self._cache_commit(git, sha, file)
            with self._lock:
                lines = self._cached_lines(commit, file, numbers)
            if len(lines) == len(set(numbers)):
                blamed[file] = lines
        rest = [file for file in files if file not in blamed]
        single = single_commit_files(git, sha, rest) if len(rest) > 1 and self._is_short(git, sha) else {}
        for file in rest:
            origin = single.get(file)
            try:
                if origin is None:
                    blamed[file] = self.blame_lines(git, sha, file, files[file])
                else:
                    numbers = [number for number in files[file] if 1 <= number <= origin.lines]
                    blamed[file] = {number: _line_of_single_commit(origin, file, number) for number in numbers}
                    self._store(sha, self._cache_commit(git, sha, file), file, blamed[file], carry=True)
            except PathNotFound:
                continue
        return blamed

    def blame_lines(self, git: GitRunner, sha: str, file: str, numbers: Collection[int]) -> dict[int, GitLine]:
        """Blocking. `sha` is a full hash. Raises: PathNotFound: the commit has no such file."""
        commit = self._cache_commit(git, sha, file)
        with self._lock:
            lines = self._cached_lines(commit, file, numbers)
        missing = sorted(set(numbers) - lines.keys())
        if missing:
            resolved = resolve_path(git, sha, file)
            if resolved.kind != "blob":
                raise PathNotFound(f"{file} is a folder")
            blamed = _run_blame(git, sha, file, resolved, missing)
            lines |= blamed
            # The target of a symlink changes without the link: its lines are carried to no other commit.
            is_file = resolved.path == file
            self._store(sha, commit if is_file else sha, file, blamed, carry=is_file)
        return lines

    def invalidate_truncated(self) -> None:
        """Drops the lines that were older than the history of a shallow mirror: it may have been deepened."""
        with self._lock:
            for key in [key for key, line in self._lines.items() if line.commit is None]:
                del self._lines[key]

    def _is_short(self, git: GitRunner, sha: str) -> bool:
        with self._lock:
            short = self._short.get(sha)
        if short is None:
            short = is_short_history(git, sha)
            with self._lock:
                _put_bounded(self._short, sha, short, _MAX_CACHED_COMMIT_PAIRS)
        return short

    def _cache_commit(self, git: GitRunner, sha: str, file: str) -> str:
        """The commit under which the lines of a file, as `sha` has it, are cached."""
        with self._lock:
            if (commit := self._cache_commits.get((sha, file))) is not None:
                return commit
            latest = self._latest_commit.get(file)
            commit = self._cache_commits.get((latest, file)) if latest is not None else None
        if latest is None or commit is None:
            return sha
        changed = self._changed_files(git, latest, sha)
        if changed is None or file in changed:
            return sha
        self._store(sha, commit, file, {}, carry=True)
        return commit

    def _changed_files(self, git: GitRunner, old: str, new: str) -> frozenset[str] | None:
        """The files that changed between two commits; None unless a short first-parent chain connects them."""
        with self._diff_lock:  # many files are blamed concurrently, and one diff serves all
            if (old, new) not in self._changes:
                changes = _first_parent_changes(git, old, new)
                _put_bounded(self._changes, (old, new), changes, _MAX_CACHED_COMMIT_PAIRS)
            return self._changes[old, new]

    def _cached_lines(self, commit: str, file: str, numbers: Iterable[int]) -> dict[int, GitLine]:
        return {number: line for number in numbers if (line := self._lines.get((commit, file, number))) is not None}

    def _store(self, sha: str, commit: str, file: str, lines: dict[int, GitLine], *, carry: bool) -> None:
        with self._lock:
            for number, line in lines.items():
                _put_bounded(self._lines, (commit, file, number), line, _MAX_CACHED_LINES)
            _put_bounded(self._cache_commits, (sha, file), commit, _MAX_CACHED_LINES)
            if carry:
                _put_bounded(self._latest_commit, file, sha, _MAX_CACHED_LINES)
            else:
                self._latest_commit.pop(file, None)


def _put_bounded(cache: OrderedDict[_K, _V], key: _K, value: _V, size: int) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > size:
        cache.popitem(last=False)


def _first_parent_changes(git: GitRunner, old: str, new: str) -> frozenset[str] | None:
    try:
        output = git.run(
            "rev-list", "--first-parent", "--parents", f"--max-count={_MAX_COMMITS_BETWEEN}", f"{old}..{new}", "--"
        )
    except CommandFailed:
        return None  # the mirror was rebuilt, and no longer has the old commit
    chain = [line.split() for line in output.decode().splitlines()]
    if not chain or chain[-1][1:2] != [old]:
        return None
    commits = [*(commit for commit, *_ in chain), old]
    return frozenset(file for files in diff_consecutive(git, commits) for file in files)


def _run_blame(git: GitRunner, sha: str, file: str, resolved: ResolvedPath, numbers: list[int]) -> dict[int, GitLine]:
    last = count_lines(git.run("cat-file", "blob", resolved.oid))
    ranges = [f"-L{first},{end}" for first, end in _ranges(number for number in numbers if 1 <= number <= last)]
    if not ranges:
        return {}
    # Read first: a mirror that is deepened meanwhile makes a line unknown at worst, never wrong.
    boundary = shallow_boundary(git)
    output = git.run("blame", "--porcelain", "--root", *ranges, sha, "--", resolved.path)
    return dict(_parse(output.decode(errors="replace"), file, boundary))


def _line_of_single_commit(origin: SingleCommitFile, file: str, number: int) -> GitLine:
    return GitLine(file, number, origin.commit, origin.author, origin.time, origin.subject)


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending line numbers as ranges, both ends included."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _parse(porcelain: str, file: str, boundary: Collection[str]) -> Iterator[tuple[int, GitLine]]:
    """Source: git-blame(1), "The porcelain format": a commit's headers come with its first line only."""
    commits: dict[str, dict[str, str]] = {}
    sha, number = "", 0
    for text in porcelain.split("\n"):
        if text.startswith("\t"):
            if sha in boundary:
                yield number, GitLine(file, number)
            else:
                yield number, _git_line(file, number, sha, commits[sha])
        elif header := _HEADER.fullmatch(text):
            sha, number = header["sha"], int(header["line"])
            commits.setdefault(sha, {})
        elif text:
            key, _, value = text.partition(" ")
            commits[sha].setdefault(key, value)


def _git_line(file: str, number: int, sha: str, commit: dict[str, str]) -> GitLine:
    return GitLine(
        file=file,
        line=number,
        commit=sha,
        author=commit.get("author"),
        time=_parse_time(commit.get("author-time", ""), commit.get("author-tz", "")),
        subject=commit.get("summary"),
    )


def _parse_time(seconds: str, zone: str) -> datetime | None:
    try:
        sign = -1 if zone.startswith("-") else 1
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
        return datetime.fromtimestamp(int(seconds), UTC).astimezone(timezone(sign * offset))
    except (ValueError, OverflowError, OSError):
        return None
