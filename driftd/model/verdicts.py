"""The verdicts of a report: many, of which each report changes few."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from operator import is_
from typing import overload

from driftd.model.drift import Status, Verdict

SIZE = 256
"""So many verdicts are in a chunk."""


class Chunk:
    """Some verdicts in a row, and those of them on objects that are not simply in sync."""

    __slots__ = ("notable", "verdicts")

    def __init__(self, verdicts: Iterable[Verdict]) -> None:
        in_sync = Status.IN_SYNC
        self.verdicts = tuple(verdicts)
        self.notable = tuple([verdict for verdict in self.verdicts if verdict.status is not in_sync])


class Verdicts(Sequence[Verdict]):
    """A tuple of verdicts in chunks. What one shares with another is the very same chunk, and is not walked again."""

    __slots__ = ("_ends", "chunks")

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self.chunks = tuple(chunks)
        self._ends = list(accumulate(len(chunk.verdicts) for chunk in self.chunks))

    def followed_by(self, more: Sequence[Verdict]) -> Verdicts:
        """These and, behind them, others."""
        return Verdicts([*self.chunks, Chunk(more)]) if more else self

    @property
    def notable(self) -> tuple[Verdict, ...]:
        """Those on objects that are not simply in sync."""
        return tuple(chain.from_iterable([chunk.notable for chunk in self.chunks]))

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


def changed(before: Sequence[Verdict], after: Sequence[Verdict]) -> list[int]:
    """The places in which two rows of verdicts, as far as both go, do not have the very same one."""
    if not (isinstance(before, Verdicts) and isinstance(after, Verdicts)):
        return others(before, after)
    places: list[int] = []
    start = 0
    for old, new in zip(before.chunks, after.chunks, strict=False):
        if old is not new:
            places.extend([start + place for place in others(old.verdicts, new.verdicts)])
            if len(old.verdicts) != len(new.verdicts):  # from here on they are divided otherwise
                done = start + min(len(old.verdicts), len(new.verdicts))
                return places + [done + place for place in others(before[done:], after[done:])]
        start += len(new.verdicts)
    return places


def others(before: Sequence[object], after: Sequence[object]) -> list[int]:
    """The places in which two sequences, as far as both go, do not hold the very same object. Quick where few do."""
    same = bytes(map(is_, before, after))
    places = []
    place = same.find(0)
    while place >= 0:
        places.append(place)
        place = same.find(0, place + 1)
    return places
