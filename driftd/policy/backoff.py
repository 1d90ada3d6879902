"""Backoff of heals: longer and longer waits while another writer keeps changing the same thing.

Each `now` is a time of the monotonic clock, which nobody sets.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from driftd.model.backoff import exponential_delay
from driftd.model.drift import Verdict
from driftd.model.path import format_path

_QUIET = timedelta(minutes=10)
_MIN_PAUSE = timedelta(seconds=1)
_MAX_PAUSE = timedelta(minutes=5)

_FREE_HEALS = 30
"""Heals of one object in a row that are not slowed down, as long as each is of another difference."""


@dataclass(frozen=True, slots=True)
class HealHistory:
    """Number of heals in a row, and the time of the last. Ten minutes without a heal reset it."""

    times: int = 0
    last: timedelta | None = None

    def wait(self, now: timedelta, free: int = 0) -> timedelta:
        """Time to wait before the next heal: none at first, then 1, 2, 4… seconds, at most five minutes.

        The first `free` heals in a row do not count.
        """
        if self.last is None or self.times <= free or now - self.last >= _QUIET:
            return timedelta(0)
        pause = exponential_delay(self.times - free, _MIN_PAUSE.total_seconds(), _MAX_PAUSE.total_seconds())
        return max(timedelta(0), timedelta(seconds=pause) - (now - self.last))

    def after_heal(self, now: timedelta) -> HealHistory:
        """The history after one more heal."""
        is_reset = self.last is None or now - self.last >= _QUIET
        return HealHistory(1 if is_reset else self.times + 1, now)


class HealBackoff:
    """The heal histories of one app's objects and differences.

    A difference that recurs is healed more and more slowly, and so is an object that is changed in new ways each time.
    Changes of other objects do not slow down a heal.
    """

    def __init__(self) -> None:
        self._histories: dict[Hashable, HealHistory] = {}

    def due(self, verdicts: Iterable[Verdict], now: timedelta) -> tuple[Verdict, ...]:
        """The verdicts that need not wait."""
        return tuple(verdict for verdict in verdicts if not self._wait(verdict, now))

    def wait(self, verdicts: Sequence[Verdict], now: timedelta) -> timedelta | None:
        """Time until the first waiting verdict is due; None if none has to wait."""
        if not self._histories:
            return None
        return min((wait for verdict in verdicts if (wait := self._wait(verdict, now))), default=None)

    def record(self, verdicts: Iterable[Verdict], now: timedelta) -> None:
        """Records one more heal of these objects, successful or not."""
        self._histories = {k: h for k, h in self._histories.items() if h.last is not None and now - h.last < _QUIET}
        for key in {key for verdict in verdicts for key, _ in _keys(verdict)}:
            self._histories[key] = self._histories.get(key, HealHistory()).after_heal(now)

    def reset(self) -> None:
        """Forgets all heals: another revision is deployed now."""
        self._histories.clear()

    def _wait(self, verdict: Verdict, now: timedelta) -> timedelta:
        waits = (self._histories[key].wait(now, free) for key, free in _keys(verdict) if key in self._histories)
        return max(waits, default=timedelta(0))


def _keys(verdict: Verdict) -> Iterator[tuple[Hashable, int]]:
    yield verdict.ref, _FREE_HEALS
    differences = tuple((format_path(field.path), str(field.change), repr(field.live)) for field in verdict.fields)
    yield (verdict.ref, verdict.status, differences), 0
