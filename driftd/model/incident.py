"""Something is wrong with an app, from when it is first seen until it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from driftd.model.drift import Status, Verdict

MAX_LISTED_OBJECTS = 500
"""So many objects an incident lists: it is written and sent whole, each time that it changes."""


class IncidentType(StrEnum):
    DRIFT = "drift"
    UNHEALTHY = "unhealthy"
    SYNC_FAILED = "sync_failed"
    ROLLBACK = "rollback"
    SOURCE = "source"


class IncidentEvent(StrEnum):
    OPENED = "opened"
    CHANGED = "changed"
    RESOLVED = "resolved"


class Resolution(StrEnum):
    """How an incident ended."""

    HEALED = "healed"
    """driftd put it back."""
    REVERTED = "reverted"
    """Somebody else put it back."""
    ACCEPTED = "accepted"
    """Git now declares what is live."""
    IGNORED = "ignored"
    SUPERSEDED = "superseded"
    """Git moved on, and the question with it."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One per app and type at a time. `fingerprint` changes when what is wrong changes, not when time passes.

    `resources` are the first `LISTED` objects that it is about, `counts` all of them by status, and `fields` is how
    many fields of them differ.

    `message` is a sentence for incidents that are not about fields. Times carry their timezone.
    """

    id: str
    app: str
    cluster: str
    type: IncidentType
    revision: str | None
    fingerprint: str
    first_seen: datetime
    updated: datetime
    resources: tuple[Verdict, ...]
    message: str = ""
    resolution: Resolution | None = None
    resolved: datetime | None = None
    counts: Mapping[Status, int] = field(default_factory=dict)
    fields: int = 0

    def __post_init__(self) -> None:
        if not self.counts:
            object.__setattr__(self, "counts", Counter(verdict.status for verdict in self.resources))
            object.__setattr__(self, "fields", sum(len(verdict.fields) for verdict in self.resources))

    @property
    def objects(self) -> int:
        """How many objects it is about."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to tell: what happened to an incident. `id` is the same each time its delivery is tried."""

    id: str
    event: IncidentEvent
    incident: Incident
    time: datetime
