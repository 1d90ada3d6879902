"""Incidents of an app, from detection to resolution, and their notifications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from driftd.model.drift import Status, Verdict

MAX_LISTED_OBJECTS = 500
"""Maximum number of objects in an incident: it is stored and sent as a whole each time that it changes."""


class IncidentType(StrEnum):
    DRIFT = "drift"
    UNHEALTHY = "unhealthy"
    SYNC_FAILED = "sync_failed"
    ROLLBACK = "rollback"
    SOURCE = "source"
    CONFIG = "config"
    """The daemon's new configuration was refused: the one before stays in force."""


class IncidentEvent(StrEnum):
    OPENED = "opened"
    CHANGED = "changed"
    RESOLVED = "resolved"


class Resolution(StrEnum):
    """How an incident ended."""

    HEALED = "healed"
    """driftd reverted the change."""
    REVERTED = "reverted"
    """Somebody else reverted the change."""
    ACCEPTED = "accepted"
    """Git now declares the live state."""
    IGNORED = "ignored"
    SUPERSEDED = "superseded"
    """A new revision in Git made it irrelevant."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A problem of an app; at most one per app and type is open. `fingerprint` changes when the problem changes.

    `resources` are the first `MAX_LISTED_OBJECTS` affected objects, `counts` the number of all of them by status, and
    `fields` the number of their fields that differ.

    `message` is a sentence for incidents that are not about fields. Times have a timezone.
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
        """Number of affected objects."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Notification:
    """An event of an incident, to be delivered. All attempts at its delivery have the same `id`."""

    id: str
    event: IncidentEvent
    incident: Incident
    time: datetime
