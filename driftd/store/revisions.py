"""Revisions per app, the manifests they declare, and holds."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, update

from driftd.model.errors import StoreError
from driftd.model.plan import Hold
from driftd.model.resource import Manifest
from driftd.model.revision import Revision, RevisionState
from driftd.store import codec, manifest_sets, timeline
from driftd.store.records import AppState, HistoryKind, RevisionRecord
from driftd.store.schema import holds, reports, revisions

# Run by every pass over every app: composed once.
_AT = (
    select(revisions)
    .where(revisions.c.app == bindparam("of"), revisions.c.sha == bindparam("at"))
    .order_by(revisions.c.turn.desc())
    .limit(1)
)
_APPLIED = (
    select(revisions.c.digest)
    .where(
        revisions.c.app == bindparam("of"),
        revisions.c.applied_turn.is_not(None),
        manifest_sets.is_kept(revisions.c.digest),
    )
    .order_by(revisions.c.applied_turn.desc(), revisions.c.turn.desc())
)
_HOLD = select(holds.c.revision, holds.c.document).where(holds.c.app == bindparam("of"))
_IN_CLUSTER = ("applied_at", "applied_turn")
_ROLLOUT = ("state", "reason", "decided_at", *_IN_CLUSTER)
"""The columns on a revision's rollout."""

_VERSION = select(reports.c.state_version).where(reports.c.app == bindparam("of"))


def record(
    connection: Connection,
    app: str,
    revision: Revision,
    digest: str,
    manifests: Sequence[Manifest],
    now: datetime,
) -> None:
    """Make this the app's current revision; the manifests are written unless a set of this digest is stored.

    One that declares what the current one does (a commit to other folders) goes on with its rollout. A bad one that
    comes back after another revision gets another try.
    """
    manifest_sets.keep(connection, digest, manifests)
    current = connection.execute(_of(app).limit(1)).one_or_none()
    if current is not None and (current.sha, current.digest) == (revision.sha, digest):
        return
    known = connection.execute(
        select(revisions.c.id, revisions.c.state).where(
            revisions.c.app == app, revisions.c.sha == revision.sha, revisions.c.digest == digest
        )
    ).one_or_none()
    values: dict[str, Any] = {"turn": current.turn + 1 if current is not None else 1}
    if current is not None and current.digest == digest:
        stays_good = known is not None and known.state == RevisionState.GOOD
        values |= {name: getattr(current, name) for name in (_IN_CLUSTER if stays_good else _ROLLOUT)}
    elif known is None or known.state == RevisionState.BAD:
        values |= dict.fromkeys(_ROLLOUT) | {"state": RevisionState.SEEN, "reason": ""}
    if known is not None:
        connection.execute(update(revisions).where(revisions.c.id == known.id).values(values))
    else:
        document = codec.REVISION.dump_json(revision)
        values |= {"app": app, "sha": revision.sha, "digest": digest, "document": document, "first_seen": now}
        connection.execute(insert(revisions).values(values))
    bump_version(connection, app)
    again = " again" if known is not None else ""
    timeline.write(
        connection,
        app,
        HistoryKind.REVISION,
        time=now,
        summary=f"{revision.short} seen{again}: {revision.subject}",
        details={
            "revision": revision.sha,
            "state": values.get("state", known.state if known is not None else RevisionState.SEEN),
            "author": revision.author,
            "subject": revision.subject,
            "ref": revision.ref,
            "digest": digest,
        },
    )


def set_state(connection: Connection, app: str, sha: str, state: RevisionState, reason: str, time: datetime) -> None:
    """Set the state of the latest row of a commit. Idempotent."""
    row = connection.execute(_of(app).where(revisions.c.sha == sha).limit(1)).one_or_none()
    if row is None:
        raise StoreError(f"{app}: revision {sha[:8]} is not in the history, so it cannot become {state}")
    if row.state == state and row.reason == reason:
        return
    decided = state in (RevisionState.GOOD, RevisionState.BAD)
    applied_at, applied_turn = row.applied_at, row.applied_turn
    if state is RevisionState.SEEN:
        applied_at = applied_turn = None
    elif state is RevisionState.APPLIED or (state is RevisionState.GOOD and applied_at is None):
        applied_at, applied_turn = time, _next_applied_turn(connection, app)
    connection.execute(
        update(revisions)
        .where(revisions.c.id == row.id)
        .values(
            state=state,
            reason=reason,
            applied_at=applied_at,
            applied_turn=applied_turn,
            decided_at=time if decided else None,
        )
    )
    bump_version(connection, app)
    verb = {RevisionState.SEEN: "to be applied", RevisionState.APPLIED: "applied"}.get(state, f"is {state}")
    timeline.write(
        connection,
        app,
        HistoryKind.REVISION,
        time=time,
        summary=f"{sha[:8]} {verb}" + (f": {reason}" if reason else ""),
        details={"revision": sha, "state": state, "reason": reason, "digest": row.digest},
    )


def record_applied(connection: Connection, app: str, sha: str, time: datetime) -> None:
    """Record that all of a commit has come into the cluster, for the first time or again. Its state stays, if decided.

    Raises: StoreError: it was never recorded.
    """
    row = connection.execute(_of(app).where(revisions.c.sha == sha).limit(1)).one_or_none()
    if row is None or row.state == RevisionState.SEEN:
        set_state(connection, app, sha, RevisionState.APPLIED, "", time)
        return
    connection.execute(
        update(revisions)
        .where(revisions.c.id == row.id)
        .values(applied_at=time, applied_turn=_next_applied_turn(connection, app))
    )
    bump_version(connection, app)
    timeline.write(
        connection,
        app,
        HistoryKind.REVISION,
        time=time,
        summary=f"{sha[:8]} applied again",
        details={"revision": sha, "state": row.state, "reason": row.reason, "digest": row.digest},
    )


def set_manifests_aside(connection: Connection, digest: str, now: datetime) -> None:
    """Delete the manifests of a digest if they are damaged, with an entry in the history of each of their apps."""
    if not manifest_sets.set_aside(connection, digest):
        return
    bump_version(connection)
    latest_first = select(revisions).where(revisions.c.digest == digest).order_by(revisions.c.turn.desc())
    told = set[str]()
    for row in connection.execute(latest_first).all():
        if row.app in told:
            continue
        told.add(row.app)
        timeline.write(
            connection,
            row.app,
            HistoryKind.REVISION,
            time=now,
            summary=f"{row.sha[:8]}: its stored manifests were damaged, and have been set aside",
            details={"revision": row.sha, "state": row.state, "reason": row.reason, "digest": digest},
        )


def _next_applied_turn(connection: Connection, app: str) -> int:
    last = connection.execute(select(func.max(revisions.c.applied_turn)).where(revisions.c.app == app)).scalar()
    return (last or 0) + 1


def latest(connection: Connection, app: str, limit: int) -> list[RevisionRecord]:
    return [_record(row) for row in connection.execute(_of(app).limit(limit))]


def find(connection: Connection, app: str, prefix: str) -> RevisionRecord | None:
    if not prefix:
        return None
    matches = revisions.c.sha.startswith(prefix.lower(), autoescape=True)
    rows = connection.execute(_of(app).where(matches)).all()
    shas = sorted({row.sha for row in rows})
    if len(shas) > 1 and prefix.lower() not in shas:
        some = ", ".join(sha[:12] for sha in shas[:5])
        raise StoreError(f"{app}: {prefix!r} could be {len(shas)} revisions ({some}…): give more of the commit's name")
    return next((_record(row) for row in rows if len(shas) == 1 or row.sha == prefix.lower()), None)


def app_state(connection: Connection, app: str, sha: str, limit: int) -> AppState:
    """The app's state at a commit (a full hash), with at most `limit` applied digests."""
    row = connection.execute(_AT, {"of": app, "at": sha}).one_or_none()
    record = _record(row) if row is not None else None
    version = connection.execute(_VERSION, {"of": app}).scalar_one_or_none()
    return AppState(record, hold_of(connection, app), tuple(_applied_digests(connection, app, limit)), version)


def bump_version(connection: Connection, app: str | None = None) -> None:
    """Give the state of an app, or of all of them, a new version."""
    bumped = update(reports).values(state_version=secrets.token_hex(8))
    connection.execute(bumped if app is None else bumped.where(reports.c.app == app))


def last_good(connection: Connection, app: str, excluding_digest: str | None) -> RevisionRecord | None:
    kept = manifest_sets.is_kept(revisions.c.digest)
    query = _applied_of(app).where(revisions.c.state == RevisionState.GOOD, kept).limit(1)
    if excluding_digest is not None:
        query = query.where(revisions.c.digest != excluding_digest)
    row = connection.execute(query).one_or_none()
    return _record(row) if row is not None else None


def previous_applied(connection: Connection, app: str, digest: str) -> RevisionRecord | None:
    row = connection.execute(_applied_of(app).where(revisions.c.digest != digest).limit(1)).one_or_none()
    return _record(row) if row is not None else None


def _applied_digests(connection: Connection, app: str, limit: int) -> list[str]:
    """The digests of the applied revisions whose manifests are kept, the one that came into the cluster last first."""
    return list(dict.fromkeys(connection.execute(_APPLIED, {"of": app}).scalars()))[:limit]


def hold_of(connection: Connection, app: str) -> Hold | None:
    row = connection.execute(_HOLD, {"of": app}).one_or_none()
    if row is None:
        return None
    try:
        return codec.HOLD.validate_json(row.document)
    except ValueError:  # the app must not go forward to what it was held back from
        bad = connection.execute(_of(app).limit(1)).one_or_none()
        if bad is None:
            return None
        reason = "the record of this hold cannot be read"
        return Hold(app, row.revision, bad.sha, bad.digest, reason, "driftd", bad.first_seen, pending=True)


def set_hold(connection: Connection, hold: Hold) -> None:
    if hold_of(connection, hold.app) == hold:
        return
    connection.execute(delete(holds).where(holds.c.app == hold.app))
    bump_version(connection, hold.app)
    document = codec.HOLD.dump_json(hold)
    connection.execute(insert(holds).values(app=hold.app, revision=hold.revision, document=document))
    timeline.write(
        connection,
        hold.app,
        HistoryKind.HOLD,
        time=hold.since,
        summary=f"held at {hold.revision[:8]} instead of {hold.bad_revision[:8]} by {hold.by}: {hold.reason}",
        details={
            "held": True,
            "revision": hold.revision,
            "bad_revision": hold.bad_revision,
            "by": hold.by,
            "reason": hold.reason,
        },
    )


def conclude_hold(connection: Connection, app: str) -> None:
    hold = hold_of(connection, app)
    if hold is None or not hold.pending:
        return
    document = codec.HOLD.dump_json(replace(hold, pending=False))
    connection.execute(update(holds).where(holds.c.app == app).values(document=document))
    bump_version(connection, app)


def release_hold(connection: Connection, app: str, by: str | None, now: datetime) -> None:
    hold = hold_of(connection, app)
    if hold is None:
        return
    connection.execute(delete(holds).where(holds.c.app == app))
    bump_version(connection, app)
    timeline.write(
        connection,
        app,
        HistoryKind.HOLD,
        time=now,
        summary=f"no longer held at {hold.revision[:8]}: " + (f"released by {by}" if by else "Git has moved on"),
        details={"held": False, "revision": hold.revision, "bad_revision": hold.bad_revision, "by": by},
    )


def released_by(connection: Connection, app: str) -> str | None:
    """Who ended the app's last hold; None where nobody did, since Git moved on."""
    last = timeline.latest(connection, app, HistoryKind.HOLD)
    return last.details.get("by") if last is not None and not last.details.get("held") else None


def _of(app: str) -> Select[tuple[object, ...]]:
    """The revisions of an app, the current one first."""
    return select(revisions).where(revisions.c.app == app).order_by(revisions.c.turn.desc())


def _applied_of(app: str) -> Select[tuple[object, ...]]:
    """The revisions of an app that were in its cluster, the one that came last first."""
    applied = select(revisions).where(revisions.c.app == app, revisions.c.applied_turn.is_not(None))
    return applied.order_by(revisions.c.applied_turn.desc(), revisions.c.turn.desc())


def _record(row: Row[tuple[object, ...]]) -> RevisionRecord:
    try:
        revision = codec.REVISION.validate_json(row.document)
    except ValueError:  # what else is known of it stands beside its document
        revision = Revision(row.sha, "", row.first_seen, "(its record cannot be read)", "")
    return RevisionRecord(
        app=row.app,
        revision=revision,
        digest=row.digest,
        state=RevisionState(row.state),
        reason=row.reason,
        first_seen=row.first_seen,
        applied_at=row.applied_at,
        decided_at=row.decided_at,
    )
