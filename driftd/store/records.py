"""What the store gives back, beside the nouns of the model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftd.model.incident import Notification
from driftd.model.plan import Hold
from driftd.model.resource import JsonObject
from driftd.model.revision import Revision, RevisionState


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """A revision as one app knows it. `reason` says why it is in its state, where there is something to say.

    `applied_at` is when all of it was in the cluster, `decided_at` when it was found good or bad.
    """

    app: str
    revision: Revision
    digest: str
    state: RevisionState
    reason: str
    first_seen: datetime
    applied_at: datetime | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class AppState:
    """How an app stands at a revision: what is known of that, what holds the app, and what it has had in its cluster.

    `applied` are the digests of what was in the cluster, as far as it is kept, the latest first. `mark` is another one
    as soon as any of this may have changed; None where there is none yet.
    """

    record: RevisionRecord | None
    hold: Hold | None
    applied: tuple[str, ...]
    version: str | None = None


class HistoryKind(StrEnum):
    """What an entry of the history is about."""

    REVISION = "revision"
    VERDICT = "verdict"
    ACTION = "action"
    HOLD = "hold"
    INCIDENT = "incident"
    DELIVERY = "delivery"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to an app. `id` grows with time: `history(before=id)` is the next page."""

    id: int
    app: str
    time: datetime
    kind: HistoryKind
    summary: str
    details: JsonObject


class DeliveryState(StrEnum):
    """Where a delivery is on its way."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification for one channel. `attempts` counts the tries that failed, `accepted` is when it was stored.

    `receipt` is what the channel gave for the latest delivered notification of the same incident, if anything.
    """

    id: int
    notification: Notification
    channel: str
    attempts: int
    accepted: datetime
    receipt: str | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one channel has yet to take, and what it never took. `oldest` is when the oldest pending was accepted."""

    pending: int
    failed: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows were let go."""

    manifest_sets: int
    revisions: int
    history: int
    incidents: int
    deliveries: int
