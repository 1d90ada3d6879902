"""The report of one pass over one app: verdicts on many objects, of which few change from pass to pass."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import accumulate, chain
from operator import is_
from typing import overload

from driftd.model.drift import Status, Verdict
from driftd.model.hook import Hook
from driftd.model.next_deployment import PendingRevision
from driftd.model.preview import Preview
from driftd.model.resource import ResourceRef
from driftd.model.revision import Revision

CHUNK_SIZE = 256
"""Verdicts per chunk."""

_DIFFERING = frozenset({Status.DRIFTED, Status.MISSING, Status.ORPHANED})


class Chunk:
    """Consecutive verdicts, with what is notable about them and the number of each status computed once."""

    __slots__ = ("claimed", "counts", "differing", "notable", "unjudged", "verdicts")

    def __init__(self, verdicts: Iterable[Verdict]) -> None:
        in_sync = Status.IN_SYNC
        self.verdicts = tuple(verdicts)
        self.notable = tuple([verdict for verdict in self.verdicts if verdict.status is not in_sync])
        self.differing = tuple([verdict for verdict in self.notable if verdict.status in _DIFFERING])
        self.unjudged = any(v.status is Status.UNKNOWN or v.error is not None for v in self.notable)
        self.claimed = tuple([verdict for verdict in self.verdicts if verdict.claim is not None])
        statuses = [verdict.status for verdict in self.notable]
        self.counts = {status: statuses.count(status) for status in frozenset(statuses)}
        self.counts[in_sync] = len(self.verdicts) - len(statuses)


class Verdicts(Sequence[Verdict]):
    """An immutable sequence of verdicts in chunks. Sequences share unchanged chunks, which need no comparison."""

    __slots__ = ("_ends", "chunks")

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self.chunks = tuple(chunks)
        self._ends = list(accumulate(len(chunk.verdicts) for chunk in self.chunks))

    def followed_by(self, more: Sequence[Verdict]) -> Verdicts:
        """This sequence with further verdicts at its end."""
        return Verdicts([*self.chunks, Chunk(more)]) if more else self

    def with_replaced(self, new: Mapping[ResourceRef, Verdict]) -> Verdicts:
        """This sequence with other verdicts on some objects that are not in sync; other chunks are shared."""

        def replaced(chunk: Chunk) -> Chunk:
            if not any(verdict.ref in new for verdict in chunk.notable):
                return chunk
            return Chunk([new.get(verdict.ref, verdict) for verdict in chunk.verdicts])

        return Verdicts([replaced(chunk) for chunk in self.chunks]) if new else self

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> Verdicts:
        """The same verdicts in chunks; a `Verdicts` is returned as it is."""
        if isinstance(verdicts, Verdicts):
            return verdicts
        items = tuple(verdicts)
        return cls([Chunk(items[start : start + CHUNK_SIZE]) for start in range(0, len(items), CHUNK_SIZE)])

    @property
    def notable(self) -> tuple[Verdict, ...]:
        """The verdicts other than IN_SYNC: usually few."""
        return tuple(chain.from_iterable([chunk.notable for chunk in self.chunks]))

    @property
    def differing(self) -> tuple[Verdict, ...]:
        """The verdicts on objects that differ from Git."""
        return tuple(chain.from_iterable([chunk.differing for chunk in self.chunks]))

    @property
    def claimed(self) -> tuple[Verdict, ...]:
        """The verdicts on objects that another deployer keeps, whether they differ or not."""
        return tuple(chain.from_iterable([chunk.claimed for chunk in self.chunks]))

    @property
    def unjudged(self) -> bool:
        """Whether some object, or a part of one, could not be judged."""
        return any(chunk.unjudged for chunk in self.chunks)

    @property
    def counts(self) -> dict[Status, int]:
        """Number of objects of each status, zeros included."""
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
    def __getitem__(self, index: int) -> Verdict: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Verdict, ...]: ...
    def __getitem__(self, index: int | slice) -> Verdict | tuple[Verdict, ...]:
        if isinstance(index, slice):
            return tuple(self)[index]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(index)
        number = bisect_right(self._ends, position)
        return self.chunks[number].verdicts[position - (self._ends[number - 1] if number else 0)]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Verdicts | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


@dataclass(frozen=True)
class Report:
    """The verdicts of one pass over one app, in the order of their sources.

    `error` is why the app as a whole could not be compared (Git unreachable and never fetched, a manifest that does not
    parse): then there may be no verdicts, and the app is not in sync.
    """

    app: str
    cluster: str
    revision: Revision | None
    verdicts: Sequence[Verdict]
    time: datetime
    error: str | None = None
    hooks: tuple[Hook, ...] = ()
    """Declared objects that are no part of the desired state: a deployer creates them when something happens."""
    pending: PendingRevision | None = None
    """What the app's deployer has yet to deploy; None where it has deployed all, or does not say."""
    preview: Preview | None = None
    """What deploying the revision would do, where that was asked for."""

    @cached_property
    def counts(self) -> Mapping[Status, int]:
        """Number of objects of each status, zeros included."""
        return self._chunked.counts

    @property
    def in_sync(self) -> bool:
        """Whether every object was read and none differs."""
        counts = self.counts
        not_differing = counts[Status.IN_SYNC] + counts[Status.IGNORED]
        return self.error is None and not_differing == len(self.verdicts)

    @property
    def undecided(self) -> bool:
        """Whether anything could not be read or compared, so that drift or an edit may be missing from the report."""
        untold = self.preview is not None and self.preview.error is not None
        return self.error is not None or untold or self._chunked.unjudged

    @cached_property
    def notable(self) -> tuple[Verdict, ...]:
        """The verdicts other than IN_SYNC."""
        return self._chunked.notable

    @cached_property
    def drifted(self) -> tuple[Verdict, ...]:
        """The objects that differ from Git."""
        return self._chunked.differing

    @cached_property
    def claimed(self) -> tuple[Verdict, ...]:
        """The objects that another deployer keeps, by its marks, whether they differ or not."""
        return self._chunked.claimed

    def with_replaced(self, new: Mapping[ResourceRef, Verdict]) -> Report:
        """This report with other verdicts on some objects that are not in sync."""
        return replace(self, verdicts=self._chunked.with_replaced(new)) if new else self

    @cached_property
    def _chunked(self) -> Verdicts:
        return Verdicts.of(self.verdicts)


def changed_verdicts(before: Sequence[Verdict], after: Sequence[Verdict]) -> list[int]:
    """The indexes, up to the shorter length, at which two sequences of verdicts hold different objects."""
    if not (isinstance(before, Verdicts) and isinstance(after, Verdicts)):
        return changed_positions(before, after)
    indexes: list[int] = []
    start = 0
    for old, new in zip(before.chunks, after.chunks, strict=False):
        if old is not new:
            indexes.extend([start + index for index in changed_positions(old.verdicts, new.verdicts)])
            if len(old.verdicts) != len(new.verdicts):  # from this index on, the chunks do not line up
                done = start + min(len(old.verdicts), len(new.verdicts))
                return indexes + [done + index for index in changed_positions(before[done:], after[done:])]
        start += len(new.verdicts)
    return indexes


def changed_positions(before: Sequence[object], after: Sequence[object]) -> list[int]:
    """The indexes, up to the shorter length, at which two sequences hold different objects. Fast if there are few."""
    same = bytes(map(is_, before, after))
    indexes = []
    index = same.find(0)
    while index >= 0:
        indexes.append(index)
        index = same.find(0, index + 1)
    return indexes
