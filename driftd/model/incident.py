"""Incidents of an app, from detection to resolution, and their notifications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from driftd.model.claim import Claim
from driftd.model.drift import Status, Verdict

MAX_LISTED_OBJECTS = 500
"""Maximum number of objects in an incident: it is stored and sent as a whole each time that it changes."""

MAX_LISTED_ENDED = 100
"""Maximum number of objects in an incident whose drift is over, the latest ones; the history has all of them."""


class IncidentType(StrEnum):
    DRIFT = "drift"
    UNHEALTHY = "unhealthy"
    SYNC_FAILED = "sync_failed"
    ROLLBACK = "rollback"
    SOURCE = "source"
    CONFLICT = "conflict"
    """Several apps declare the same object."""
    CONFIG = "config"
    """The daemon's new configuration was refused: the one before stays in force."""


class IncidentEvent(StrEnum):
    OPENED = "opened"
    CHANGED = "changed"
    RESOLVED = "resolved"


class Resolution(StrEnum):
    """How an incident ended, or one object of it: told from what was done, never guessed."""

    HEALED = "healed"
    """driftd put back what Git declares."""
    REVERTED = "reverted"
    """Somebody else put back what Git declares."""
    ACCEPTED = "accepted"
    """Git now declares the live state."""
    DEPLOYED = "deployed"
    """Git had moved on, and what it declares is in the cluster now: nobody's hand was at work."""
    DELETED = "deleted"
    """An object that Git does not declare is gone from the cluster."""
    IGNORED = "ignored"
    """A rule says that the difference does not count."""
    ROLLED_BACK = "rolled_back"
    """The app went back to an earlier revision, which is what counts since."""
    RELEASED = "released"
    """A person ended the hold."""
    RECOVERED = "recovered"
    """It works again: everything is healthy, or Git can be read."""
    SUPERSEDED = "superseded"
    """A new revision in Git made it irrelevant."""
    UNCONFIRMED = "unconfirmed"
    """It is as Git declares, and driftd was about to see to that when it ended: whether it did cannot be known."""
    UNTRACKED = "untracked"
    """The revisions that brought an orphan are not kept any more: it is not looked for."""
    REMOVED = "removed"
    """The app or source is not in the configuration any more."""
    MIXED = "mixed"
    """Several of these, each for some of the objects."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Drift of one object that is over: what it was, how it ended, when, and who ended it where that is known.

    That is a person, `driftd`, or the field manager that put it back.

    `operation` is the id of driftd's write that ended it, if one did, and `taken_from` the deployer from which that
    write took the object over.
    """

    verdict: Verdict
    resolution: Resolution
    time: datetime
    by: str | None = None
    operation: str | None = None
    taken_from: Claim | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """A problem of an app; at most one per app and type is open. `fingerprint` changes when the problem changes.

    `resources` are the first `MAX_LISTED_OBJECTS` affected objects, `counts` the number of all of them by status, and
    `fields` the number of their fields that differ. `ended` is what was drift of this incident and is over, oldest
    first: what people were told of stays in it. Of a resolved incident, `resources` are those that differed last.

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
    ended: tuple[Ended, ...] = ()

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
