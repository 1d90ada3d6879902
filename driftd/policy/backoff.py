"""How often driftd puts the same thing back: ever more slowly, where somebody else keeps changing it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_QUIET = timedelta(minutes=10)
_LONGEST = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class HealHistory:
    """How many times in a row an app was healed, and when last. A quiet time of ten minutes starts it anew."""

    times: int = 0
    last: datetime | None = None

    def wait(self, now: datetime) -> timedelta:
        """How long to wait before the next heal: nothing at first, then 1, 2, 4… seconds, five minutes at most."""
        if self.last is None or self.times == 0 or now - self.last >= _QUIET:
            return timedelta(0)
        pause = min(timedelta(seconds=2 ** min(self.times - 1, 20)), _LONGEST)
        return max(timedelta(0), pause - (now - self.last))

    def healed(self, now: datetime) -> HealHistory:
        """The history after one more heal."""
        started_anew = self.last is None or now - self.last >= _QUIET
        return HealHistory(1 if started_anew else self.times + 1, now)
