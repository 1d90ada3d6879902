"""The last report of each app, and in the history each change of its verdict."""

from __future__ import annotations

import hashlib
import secrets
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from driftd.model.document import verdict_document
from driftd.model.drift import Status, Verdict
from driftd.model.errors import Superseded
from driftd.model.fingerprint import Fingerprints
from driftd.model.path import format_path
from driftd.model.report import Report, changed
from driftd.model.text import plural
from driftd.store import codec, timeline
from driftd.store.records import HistoryKind
from driftd.store.schema import reports, verdicts

_LISTED = 20
"""At most so many objects stand in one entry of the history; the counts are always whole."""

# Every pass over every app runs these: they are put together once.
_SELECT = select(reports.c.stamp, reports.c.fingerprint, reports.c.standing).where(reports.c.app == bindparam("of"))
_UPDATE = update(reports).where(reports.c.app == bindparam("of"))
_UPDATE_OURS = _UPDATE.where(reports.c.stamp == bindparam("was"))
_UPDATE_AS_IT_STANDS = _UPDATE_OURS.where(reports.c.standing == bindparam("mark"))
_INSERT = insert(verdicts)
_REPLACE = update(verdicts).where(verdicts.c.app == bindparam("of"), verdicts.c.position == bindparam("at"))


_Listed = dict[int, tuple[Verdict, bytes]]


@dataclass(frozen=True, slots=True)
class Written:
    """What this process knows to be in the verdict rows of an app, for as long as the row of the app has `stamp`."""

    stamp: str
    verdicts: Sequence[Verdict]
    prints: Fingerprints
    fingerprint: str
    listed: _Listed
    """The documents of verdicts that stood in the last entry of the history, by their `id()`."""


def _identity(verdict: Verdict) -> object:
    """What is wrong, whoever did it, whenever and at whichever revision it was seen."""
    if verdict.status is Status.IN_SYNC:
        return None
    fields = [[format_path(field.path), field.change, field.desired, field.live] for field in verdict.fields]
    return [str(verdict.ref), verdict.status, verdict.error, fields]


def fingerprint(report: Report, prints: Fingerprints | None = None) -> str:
    """A hash of what is wrong with an app. `prints` are those of its report before."""
    verdicts = (prints or Fingerprints(_identity)).of(report.verdicts)
    return hashlib.sha256(f"{report.error or ''}\n{verdicts}".encode()).hexdigest()


def record(connection: Connection, report: Report, known: Written | None, version: str | None = None) -> Written:
    """Make this the app's last report, with an entry in the history where the verdict is another one than before.

    Raises: Superseded: how the app stands is no longer what `mark` (see `Standing`) stood for; nothing is written.
    """
    prints = known.prints if known is not None else Fingerprints(_identity)
    now = fingerprint(report, prints)
    frame = codec.FRAME.dump_json(codec.ReportFrame(report.cluster, report.revision, report.error))
    values = {"of": report.app, "time": report.time, "fingerprint": now, "frame": frame}
    if known is not None and (written := _update_known(connection, report, known, version, values)) is not None:
        return written
    row = connection.execute(_SELECT, {"of": report.app}).one_or_none()
    if version is not None and (row is None or row.standing != version):
        raise Superseded(f"app {report.app}: it was held, released or rolled back in between")
    stamp = secrets.token_hex(8)
    if row is None:
        del values["of"]
        connection.execute(insert(reports).values(app=report.app, stamp=stamp, **values))
    else:
        connection.execute(_UPDATE, {"stamp": stamp, **values})
    _replace(connection, report)
    listed = known.listed if known is not None else {}
    if row is None or row.fingerprint != now:
        listed = _write_history(connection, report, listed)
    return Written(stamp, report.verdicts, prints, now, listed)


def _update_known(
    connection: Connection, report: Report, known: Written, version: str | None, values: dict[str, Any]
) -> Written | None:
    """Writes what is new since `known`; None where the rows are no longer what this process has written."""
    fresh = list(_changed_positions(report.verdicts, known.verdicts))
    same = not fresh and len(known.verdicts) == len(report.verdicts)
    stamp = known.stamp if same else secrets.token_hex(8)
    statement = _UPDATE_OURS if version is None else _UPDATE_AS_IT_STANDS
    if not connection.execute(statement, {"was": known.stamp, "mark": version, "stamp": stamp, **values}).rowcount:
        return None
    _patch(connection, report, fresh, len(known.verdicts))
    now = values["fingerprint"]
    listed = known.listed if known.fingerprint == now else _write_history(connection, report, known.listed)
    return Written(stamp, report.verdicts, known.prints, now, listed)


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
    total = plural(len(report.verdicts), "object")
    wrong = [f"{n} {status}" for status, n in report.counts.items() if n and status is not Status.IN_SYNC]
    if report.in_sync:
        return f"in sync{at}: {total}" + (f" ({', '.join(wrong)})" if wrong else "")
    return f"{', '.join(wrong)} of {total}{at}"


def _write_history(connection: Connection, report: Report, known: _Listed) -> _Listed:
    wrong = islice((verdict for verdict in report.notable if verdict.status is not Status.IGNORED), _LISTED)
    listed = {id(one): known.get(id(one)) or (one, codec.DETAILS.dump_json(verdict_document(one))) for one in wrong}
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
        },
        resources=[document for _, document in listed.values()],
    )
    return listed


def _changed_positions(new: Sequence[Verdict], old: Sequence[Verdict]) -> Iterator[int]:
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
    there = bisect_left(fresh, written)
    if there:
        documents = ((at, codec.VERDICT.dump_json(report.verdicts[at])) for at in fresh[:there])
        connection.execute(_REPLACE, [{"of": report.app, "at": at, "document": text} for at, text in documents])
    _insert(connection, report, fresh[there:])


def _insert(connection: Connection, report: Report, positions: Sequence[int]) -> None:
    if not positions:
        return
    rows = [
        {"app": report.app, "position": i, "document": codec.VERDICT.dump_json(report.verdicts[i])} for i in positions
    ]
    connection.execute(_INSERT, rows)
