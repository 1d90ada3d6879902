"""Actions: the plans that driftd carried out, and who asked for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection

from driftd.model.plan import Action, Applied
from driftd.model.text import plural
from driftd.store import timeline
from driftd.store.records import HistoryKind

_LISTED = 200
"""Maximum number of objects in one entry, failed ones first; the counts include all."""


def record(connection: Connection, action: Action, plan: str | None) -> None:
    """Add an action to the history; `plan` is that of its operations."""
    applied = sorted(action.applied, key=lambda a: a.error is None)
    timeline.write(
        connection,
        action.app,
        HistoryKind.ACTION,
        time=action.finished,
        summary=_summary(action),
        details={
            "plan": plan,
            "trigger": action.trigger,
            "revision": action.revision,
            "by": action.by,
            "started": action.started,
            "finished": action.finished,
            "written": len(action.written),
            "failed": len(action.failed),
            "total": len(action.applied),
            "applied": [{"object": str(a.ref), "outcome": a.outcome, "error": a.error} for a in applied[:_LISTED]],
        },
    )


def taken_over(action: Action) -> Mapping[str, list[Applied]]:
    """The objects that were taken over, by whom they were taken from."""
    taken = defaultdict[str, list[Applied]](list)
    for applied in action.applied:
        if applied.taken_from is not None:
            taken[str(applied.taken_from)].append(applied)
    return taken


def _summary(action: Action) -> str:
    counts = f"{plural(len(action.written), 'object')} written"
    counts += "".join(f", {len(objects)} of them taken over from {one}" for one, objects in taken_over(action).items())
    if action.failed:
        counts += f", {len(action.failed)} failed: {action.failed[0].ref}: {action.failed[0].error}"
    return f"{action.trigger} to {action.revision[:8]} by {action.by}: {counts}"
