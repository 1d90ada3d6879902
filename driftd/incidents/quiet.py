"""How long changes of an incident are held back, so that many in a row are one message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from driftd.model.incident import Incident, IncidentType

QUIET_PERIOD = timedelta(seconds=5)


class QuietPeriods:
    """The quiet periods of incidents, by the monotonic clock."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._updates: dict[tuple[str, IncidentType], tuple[datetime, float]] = {}

    def remaining(self, known: Incident | None, now: datetime) -> timedelta | None:
        """How long another change of an incident is held back; None where it is not."""
        if known is None:
            return None
        wait = QUIET_PERIOD - timedelta(seconds=self._monotonic() - self._updated_at(known, now))
        return wait if wait > timedelta(0) else None

    def _updated_at(self, known: Incident, now: datetime) -> float:
        """When an incident was last updated, on the monotonic clock: a stored time in the future counts as now.

        It is converted once: whoever sets the clock later changes nothing.
        """
        key = (known.app, known.type)
        updated, at = self._updates.get(key, (None, 0.0))
        if updated != known.updated:
            at = self._monotonic() - max(0.0, (now - known.updated).total_seconds())
            self._updates[key] = (known.updated, at)
        return at
