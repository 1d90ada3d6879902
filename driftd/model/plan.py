"""How far driftd may go for an app, what it wrote, and what holds an app at an earlier revision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftd.model.claim import Claim
from driftd.model.resource import ResourceRef

SYSTEM_ACTOR = "driftd"
"""Who acts where no person asked."""


class Mode(StrEnum):
    """How far driftd may go for an app."""

    OBSERVE = "observe"
    APPROVE = "approve"
    HEAL = "heal"


class RollbackMode(StrEnum):
    MANUAL = "manual"
    AUTO = "auto"


class Trigger(StrEnum):
    """Why driftd writes to the cluster."""

    HEAL = "heal"
    SYNC = "sync"
    ROLLBACK = "rollback"


class Outcome(StrEnum):
    """The outcome of applying one object."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """driftd ended before it knew the outcome, and nothing in the cluster shows it."""


WRITTEN = frozenset({Outcome.CREATED, Outcome.CONFIGURED})
"""The outcomes of writes that changed something."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The result for one object of an executed plan. `error` is set exactly when `outcome` is FAILED.

    `refused`: the API server refuses what the object says, whoever writes it. `taken_from` is the deployer from which
    the object was taken over.
    """

    ref: ResourceRef
    outcome: Outcome
    error: str | None = None
    refused: bool = False
    taken_from: Claim | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """An executed plan, for the history."""

    app: str
    trigger: Trigger
    revision: str
    by: str
    started: datetime
    finished: datetime
    applied: tuple[Applied, ...]

    @property
    def failed(self) -> tuple[Applied, ...]:
        return tuple(a for a in self.applied if a.outcome is Outcome.FAILED)

    @property
    def written(self) -> tuple[Applied, ...]:
        return tuple(a for a in self.applied if a.outcome in WRITTEN)


@dataclass(frozen=True, slots=True)
class Hold:
    """Keeps an app at an earlier revision as long as the manifests in Git have the digest `bad_digest`.

    `pending` until all of the earlier revision is in the cluster again.
    """

    app: str
    revision: str
    bad_revision: str
    bad_digest: str
    reason: str
    by: str
    since: datetime
    pending: bool = False
