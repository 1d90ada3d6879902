"""The last report of each app, and in the history each change of its verdict."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from driftd.model.document import verdict_document
from driftd.model.drift import Status, Verdict
from driftd.model.fingerprint import Fingerprints
from driftd.model.path import format_path
from driftd.model.report import Report, changed
from driftd.store import codec, timeline
from driftd.store.records import HistoryKind
from driftd.store.schema import reports, verdicts

_LISTED = 20
"""At most so many objects stand in one entry of the history; the counts are always whole."""

# Every pass over every app runs these: they are put together once.
_SELECT = select(reports.c.stamp, reports.c.fingerprint).where(reports.c.app == bindparam("of"))
_UPDATE = update(reports).where(reports.c.app == bindparam("of"))
_INSERT = insert(verdicts)
_DELETE = delete(verdicts).where(verdicts.c.app == bindparam("of"), verdicts.c.position == bindparam("at"))


@dataclass(frozen=True, slots=True)
class Written:
    """What this process knows to be in the verdict rows of an app, for as long as the row of the app has `stamp`."""

    stamp: str
    verdicts: Sequence[Verdict]
    prints: Fingerprints
    listed: dict[int, tuple[Verdict, dict[str, Any]]]
    """The documents of verdicts that stood in the last entry of the history, by their `id()`."""


def _essence(verdict: Verdict) -> object:
    """What is wrong, whoever did it, whenever and at whichever revision it was seen."""
    if verdict.status is Status.IN_SYNC:
        return None
    fields = [[format_path(field.path), field.change, field.desired, field.live] for field in verdict.fields]
    return [str(verdict.ref), verdict.status, verdict.error, fields]


def fingerprint(report: Report, prints: Fingerprints | None = None) -> str:
    """A hash of what is wrong with an app. `prints` are those of its report before."""
    verdicts = (prints or Fingerprints(_essence)).of(report.verdicts)
    return hashlib.sha256(f"{report.error or ''}\n{verdicts}".encode()).hexdigest()


def record(connection: Connection, report: Report, known: Written | None) -> Written:
    """Make this the app's last report, with an entry in the history where the verdict is another one than before."""
    prints = known.prints if known is not None else Fingerprints(_essence)
    now = fingerprint(report, prints)
    row = connection.execute(_SELECT, {"of": report.app}).one_or_none()
    frame = codec.FRAME.dump_json(codec.ReportFrame(report.cluster, report.revision, report.error))
    stamp = secrets.token_hex(8)
    values = {"time": report.time, "fingerprint": now, "frame": frame}
    if row is None:
        connection.execute(insert(reports).values(app=report.app, stamp=stamp, **values))
        _replace(connection, report)
    else:
        ours = known if known is not None and known.stamp == row.stamp else None
        fresh = list(_fresh(report.verdicts, ours.verdicts)) if ours else []
        if ours and not fresh and len(ours.verdicts) == len(report.verdicts):
            stamp = ours.stamp
        connection.execute(_UPDATE, {"of": report.app, "stamp": stamp, **values})
        if ours is None:
            _replace(connection, report)
        else:
            _patch(connection, report, fresh, len(ours.verdicts))
    listed = known.listed if known is not None else {}
    if row is None or row.fingerprint != now:
        listed = _tell(connection, report, listed)
    return Written(stamp, report.verdicts, prints, listed)


def last(connection: Connection, app: str) -> Report | None:
    row = connection.execute(select(reports).where(reports.c.app == app)).one_or_none()
    if row is None:
        return None
    frame = codec.FRAME.validate_json(row.frame)
    documents = connection.execute(
        select(verdicts.c.document).where(verdicts.c.app == app).order_by(verdicts.c.position)
    ).scalars()
    return Report(
        app=app,
        cluster=frame.cluster,
        revision=frame.revision,
        verdicts=tuple(codec.VERDICT.validate_json(document) for document in documents),
        time=row.time,
        error=frame.error,
    )


def summary(report: Report) -> str:
    """One line: `2 drifted, 1 missing of 40 objects at 4f0c1234`."""
    at = f" at {report.revision.short}" if report.revision else ""
    if report.error is not None:
        return f"could not tell{at}: {report.error}"
    total = timeline.plural(len(report.verdicts), "object")
    wrong = [f"{n} {status}" for status, n in report.counts.items() if n and status is not Status.IN_SYNC]
    if report.in_sync:
        return f"in sync{at}: {total}" + (f" ({', '.join(wrong)})" if wrong else "")
    return f"{', '.join(wrong)} of {total}{at}"


def _tell(
    connection: Connection, report: Report, known: Mapping[int, tuple[Verdict, dict[str, Any]]]
) -> dict[int, tuple[Verdict, dict[str, Any]]]:
    wrong = islice((verdict for verdict in report.notable if verdict.status is not Status.IGNORED), _LISTED)
    listed = {id(one): known.get(id(one)) or (one, verdict_document(one)) for one in wrong}
    timeline.write(
        connection,
        report.app,
        HistoryKind.VERDICT,
        time=report.time,
        summary=summary(report),
        details={
            "revision": report.revision.sha if report.revision else None,
            "in_sync": report.in_sync,
            "counts": {str(status): count for status, count in report.counts.items()},
            "error": report.error,
            "resources": [document for _, document in listed.values()],
        },
    )
    return listed


def _fresh(new: Sequence[Verdict], old: Sequence[Verdict]) -> Iterator[int]:
    """The positions whose verdict is not the one that was written there."""
    for position in chain(changed(old, new), range(len(old), len(new))):
        ours = new[position]
        theirs = old[position] if position < len(old) else None
        # Python holds 1, 1.0 and True for equal, JSON does not: where there are values, compare what is written.
        same = ours == theirs and (not ours.fields or codec.VERDICT.dump_json(ours) == codec.VERDICT.dump_json(theirs))
        if not same:
            yield position


def _replace(connection: Connection, report: Report) -> None:
    connection.execute(delete(verdicts).where(verdicts.c.app == report.app))
    _insert(connection, report, range(len(report.verdicts)))


def _patch(connection: Connection, report: Report, fresh: list[int], written: int) -> None:
    kept = len(report.verdicts)
    if kept < written:
        connection.execute(delete(verdicts).where(verdicts.c.app == report.app, verdicts.c.position >= kept))
    if fresh:
        connection.execute(_DELETE, [{"of": report.app, "at": position} for position in fresh])
    _insert(connection, report, fresh)


def _insert(connection: Connection, report: Report, positions: Sequence[int]) -> None:
    if not positions:
        return
    rows = [
        {"app": report.app, "position": i, "document": codec.VERDICT.dump_json(report.verdicts[i])} for i in positions
    ]
    connection.execute(_INSERT, rows)
