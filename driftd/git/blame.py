"""Who wrote a line, by `git blame --porcelain`."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone

from driftd.git.command import Shell
from driftd.git.paths import Located, locate
from driftd.model.errors import PathNotFound
from driftd.model.revision import GitLine

_KEPT = 20_000
_HEADER = re.compile(r"(?P<sha>[0-9a-f]{40,64}) \d+ (?P<line>\d+)(?: \d+)?")

_Key = tuple[str, str, int]


class Blame:
    """Blames lines, and keeps the answers: what a commit says of a line never changes.

    Not by blob: where a change is reverted, the same content comes back by another hand.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, GitLine] = OrderedDict()
        self._lock = threading.Lock()

    def lines(self, shell: Shell, sha: str, file: str, wanted: Collection[int]) -> dict[int, GitLine]:
        """Blocking. `sha` is a full hash. Raises: PathNotFound: the commit has no such file."""
        found = self._kept(sha, file, wanted)
        unknown = sorted(set(wanted) - found.keys())
        if unknown:
            place = locate(shell, sha, file)
            if place.kind != "blob":
                raise PathNotFound(f"{file} is a folder")
            fresh = _blame(shell, sha, file, place, unknown)
            self._keep(sha, file, fresh)
            found |= fresh
        return found

    def _kept(self, sha: str, file: str, wanted: Iterable[int]) -> dict[int, GitLine]:
        with self._lock:
            return {line: known for line in wanted if (known := self._known.get((sha, file, line))) is not None}

    def _keep(self, sha: str, file: str, fresh: dict[int, GitLine]) -> None:
        with self._lock:
            self._known |= {(sha, file, line): answer for line, answer in fresh.items() if answer.commit is not None}
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)


def _blame(shell: Shell, sha: str, file: str, place: Located, wanted: list[int]) -> dict[int, GitLine]:
    data = shell.run("cat-file", "blob", place.oid)
    last = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    ranges = [f"-L{first},{end}" for first, end in _ranges(line for line in wanted if 1 <= line <= last)]
    if not ranges:
        return {}
    out = shell.run("blame", "--porcelain", "--root", *ranges, sha, "--", place.path)
    cut_off = _shallow(shell)
    return dict(_parse(out.decode(errors="replace"), file, cut_off))


def _shallow(shell: Shell) -> frozenset[str]:
    """The commits whose parents the remote did not give: Git would blame them for all that is older."""
    try:
        return frozenset((shell.repository / "shallow").read_text(encoding="ascii").split())
    except FileNotFoundError:
        return frozenset()


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
