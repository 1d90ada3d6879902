"""The types of the store's queries and results, in addition to those of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftd.model.command import Lease
from driftd.model.drift import Status, Verdict
from driftd.model.health import HealthState
from driftd.model.incident import Notification
from driftd.model.next_deployment import PendingRevision
from driftd.model.operation import Operation
from driftd.model.plan import Hold
from driftd.model.resource import JsonObject
from driftd.model.revision import Revision, RevisionState


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """A revision of one app. `reason` is why it is in its state, empty where that needs no reason.

    `applied_at` is when all of it came into the cluster, last; `decided_at` when it was found good or bad.
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
    """An app's state at a revision: the revision's record, the app's hold, and what was applied to its cluster.

    `applied` are the digests of the applied revisions whose manifests are kept, in the reverse order in which they came
    into the cluster. `version` changes with every change of this state, as an ETag does; None before the app's first
    report.
    """

    record: RevisionRecord | None
    hold: Hold | None
    applied: tuple[str, ...]
    version: str | None = None


class HistoryKind(StrEnum):
    """The subject of an entry of the history."""

    REVISION = "revision"
    VERDICT = "verdict"
    ACTION = "action"
    HOLD = "hold"
    INCIDENT = "incident"
    DELIVERY = "delivery"
    REVERTED = "reverted"
    """Edits that were put back before a pass saw them."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An event of an app. `id` increases with time: `history(before=id)` is the next page.

    Where `readable` is False, its details could not be read, and there are none.
    """

    id: int
    app: str
    time: datetime
    kind: HistoryKind
    summary: str
    details: JsonObject
    readable: bool = True


@dataclass(frozen=True, slots=True)
class OpenPlan:
    """The operations of a pass that has not been recorded; `recorded` says that the history has them as an action.

    `unreadable` are those of them whose records cannot be read.
    """

    id: str
    started: datetime
    recorded: bool
    operations: tuple[Operation, ...]
    unreadable: tuple[str, ...] = ()


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification for one channel. `attempts` counts the failed ones, `accepted` is when it was stored.

    `receipt` is the channel's for the latest delivered notification of the same incident, if there is one.
    """

    id: int
    notification: Notification
    channel: str
    attempts: int
    accepted: datetime
    receipt: str | None


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """What became of a notification in one channel. `attempts` counts the failed ones, `error` is that of the last."""

    channel: str
    state: DeliveryState
    attempts: int
    finished: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class Told:
    """A notification, and its deliveries as far as they are kept."""

    notification: Notification
    deliveries: tuple[DeliveryRecord, ...]


@dataclass(frozen=True, slots=True)
class Backlog:
    """The pending and the failed deliveries of a channel. `oldest` is when the oldest pending one was accepted."""

    pending: int
    failed: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """The number of deleted rows."""

    manifest_sets: int
    revisions: int
    history: int
    incidents: int
    deliveries: int
    operations: int = 0
    commands: int = 0


@dataclass(frozen=True, slots=True)
class VerdictFilter:
    """Selects verdicts: those that match every criterion that is set. A core object's `group` is the empty string.

    `manager` is who last changed a drifted object, or who deleted a missing one.
    """

    app: str | None = None
    statuses: frozenset[Status] = frozenset()
    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    manager: str | None = None
    health: frozenset[HealthState] = frozenset()


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A verdict of an app's last report. `since` is when the object got its status."""

    app: str
    verdict: Verdict
    since: datetime
    position: int = 0
    """Orders the verdicts of an app; it may change with each report."""

    @property
    def cursor(self) -> str:
        """The verdicts behind this one are the next page."""
        return f"{self.position}@{self.app}"


@dataclass(frozen=True, slots=True)
class ReportHeader:
    """The last report of an app without its verdicts. `revision` is a full commit hash.

    `stamp` changes with the verdicts. `lease` is the app's, also when nobody renews it any more.
    """

    app: str
    cluster: str
    revision: str | None
    error: str | None
    stamp: str
    lease: Lease | None


@dataclass(frozen=True, slots=True)
class AppSummary:
    """The last report of an app in numbers. `revision` is a full commit hash; statuses without objects are left out."""

    app: str
    cluster: str
    revision: str | None
    time: datetime
    error: str | None
    statuses: Mapping[Status, int]
    health: Mapping[HealthState, int]
    pending: PendingRevision | None = None
