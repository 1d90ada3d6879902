"""The last report of each app, and an entry in the history for each change of its findings."""

from __future__ import annotations

import hashlib
import secrets
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Connection, String, bindparam, case, delete, insert, select, update

from driftd.model.document import verdict_document
from driftd.model.drift import FieldOwner, Status, Verdict
from driftd.model.errors import Superseded
from driftd.model.fingerprint import Fingerprints, verdict_identity
from driftd.model.report import Report, changed_verdicts
from driftd.model.text import plural
from driftd.store import codec, timeline
from driftd.store.records import HistoryKind
from driftd.store.schema import STREAMED, Instant, reports, verdicts
from driftd.store.verdicts import decoded

_LISTED = 20
"""Maximum number of objects in one entry of the history; the counts include all."""

_MAX_SPACING = 1024
"""Distance of the positions of verdicts that are written together: the room for objects declared between them."""

_POSITION_RANGE = 2**30

# Run by every pass over every app: composed once.
_SELECT = select(reports.c.stamp, reports.c.fingerprint, reports.c.state_version).where(
    reports.c.app == bindparam("of")
)
_UPDATE = update(reports).where(reports.c.app == bindparam("of"))
_UPDATE_UNCHANGED = _UPDATE.where(reports.c.stamp == bindparam("was"))
_UPDATE_VERSIONED = _UPDATE_UNCHANGED.where(reports.c.state_version == bindparam("version"))
_INSERT = insert(verdicts)
_REPLACE = update(verdicts).where(verdicts.c.app == bindparam("of"), verdicts.c.position == bindparam("at"))
# Of the same object: it keeps its `since` with its status. On the right side are the values before the update.
_UPDATE_VERDICT = _REPLACE.values(
    since=case(
        (verdicts.c.status == bindparam("new_status", type_=String), verdicts.c.since),
        else_=bindparam("now", type_=Instant),
    )
)
_OF_APP = verdicts.c.app == bindparam("of")
_BETWEEN = _OF_APP & verdicts.c.position.between(bindparam("first"), bindparam("last"))
_KEY = (verdicts.c.api_group, verdicts.c.kind, verdicts.c.namespace, verdicts.c.name, verdicts.c.status)
_ROWS = select(verdicts.c.position, verdicts.c.document, *_KEY, verdicts.c.since).where(_OF_APP)
_SINCE = select(*_KEY, verdicts.c.since).where(_BETWEEN)
_DELETE = delete(verdicts).where(_BETWEEN)

_Since = dict[tuple[Any, ...], datetime]
"""When objects got their status, by their `_KEY`."""


_Listed = dict[int, tuple[Verdict, bytes]]


@dataclass(frozen=True, slots=True)
class Written:
    """The verdict rows of an app as this process wrote them, valid while the app's row in `reports` has `stamp`."""

    stamp: str
    verdicts: Sequence[Verdict]
    positions: Sequence[int]
    prints: Fingerprints
    fingerprint: str
    listed: _Listed
    """The documents of the verdicts in the last entry of the history, by their `id()`."""


_identity = partial(verdict_identity, with_user=False)


def fingerprint(report: Report, prints: Fingerprints | None = None) -> str:
    """A hash of an app's findings. `prints` are those of its previous report."""
    verdicts = (prints or Fingerprints(_identity)).of(report.verdicts)
    return hashlib.sha256(f"{report.error or ''}\n{verdicts}".encode()).hexdigest()


def record(connection: Connection, report: Report, known: Written | None, version: str | None = None) -> Written:
    """Make this the app's last report, with an entry in the history where the findings differ from the last ones.

    Raises: Superseded: `version` is no longer that of the app's state (see `AppState`); nothing is written.
    """
    prints = known.prints if known is not None else Fingerprints(_identity)
    now = fingerprint(report, prints)
    frame = codec.FRAME.dump_json(
        codec.ReportFrame(report.cluster, report.revision, report.error, report.hooks, report.pending)
    )
    values = {
        "of": report.app,
        "time": report.time,
        "fingerprint": now,
        "frame": frame,
        "cluster": report.cluster,
        "revision": report.revision.sha if report.revision else None,
        "error": report.error,
    }
    if known is not None and (written := _update_known(connection, report, known, version, values)) is not None:
        return written
    row = connection.execute(_SELECT, {"of": report.app}).one_or_none()
    if version is not None and (row is None or row.state_version != version):
        raise Superseded(f"app {report.app}: it was held, released or rolled back in between")
    stamp = secrets.token_hex(8)
    if row is None:
        del values["of"]
        connection.execute(insert(reports).values(app=report.app, stamp=stamp, **values))
    else:
        connection.execute(_UPDATE, {"stamp": stamp, **values})
    positions = _overwrite(connection, report)
    listed = known.listed if known is not None else {}
    if row is None or row.fingerprint != now:
        listed = _write_history(connection, report, listed)
    return Written(stamp, report.verdicts, positions, prints, now, listed)


def _update_known(
    connection: Connection, report: Report, known: Written, version: str | None, values: dict[str, Any]
) -> Written | None:
    """Write what differs from `known`; None where another process has written the rows since."""
    old, new = known.verdicts, report.verdicts
    changes = changed_verdicts(old, new)
    in_place = len(old) == len(new) and all(old[index].ref == new[index].ref for index in changes)
    if in_place:
        changes = [index for index in changes if not _same(old[index], new[index])]
    stamp = known.stamp if in_place and not changes else secrets.token_hex(8)
    statement = _UPDATE_UNCHANGED if version is None else _UPDATE_VERSIONED
    if not connection.execute(statement, {"was": known.stamp, "version": version, "stamp": stamp, **values}).rowcount:
        return None
    positions = known.positions
    if in_place:
        _update(connection, report, changes, positions)
    else:
        positions = _realign(connection, report, known)
    now = values["fingerprint"]
    listed = known.listed if known.fingerprint == now else _write_history(connection, report, known.listed)
    return Written(stamp, new, positions, known.prints, now, listed)


def record_failure(connection: Connection, app: str, error: str) -> None:
    """Give an app's last report the error of a pass that has failed since; its verdicts stay as they are."""
    connection.execute(_UPDATE, {"of": app, "error": error})


def remove(connection: Connection, apps: Collection[str]) -> None:
    """Removes the last reports of apps that are not there any more; their history stays."""
    for app in apps:
        connection.execute(delete(verdicts).where(verdicts.c.app == app))
        connection.execute(delete(reports).where(reports.c.app == app))


def last(connection: Connection, app: str) -> Report | None:
    row = connection.execute(select(reports).where(reports.c.app == app)).one_or_none()
    if row is None:
        return None
    try:
        frame = codec.FRAME.validate_json(row.frame)
    except ValueError:
        frame = codec.ReportFrame(row.cluster, None, None)
    rows = connection.execute(_ROWS.order_by(verdicts.c.position), {"of": app})
    return Report(
        app=app,
        cluster=frame.cluster,
        revision=frame.revision,
        verdicts=tuple([decoded(row) for row in rows]),
        time=row.time,
        error=row.error,
        hooks=frame.hooks,
        pending=frame.pending,
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


def _same(old: Verdict, new: Verdict) -> bool:
    # Python takes 1, 1.0 and True for equal, JSON does not: verdicts with values are compared as they are written.
    return old is new or (
        old == new and (not new.fields or codec.VERDICT.dump_json(old) == codec.VERDICT.dump_json(new))
    )


def _overwrite(connection: Connection, report: Report) -> Sequence[int]:
    """Make an app's rows, by any writer, those of a report; equal ones are not written. Returns: the positions."""
    new = report.verdicts
    positions: list[int] = []
    changes: list[int] = []
    since: _Since = {}
    rows = connection.execute(_ROWS.order_by(verdicts.c.position), {"of": report.app}, execution_options=STREAMED)
    for index, (position, document, *key, moment) in enumerate(rows):
        positions.append(position)
        if index >= len(new) or document != codec.VERDICT.dump_json(new[index]):
            changes.append(index)
            since[tuple(key)] = moment
    if not positions:
        return _insert_all(connection, report, {})
    del changes[bisect_left(changes, len(new)) :]
    _delete(connection, report.app, positions[len(new) :])
    _replace(connection, report, changes, positions, since)
    step = _spacing(len(new))
    more = [positions[-1] + step * number for number in range(1, len(new) - len(positions) + 1)]
    _insert(connection, report, range(len(positions), len(new)), more, since)
    return positions[: len(new)] + more


def _realign(connection: Connection, report: Report, known: Written) -> Sequence[int]:
    """Write a report whose objects are other ones than those of the rows, or in another order.

    Rows of the first and the last objects that both have stay where they are. Returns: the positions.
    """
    old, new, positions = tuple(known.verdicts), tuple(report.verdicts), list(known.positions)
    head, tail = _common_ends(old, new)
    end = len(old) - tail
    first, last, behind = positions[:head], positions[end:], len(new) - tail
    reused = positions[head:end]
    missing = _between(first + reused, last, behind - head - len(reused), _spacing(len(new)))
    since = _since(connection, report.app, reused)
    if missing is None:
        everything = _since(connection, report.app, positions)
        _delete(connection, report.app, positions)
        return _insert_all(connection, report, everything)
    surplus = len(reused) - (behind - head)
    if surplus > 0:
        _delete(connection, report.app, reused[-surplus:])
        del reused[-surplus:]
    positions = first + reused + missing + last
    moved = range(head, head + len(reused))
    _replace(connection, report, moved, positions, since)
    _insert(connection, report, range(moved.stop, behind), missing, since)
    shift = len(old) - len(new)
    changes = [index for index in range(head) if not _same(old[index], new[index])]
    changes += [index for index in range(behind, len(new)) if not _same(old[index + shift], new[index])]
    _update(connection, report, changes, positions)
    return positions


def _common_ends(old: Sequence[Verdict], new: Sequence[Verdict]) -> tuple[int, int]:
    """The numbers of verdicts on the same objects at the start and, behind those, at the end of both."""
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i].ref != new[i].ref), shorter)
    rest = shorter - head
    return head, next((i for i in range(rest) if old[-1 - i].ref != new[-1 - i].ref), rest)


def _between(before: Sequence[int], behind: Sequence[int], count: int, spacing: int) -> list[int] | None:
    """Positions for more rows between others; None where there is no room. Nothing is needed for a negative `count`."""
    if count <= 0:
        return []
    if not behind:
        start = before[-1] if before else -spacing
        return [start + spacing * number for number in range(1, count + 1)]
    start = before[-1] if before else behind[0] - spacing * (count + 1)
    step = (behind[0] - start) // (count + 1)
    return [start + step * number for number in range(1, count + 1)] if step else None


def _spacing(count: int) -> int:
    return max(1, min(_MAX_SPACING, _POSITION_RANGE // max(count, 1)))


def _since(connection: Connection, app: str, positions: Sequence[int]) -> _Since:
    """Of the rows from the first to the last position."""
    if not positions:
        return {}
    rows = connection.execute(_SINCE, {"of": app, "first": positions[0], "last": positions[-1]})
    return {tuple(key): moment for *key, moment in rows}


def _delete(connection: Connection, app: str, positions: Sequence[int]) -> None:
    """Delete the rows from the first to the last position."""
    if positions:
        connection.execute(_DELETE, {"of": app, "first": positions[0], "last": positions[-1]})


def _insert_all(connection: Connection, report: Report, since: _Since) -> Sequence[int]:
    spacing = _spacing(len(report.verdicts))
    positions = range(0, len(report.verdicts) * spacing, spacing)
    _insert(connection, report, range(len(positions)), positions, since)
    return positions


def _insert(
    connection: Connection, report: Report, indexes: Sequence[int], positions: Sequence[int], since: _Since
) -> None:
    if indexes:
        rows = [
            {"app": report.app, "position": position, **_columns(verdict), "since": _began(verdict, since, report)}
            for position, verdict in zip(positions, (report.verdicts[index] for index in indexes), strict=True)
        ]
        connection.execute(_INSERT, rows)


def _replace(
    connection: Connection, report: Report, indexes: Sequence[int], positions: Sequence[int], since: _Since
) -> None:
    """Write verdicts over those of other objects. `positions` are those of all verdicts."""
    if indexes:
        rows = [
            {"of": report.app, "at": positions[index], **_columns(verdict), "since": _began(verdict, since, report)}
            for index, verdict in ((index, report.verdicts[index]) for index in indexes)
        ]
        connection.execute(_REPLACE, rows)


def _update(connection: Connection, report: Report, indexes: Sequence[int], positions: Sequence[int]) -> None:
    """Write verdicts over earlier ones of the same objects. `positions` are those of all verdicts."""
    if indexes:
        rows = [
            {
                "of": report.app,
                "at": positions[index],
                **_columns(verdict),
                "new_status": verdict.status.value,
                "now": report.time,
            }
            for index, verdict in ((index, report.verdicts[index]) for index in indexes)
        ]
        connection.execute(_UPDATE_VERDICT, rows)


def _columns(verdict: Verdict) -> dict[str, Any]:
    ref = verdict.ref
    return {
        "document": codec.VERDICT.dump_json(verdict),
        "status": verdict.status.value,
        "api_group": ref.group,
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "manager": _manager(verdict),
        "health": verdict.health.value if verdict.health else None,
    }


def _manager(verdict: Verdict) -> str | None:
    """Who deleted the object, or who changed a field of it last."""
    if verdict.by is not None:
        return verdict.by.manager
    owners = [field.by for field in verdict.fields if field.by is not None]
    return max(owners, key=_changed_at).manager if owners else None


def _changed_at(owner: FieldOwner) -> float:
    return owner.time.timestamp() if owner.time is not None else 0.0


def _began(verdict: Verdict, since: _Since, report: Report) -> datetime:
    """When an object got its status: the time of this report, unless it had the same one before."""
    ref = verdict.ref
    return since.get((ref.group, ref.kind, ref.namespace, ref.name, verdict.status.value), report.time)
