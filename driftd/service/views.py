"""What a query answers, ready to be shown by a table, a page or a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftd.model.command import Lease
from driftd.model.drift import Status
from driftd.model.health import HealthState
from driftd.model.incident import Incident
from driftd.model.next_deployment import PendingRevision
from driftd.model.operation import Operation
from driftd.model.plan import Hold, Mode
from driftd.model.report import Report
from driftd.model.resource import JsonObject
from driftd.model.revision import RevisionState
from driftd.store.records import Told


@dataclass(frozen=True, slots=True)
class AppStatus:
    """What is known of one app. None stands for "not known yet"; `error` is why its last pass could not tell.

    `health` is the worst among its objects. `lease` is that of the process that makes the passes; None where none does.
    `deploys` is the app's: whether driftd brings in what Git declares.
    """

    app: str
    cluster: str
    mode: Mode
    revision: str | None = None
    state: RevisionState | None = None
    health: HealthState | None = None
    counts: Mapping[Status, int] | None = None
    hold: Hold | None = None
    last_pass: datetime | None = None
    error: str | None = None
    lease: Lease | None = None
    deploys: bool = True
    pending: PendingRevision | None = None
    """What the app's deployer has yet to deploy, by its own word."""


@dataclass(frozen=True, slots=True)
class AppDetail:
    """All that is known of one app: its last report (None before its first pass), and its open incidents."""

    status: AppStatus
    report: Report | None
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, slots=True)
class IncidentDetail:
    """An incident with the writes that ended drift of it, and what people were told of it.

    `unreadable` of those could not be read, and are left out.
    """

    incident: Incident
    operations: tuple[Operation, ...]
    told: tuple[Told, ...]
    unreadable: int = 0


class Tone(StrEnum):
    """How a line of the history is meant."""

    GOOD = "good"
    BAD = "bad"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One thing that happened to an app: `what` in a word ("action", "incident").

    `objects` are those that it is about, with their fields, as in the documents of verdicts or, where driftd wrote, of
    operations. `incident` is the id of one. Lines are numbered by `id`, later ones higher.
    """

    time: datetime
    what: str
    tone: Tone
    revision: str | None
    by: str | None
    detail: str = ""
    app: str = ""
    id: int = 0
    incident: str | None = None
    objects: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Selects lines of the history: those that match every criterion that is set.

    `manager` is whose hand changed a field or deleted an object. With it, `kind` or `namespace`, only the objects that
    match are left in a line, and lines without one are left out.
    """

    app: str | None = None
    since: datetime | None = None
    manager: str | None = None
    kind: str | None = None
    namespace: str | None = None

    @property
    def by_object(self) -> bool:
        """Whether it is the objects of a line that decide."""
        return (self.manager, self.kind, self.namespace) != (None, None, None)

    def matches(self, document: JsonObject) -> bool:
        """Whether an object is among those that were asked for."""
        return (
            (self.kind is None or str(document["kind"]).lower() == self.kind.lower())
            and (self.namespace is None or document["namespace"] == self.namespace)
            and (self.manager is None or self.manager in _managers(document))
        )


def _managers(document: JsonObject) -> set[str]:
    owners = [document.get("by"), document.get("deleted_by"), *(field["by"] for field in document["fields"])]
    return {owner["manager"] for owner in owners if isinstance(owner, Mapping)}
