"""How often driftd puts the same thing back: ever more slowly, where somebody else keeps changing it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.model.backoff import exponential_delay
from driftd.model.drift import Verdict
from driftd.model.path import format_path

_QUIET = timedelta(minutes=10)
_MIN_PAUSE = timedelta(seconds=1)
_MAX_PAUSE = timedelta(minutes=5)

_FREE_HEALS = 30
"""So many different things may happen to one object within ten minutes before it counts as a fight."""


@dataclass(frozen=True, slots=True)
class HealHistory:
    """How many times in a row an app was healed, and when last. A quiet time of ten minutes starts it anew."""

    times: int = 0
    last: datetime | None = None

    def wait(self, now: datetime, free: int = 0) -> timedelta:
        """How long to wait before the next heal: nothing at first, then 1, 2, 4… seconds, five minutes at most.

        `free` heals in a row are not counted.
        """
        if self.last is None or self.times <= free or now - self.last >= _QUIET:
            return timedelta(0)
        pause = exponential_delay(self.times - free, _MIN_PAUSE.total_seconds(), _MAX_PAUSE.total_seconds())
        return max(timedelta(0), timedelta(seconds=pause) - (now - self.last))

    def after_heal(self, now: datetime) -> HealHistory:
        """The history after one more heal."""
        started_anew = self.last is None or now - self.last >= _QUIET
        return HealHistory(1 if started_anew else self.times + 1, now)


class HealBackoff:
    """The heal histories of one app.

    Of each difference, so that the same one is put back ever more slowly; and of each object, so that one that is
    changed in ever new ways is, too. What happens to other objects does not slow down a heal.
    """

    def __init__(self) -> None:
        self._histories: dict[Hashable, HealHistory] = {}

    def due(self, verdicts: Iterable[Verdict], now: datetime) -> tuple[Verdict, ...]:
        """Those that need not wait."""
        return tuple(verdict for verdict in verdicts if not self._wait(verdict, now))

    def wait(self, verdicts: Sequence[Verdict], now: datetime) -> timedelta | None:
        """How long until the first of those that must wait is due; None where none must."""
        if not self._histories:
            return None
        return min((wait for verdict in verdicts if (wait := self._wait(verdict, now))), default=None)

    def record(self, verdicts: Iterable[Verdict], now: datetime) -> None:
        """Remembers one more try to put these back."""
        self._histories = {k: h for k, h in self._histories.items() if h.last is not None and now - h.last < _QUIET}
        for key in {key for verdict in verdicts for key, _ in _keys(verdict)}:
            self._histories[key] = self._histories.get(key, HealHistory()).after_heal(now)

    def reset(self) -> None:
        """Starts anew: what is deployed now is another thing."""
        self._histories.clear()

    def _wait(self, verdict: Verdict, now: datetime) -> timedelta:
        waits = (self._histories[key].wait(now, free) for key, free in _keys(verdict) if key in self._histories)
        return max(waits, default=timedelta(0))


def _keys(verdict: Verdict) -> Iterator[tuple[Hashable, int]]:
    yield verdict.ref, _FREE_HEALS
    differences = tuple((format_path(field.path), str(field.change), repr(field.live)) for field in verdict.fields)
    yield (verdict.ref, verdict.status, differences), 0
