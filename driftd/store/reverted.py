"""The edits in the history that were put back before a pass saw them: each is there once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from driftd.model.document import reverted_document
from driftd.model.reverted import RevertedEdit, summary
from driftd.store import codec, timeline
from driftd.store.records import HistoryKind
from driftd.store.schema import history

_LISTED = 20
"""Maximum number of edits in one entry of the history."""

_LOOKED_BACK = 64
"""Number of entries among which an edit is looked for: what a pass could not record for sure, the next one records."""


def record(
    connection: Connection, app: str, edits: Sequence[RevertedEdit], revision: str | None, time: datetime
) -> int:
    """Add edits to the history that it does not have yet. Returns: their number."""
    known = _known(connection, app)
    new = [edit for edit in edits if edit.key not in known]
    for start in range(0, len(new), _LISTED):
        some = new[start : start + _LISTED]
        timeline.write(
            connection,
            app,
            HistoryKind.REVERTED,
            time=time,
            summary=summary(some),
            details={"revision": revision, "edits": [edit.key for edit in some]},
            resources=[codec.DETAILS.dump_json(reverted_document(edit)) for edit in some],
        )
    return len(new)


def _known(connection: Connection, app: str) -> set[str]:
    """The keys of the latest edits."""
    latest = (
        select(history.c.details)
        .where(history.c.app == app, history.c.kind == HistoryKind.REVERTED)
        .order_by(history.c.id.desc())
        .limit(_LOOKED_BACK)
    )
    keys: set[str] = set()
    for document in connection.execute(latest).scalars():
        try:
            keys.update(codec.DETAILS.validate_json(document)["edits"])
        except (ValueError, KeyError):  # damaged: the history shows it as such
            continue
    return keys
