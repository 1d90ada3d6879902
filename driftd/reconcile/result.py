"""What a pass came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from driftd.model.health import Health
from driftd.model.plan import Action, Hold
from driftd.model.report import Report
from driftd.model.revision import RevisionState


@dataclass(frozen=True, slots=True)
class PassResult:
    """The result of one pass. `health` is that of the objects that are not healthy.

    `requeue_after` is when time alone may change something. `rollback_due` says that the pass put the app on hold: the
    next pass, which is due at once, carries the rollback out. `failed` says that the pass ended with the report's error
    before it could be recorded. `conflicts` has a sentence for each object that other apps declare, too. `reverted` is
    the number of edits that it has recorded, and that were put back before a pass saw them.
    """

    report: Report
    health: tuple[Health, ...] = ()
    state: RevisionState | None = None
    hold: Hold | None = None
    action: Action | None = None
    requeue_after: timedelta | None = None
    rollback_due: bool = False
    seconds: float = 0.0
    failed: bool = False
    conflicts: tuple[str, ...] = ()
    reverted: int = 0
