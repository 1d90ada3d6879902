"""What one pass found of one app: a verdict on each of many objects, of which the next pass changes few."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import accumulate, chain
from operator import is_
from typing import overload

from driftd.model.drift import Status, Verdict
from driftd.model.revision import Revision

CHUNK_SIZE = 256
"""So many verdicts are in a chunk."""

_DIFFERING = frozenset({Status.DRIFTED, Status.MISSING, Status.ORPHANED})


class Chunk:
    """Some verdicts in a row, those of them on objects that are not simply in sync, and how many have which status."""

    __slots__ = ("counts", "differing", "notable", "verdicts")

    def __init__(self, verdicts: Iterable[Verdict]) -> None:
        in_sync = Status.IN_SYNC
        self.verdicts = tuple(verdicts)
        self.notable = tuple([verdict for verdict in self.verdicts if verdict.status is not in_sync])
        self.differing = tuple([verdict for verdict in self.notable if verdict.status in _DIFFERING])
        statuses = [verdict.status for verdict in self.notable]
        self.counts = {status: statuses.count(status) for status in frozenset(statuses)}
        self.counts[in_sync] = len(self.verdicts) - len(statuses)


class Verdicts(Sequence[Verdict]):
    """A tuple of verdicts in chunks. What one shares with another is the very same chunk, and is not walked again."""

    __slots__ = ("_ends", "chunks")

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self.chunks = tuple(chunks)
        self._ends = list(accumulate(len(chunk.verdicts) for chunk in self.chunks))

    def followed_by(self, more: Sequence[Verdict]) -> Verdicts:
        """These and, behind them, others."""
        return Verdicts([*self.chunks, Chunk(more)]) if more else self

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> Verdicts:
        """The same verdicts; what is in chunks already stays as it is."""
        if isinstance(verdicts, Verdicts):
            return verdicts
        some = tuple(verdicts)
        return cls([Chunk(some[start : start + CHUNK_SIZE]) for start in range(0, len(some), CHUNK_SIZE)])

    @property
    def notable(self) -> tuple[Verdict, ...]:
        """Those on objects that are not simply in sync: mostly few of many."""
        return tuple(chain.from_iterable([chunk.notable for chunk in self.chunks]))

    @property
    def differing(self) -> tuple[Verdict, ...]:
        """Those on objects that differ from Git."""
        return tuple(chain.from_iterable([chunk.differing for chunk in self.chunks]))

    @property
    def counts(self) -> dict[Status, int]:
        """How many objects have each status; every status is there."""
        counts = dict.fromkeys(Status, 0)
        for chunk in self.chunks:
            for status, count in chunk.counts.items():
                counts[status] += count
        return counts

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Verdict]:
        return chain.from_iterable([chunk.verdicts for chunk in self.chunks])

    @overload
    def __getitem__(self, place: int) -> Verdict: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Verdict, ...]: ...
    def __getitem__(self, place: int | slice) -> Verdict | tuple[Verdict, ...]:
        if isinstance(place, slice):
            return tuple(self)[place]
        at = place + len(self) if place < 0 else place
        if not 0 <= at < len(self):
            raise IndexError(place)
        number = bisect_right(self._ends, at)
        return self.chunks[number].verdicts[at - (self._ends[number - 1] if number else 0)]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Verdicts | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


@dataclass(frozen=True)
class Report:
    """The verdicts of one pass over one app, in the order of their sources.

    `error` is why the app as a whole could not be judged (Git unreachable and never seen, a manifest that does not
    parse): then there may be no verdicts at all, and the app is not in sync.
    """

    app: str
    cluster: str
    revision: Revision | None
    verdicts: Sequence[Verdict]
    time: datetime
    error: str | None = None

    @cached_property
    def counts(self) -> Mapping[Status, int]:
        """How many objects have each status; every status is there."""
        return self._chunked.counts

    @property
    def in_sync(self) -> bool:
        """True only when every object was read and none differs."""
        counts = self.counts
        fine = counts[Status.IN_SYNC] + counts[Status.IGNORED]
        return self.error is None and fine == len(self.verdicts)

    @property
    def undecided(self) -> bool:
        """Something could not be read or judged: neither "in sync" nor the whole drift is known."""
        return self.error is not None or self.counts[Status.UNKNOWN] > 0

    @cached_property
    def notable(self) -> tuple[Verdict, ...]:
        """The verdicts on objects that are not simply in sync."""
        return self._chunked.notable

    @cached_property
    def drifted(self) -> tuple[Verdict, ...]:
        """The objects that differ from Git."""
        return self._chunked.differing

    @cached_property
    def _chunked(self) -> Verdicts:
        return Verdicts.of(self.verdicts)


def changed_verdicts(before: Sequence[Verdict], after: Sequence[Verdict]) -> list[int]:
    """The places in which two rows of verdicts, as far as both go, do not have the very same one."""
    if not (isinstance(before, Verdicts) and isinstance(after, Verdicts)):
        return changed_positions(before, after)
    places: list[int] = []
    start = 0
    for old, new in zip(before.chunks, after.chunks, strict=False):
        if old is not new:
            places.extend([start + place for place in changed_positions(old.verdicts, new.verdicts)])
            if len(old.verdicts) != len(new.verdicts):  # from here on they are divided otherwise
                done = start + min(len(old.verdicts), len(new.verdicts))
                return places + [done + place for place in changed_positions(before[done:], after[done:])]
        start += len(new.verdicts)
    return places


def changed_positions(before: Sequence[object], after: Sequence[object]) -> list[int]:
    """The places in which two sequences, as far as both go, do not hold the very same object. Quick where few do."""
    same = bytes(map(is_, before, after))
    places = []
    place = same.find(0)
    while place >= 0:
        places.append(place)
        place = same.find(0, place + 1)
    return places
