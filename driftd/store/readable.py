"""Records whose documents may be damaged: the others are read, and what is left out is counted, logged and said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import structlog

Row = TypeVar("Row")
Decoded = TypeVar("Decoded")

_MAX_REMEMBERED = 10_000

log = structlog.get_logger(__name__)


class Readable(list[Decoded]):
    """Records that could be read. `unreadable` names those between them that could not, which are left out."""

    def __init__(self, decoded: Iterable[Decoded] = (), unreadable: Iterable[str] = ()) -> None:
        super().__init__(decoded)
        self.unreadable = tuple(unreadable)


def readable(
    rows: Iterable[Row], decode: Callable[[Row], Decoded], name: Callable[[Row], str], limit: int | None = None
) -> Readable[Decoded]:
    """What `decode` makes of the first rows, at most `limit`. One whose document cannot be read is left out, by its
    `name`.
    """
    decoded: list[Decoded] = []
    unreadable: list[str] = []
    for row in rows:
        if limit is not None and len(decoded) >= limit:
            break
        try:
            decoded.append(decode(row))
        except ValueError:
            unreadable.append(name(row))
    return Readable(decoded, unreadable)


class UnreadableRecords:
    """The records of a store that were met and could not be read. Each is logged once."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._names: dict[str, None] = {}

    @property
    def names(self) -> Collection[str]:
        """Their kinds and ids, in the order in which they were met."""
        return self._names.keys()

    def note(self, found: Readable[Decoded]) -> Readable[Decoded]:
        """Takes in what could not be read, and returns what was."""
        for name in found.unreadable:
            if name not in self._names and len(self._names) < _MAX_REMEMBERED:
                self._names[name] = None
                log.warning("record cannot be read, and is left out", store=self._store, record=name)
        return found
