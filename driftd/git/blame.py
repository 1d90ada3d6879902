"""Who wrote a line, by `git blame --porcelain`."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

from driftd.git.errors import CommandFailed
from driftd.git.path_history import boundary, differences
from driftd.git.paths import Located, locate
from driftd.git.runner import Shell
from driftd.git.single_commit import Origin, is_short, origins
from driftd.model.errors import PathNotFound
from driftd.model.revision import GitLine

_KEPT = 20_000
_WAYS = 100
_LONGEST_WAY = 200
_HEADER = re.compile(r"(?P<sha>[0-9a-f]{40,64}) \d+ (?P<line>\d+)(?: \d+)?")

_K = TypeVar("_K")
_V = TypeVar("_V")


class Blame:
    """Blames lines, and keeps the answers: what a commit says of a line never changes, nor does a later commit say
    otherwise that left the file alone.

    Not by blob: where a change is reverted, the same content comes back by another hand. Nor by the last commit that
    touched the file, which takes a run of Git for each file: an answer is carried from the commit that a file was last
    blamed at to a later one, if none on the way between them changed it. The way is that of first parents, each
    compared with the next, and one look at it (two runs of Git) does for all files. A merge that leaves a file as its
    first parent has it is passed over by `git blame` itself in just that way; where the way is another one, or a long
    one, the file is blamed anew.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, int], GitLine] = OrderedDict()
        self._as_at: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._latest: OrderedDict[str, str] = OrderedDict()
        self._ways: OrderedDict[tuple[str, str], frozenset[str] | None] = OrderedDict()
        self._short: OrderedDict[str, bool] = OrderedDict()
        self._lock = threading.Lock()
        self._looking = threading.Lock()

    def kept(self, sha: str, file: str, wanted: Collection[int]) -> dict[int, GitLine] | None:
        """What is known of all these lines without asking Git, or None. `sha` is a full hash."""
        with self._lock:
            as_at = self._as_at.get((sha, file))
            found = self._of(as_at, file, wanted) if as_at is not None else {}
        return found if len(found) == len(set(wanted)) else None

    def files(self, shell: Shell, sha: str, wanted: Mapping[str, Collection[int]]) -> dict[str, dict[int, GitLine]]:
        """Blocking. As `lines` for several files; without those that the commit does not have."""
        found: dict[str, dict[int, GitLine]] = {}
        for file, lines in wanted.items():
            as_at = self._commit(shell, sha, file)
            with self._lock:
                known = self._of(as_at, file, lines)
            if len(known) == len(set(lines)):
                found[file] = known
        rest = [file for file in wanted if file not in found]
        known_at_once = origins(shell, sha, rest) if len(rest) > 1 and self._is_short(shell, sha) else {}
        for file in rest:
            origin = known_at_once.get(file)
            try:
                if origin is None:
                    found[file] = self.lines(shell, sha, file, wanted[file])
                else:
                    found[file] = {line: _of(origin, file, line) for line in wanted[file] if 1 <= line <= origin.lines}
                    self._keep(sha, self._commit(shell, sha, file), file, found[file], carry=True)
            except PathNotFound:
                continue
        return found

    def lines(self, shell: Shell, sha: str, file: str, wanted: Collection[int]) -> dict[int, GitLine]:
        """Blocking. `sha` is a full hash. Raises: PathNotFound: the commit has no such file."""
        as_at = self._commit(shell, sha, file)
        with self._lock:
            found = self._of(as_at, file, wanted)
        unknown = sorted(set(wanted) - found.keys())
        if unknown:
            place = locate(shell, sha, file)
            if place.kind != "blob":
                raise PathNotFound(f"{file} is a folder")
            fresh = _blame(shell, sha, file, place, unknown)
            found |= fresh
            # What a link leads to changes without it: its answers are carried to no other commit.
            self._keep(sha, as_at if place.path == file else sha, file, fresh, carry=place.path == file)
        return found

    def forget_what_was_cut_off(self) -> None:
        """More of the history may be known now."""
        with self._lock:
            for key in [key for key, line in self._known.items() if line.commit is None]:
                del self._known[key]

    def _is_short(self, shell: Shell, sha: str) -> bool:
        with self._lock:
            known = self._short.get(sha)
        if known is None:
            known = is_short(shell, sha)
            with self._lock:
                _put(self._short, sha, known, _WAYS)
        return known

    def _commit(self, shell: Shell, sha: str, file: str) -> str:
        """The commit under which the answers on a file, as `sha` has it, are kept."""
        with self._lock:
            if (as_at := self._as_at.get((sha, file))) is not None:
                return as_at
            before = self._latest.get(file)
            as_at = self._as_at.get((before, file)) if before is not None else None
        if before is None or as_at is None:
            return sha
        touched = self._touched(shell, before, sha)
        if touched is None or file in touched:
            return sha
        self._keep(sha, as_at, file, {}, carry=True)
        return as_at

    def _touched(self, shell: Shell, old: str, new: str) -> frozenset[str] | None:
        """The files that were changed on the way from one commit to another; None where that is no short way."""
        with self._looking:  # many files are asked for at once, and one look does for all
            if (old, new) not in self._ways:
                _put(self._ways, (old, new), _touched(shell, old, new), _WAYS)
            return self._ways[old, new]

    def _of(self, as_at: str, file: str, wanted: Iterable[int]) -> dict[int, GitLine]:
        return {line: known for line in wanted if (known := self._known.get((as_at, file, line))) is not None}

    def _keep(self, sha: str, as_at: str, file: str, fresh: dict[int, GitLine], *, carry: bool) -> None:
        with self._lock:
            for line, answer in fresh.items():
                _put(self._known, (as_at, file, line), answer, _KEPT)
            _put(self._as_at, (sha, file), as_at, _KEPT)
            if carry:
                _put(self._latest, file, sha, _KEPT)
            else:
                self._latest.pop(file, None)


def _put(into: OrderedDict[_K, _V], key: _K, value: _V, most: int) -> None:
    into[key] = value
    into.move_to_end(key)
    while len(into) > most:
        into.popitem(last=False)


def _touched(shell: Shell, old: str, new: str) -> frozenset[str] | None:
    try:
        listed = shell.run(
            "rev-list", "--first-parent", "--parents", f"--max-count={_LONGEST_WAY}", f"{old}..{new}", "--"
        )
    except CommandFailed:
        return None  # the mirror was built anew, and does not have the old one any more
    way = [line.split() for line in listed.decode().splitlines()]
    if not way or way[-1][1:2] != [old]:
        return None
    commits = [*(commit for commit, *_ in way), old]
    return frozenset(file for files in differences(shell, commits) for file in files)


def _blame(shell: Shell, sha: str, file: str, place: Located, wanted: list[int]) -> dict[int, GitLine]:
    data = shell.run("cat-file", "blob", place.oid)
    last = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    ranges = [f"-L{first},{end}" for first, end in _ranges(line for line in wanted if 1 <= line <= last)]
    if not ranges:
        return {}
    # Looked at first: who deepens the history meanwhile makes an answer better, not worse.
    cut_off = boundary(shell)
    out = shell.run("blame", "--porcelain", "--root", *ranges, sha, "--", place.path)
    return dict(_parse(out.decode(errors="replace"), file, cut_off))


def _of(origin: Origin, file: str, line: int) -> GitLine:
    return GitLine(file, line, origin.commit, origin.author, origin.time, origin.subject)


def _ranges(lines: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending lines as ranges, both ends of which are in it."""
    ranges: list[tuple[int, int]] = []
    for line in lines:
        if ranges and line == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], line)
        else:
            ranges.append((line, line))
    return ranges


def _parse(porcelain: str, file: str, cut_off: Collection[str]) -> Iterator[tuple[int, GitLine]]:
    """Source: git-blame(1), "The porcelain format": a commit's headers come with its first line only."""
    commits: dict[str, dict[str, str]] = {}
    sha, number = "", 0
    for text in porcelain.split("\n"):
        if text.startswith("\t"):
            if sha in cut_off:
                yield number, GitLine(file, number)
            else:
                yield number, _line(file, number, sha, commits[sha])
        elif header := _HEADER.fullmatch(text):
            sha, number = header["sha"], int(header["line"])
            commits.setdefault(sha, {})
        elif text:
            key, _, value = text.partition(" ")
            commits[sha].setdefault(key, value)


def _line(file: str, number: int, sha: str, commit: dict[str, str]) -> GitLine:
    return GitLine(
        file=file,
        line=number,
        commit=sha,
        author=commit.get("author"),
        time=_time(commit.get("author-time", ""), commit.get("author-tz", "")),
        subject=commit.get("summary"),
    )


def _time(seconds: str, zone: str) -> datetime | None:
    try:
        sign = -1 if zone.startswith("-") else 1
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
        return datetime.fromtimestamp(int(seconds), UTC).astimezone(timezone(sign * offset))
    except (ValueError, OverflowError, OSError):
        return None
