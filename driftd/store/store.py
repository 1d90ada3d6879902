"""The history: what driftd must still know after a restart."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert, select

from driftd.model.incident import Incident, IncidentType
from driftd.model.plan import Action, Hold
from driftd.model.report import Report
from driftd.model.resource import Manifest
from driftd.model.revision import Revision, RevisionState
from driftd.store import actions, incidents, manifest_sets, reports, retention, revisions, timeline
from driftd.store.database import Database
from driftd.store.records import AppState, Backlog, Delivery, HistoryEntry, Pruned, RevisionRecord
from driftd.store.retention import Retention
from driftd.store.schema import keys

_REDACTION_KEY = "redaction"


def _now() -> datetime:
    return datetime.now(UTC)


_APPLIED = 10
"""So many of the latest revisions that were in the cluster make up what an app has had there."""


class Store:
    """Everything that driftd remembers, in SQLite or PostgreSQL; the daemon and commands may use it at once.

    What a call has returned from survives a crash. Every method raises StoreError when the database cannot be read
    or written. The manifests of kept revisions are stored whole, Secrets included, since a rollback needs them: the
    database holds what Git holds. A new SQLite file is readable by its owner only; give a PostgreSQL database the
    same care.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._clock = clock
        self._written: dict[str, reports.Written] = {}
        self._read_incident = incidents.IncidentReader()

    @classmethod
    async def open(cls, url: str, *, clock: Callable[[], datetime] = _now) -> Store:
        """Open the database at a SQLAlchemy URL (`sqlite:////path`, `postgresql+psycopg://…`), making it if need be.

        `clock` gives the time of what is recorded without one of its own.
        Raises: StoreError: the path cannot be written, the server does not answer, or a newer driftd wrote it.
        """
        return cls(await Database.open(url), clock)

    async def close(self) -> None:
        """Finish what is under way. May be called again."""
        await self._database.close()

    async def redaction_key(self) -> bytes:
        """The 32 bytes by which Secret values are hashed for display: made once, then always the same."""

        def get_or_make(connection: Connection) -> bytes:
            row = connection.execute(select(keys.c.value).where(keys.c.name == _REDACTION_KEY)).scalar_one_or_none()
            if row is not None:
                return bytes(row)
            made = secrets.token_bytes(32)
            connection.execute(insert(keys).values(name=_REDACTION_KEY, value=made))
            return made

        return await self._database.write(get_or_make)

    # Revisions

    async def record_revision(self, app: str, revision: Revision, digest: str, manifests: Sequence[Manifest]) -> None:
        """Say what Git declares for an app now. Saying the same again changes nothing.

        `digest` is that of the manifests (`driftd.model.resource.digest`); each is stored once, whole (Secrets too: see
        the class), however many revisions declare it. A commit that was current before and is so again keeps its state.
        """
        now = self._clock()
        await self._database.write(lambda c: revisions.record(c, app, revision, digest, manifests, now))

    async def set_revision_state(
        self, app: str, sha: str, state: RevisionState, *, reason: str = "", time: datetime
    ) -> None:
        """What became of a revision, by its full commit name. Raises: StoreError: it was never recorded."""
        await self._database.write(lambda c: revisions.set_state(c, app, sha, state, reason, time))

    async def revisions(self, app: str, limit: int = 50) -> list[RevisionRecord]:
        """The app's revisions, the current one first."""
        return await self._database.read(lambda c: revisions.latest(c, app, limit))

    async def revision(self, app: str, sha_or_prefix: str) -> RevisionRecord | None:
        """The one revision whose commit starts so. Raises: StoreError: several do."""
        return await self._database.read(lambda c: revisions.find(c, app, sha_or_prefix))

    async def last_good(self, app: str, *, excluding_digest: str | None = None) -> RevisionRecord | None:
        """The latest good revision whose manifests are kept, other than one that declares `excluding_digest`."""
        return await self._database.read(lambda c: revisions.last_good(c, app, excluding_digest))

    async def app_state(self, app: str, sha: str) -> AppState:
        """How an app stands at a commit, by its full hash: all that a pass has to know, in one look."""
        return await self._database.read(lambda c: revisions.app_state(c, app, sha, _APPLIED))

    async def manifests(self, digest: str) -> tuple[Manifest, ...]:
        """What a revision declares. Raises: StoreError: it is not kept (any more)."""
        return await self._database.read(lambda c: manifest_sets.read(c, digest))

    async def difference(self, digest: str, others: Collection[bytes]) -> tuple[tuple[Manifest, ...], set[bytes]]:
        """What a revision declares whose digest is not among `others`, and which of these it does not declare.

        Of two revisions that differ in little, only that little is read. Raises: StoreError: it is not kept (any more).
        """
        return await self._database.read(lambda c: manifest_sets.difference(c, digest, others))

    # Holds

    async def hold(self, app: str) -> Hold | None:
        return await self._database.read(lambda c: revisions.hold_of(c, app))

    async def set_hold(self, hold: Hold) -> None:
        """Hold the app, instead of any earlier hold."""
        await self._database.write(lambda c: revisions.set_hold(c, hold))

    async def release_hold(self, app: str) -> None:
        """Let the app follow Git again; nothing happens when it is not held."""
        now = self._clock()
        await self._database.write(lambda c: revisions.release_hold(c, app, now))

    # Passes and actions

    async def record_report(self, report: Report, version: str | None = None) -> list[Incident]:
        """Make this the app's last report. Only the verdicts that changed are written.

        The history gets an entry when what is wrong is another thing than before; who did it, when and at which
        revision do not count. Returns: the app's open incidents, as of then.

        `mark` is that of the `Standing` by which the report was made. Raises: Superseded: the app stands otherwise by
        now; nothing is written then.
        """
        known = self._written.get(report.app)

        def record(connection: Connection) -> tuple[reports.Written, list[Incident]]:
            written = reports.record(connection, report, known, version)
            return written, incidents.still_open(connection, report.app, self._read_incident)

        self._written[report.app], still_open = await self._database.write(record)
        return still_open

    async def last_report(self, app: str) -> Report | None:
        """The last report, with all its verdicts, whichever process recorded it."""
        return await self._database.read(lambda c: reports.last(c, app))

    async def record_action(self, action: Action) -> None:
        await self._database.write(lambda c: actions.record(c, action))

    async def history(self, app: str, limit: int = 50, before: int | None = None) -> list[HistoryEntry]:
        """What happened to an app, newest first; `before` is the id of the last entry of the page before."""
        return await self._database.read(lambda c: timeline.read(c, app, limit, before))

    # Incidents and their outbox

    async def open_incidents(self, app: str | None = None) -> list[Incident]:
        """The incidents that are not resolved, of one app or of all."""
        return await self._database.read(lambda c: incidents.still_open(c, app, self._read_incident))

    async def transition_incident(
        self, app: str, type_: IncidentType, transition: incidents.TransitionOf, channels: Sequence[str]
    ) -> bool:
        """Write what becomes of an app's incident of one type, as it is now: nobody else can come in between.

        Written is, with it or not at all, one delivery of the notification for each channel. `news` may be called more
        than once. Returns: whether there is something to tell. Raises: StoreError: another such incident is open.
        """
        return await self._database.write(
            lambda c: incidents.transition(c, app, type_, transition, channels, self._read_incident)
        )

    async def claim_deliveries(
        self, now: datetime, limit: int = 20, *, channel: str | None = None, lease: timedelta = timedelta(seconds=60)
    ) -> list[Delivery]:
        """Take the deliveries that are due; no other process gets them before `lease` is over.

        Whoever takes one says how it went by `delivered` or `delivery_failed`. After a crash in between it is due
        again when the lease ends. Of one incident and channel only the earliest pending delivery is ever due.
        """
        return await self._database.write(lambda c: incidents.claim(c, now, limit, channel, lease))

    async def next_due(self, channel: str) -> datetime | None:
        """When the channel's earliest pending delivery may be tried; None when nothing is pending."""
        return await self._database.read(lambda c: incidents.next_due(c, channel))

    async def delivered(self, delivery: Delivery, receipt: str | None, now: datetime) -> None:
        await self._database.write(lambda c: incidents.delivered(c, delivery, receipt, now))

    async def delivery_failed(
        self, delivery: Delivery, error: str, *, retry_at: datetime | None, now: datetime
    ) -> None:
        """A try failed; None for `retry_at` gives the delivery up, which the app's history then tells."""
        await self._database.write(lambda c: incidents.failed(c, delivery, error, retry_at, now))

    async def backlog(self) -> Mapping[str, Backlog]:
        """Per channel, how many deliveries wait and how many were given up (until they are pruned)."""
        return await self._database.read(incidents.backlog)

    async def prune(self, keep: Retention | None = None) -> Pruned:
        """Delete what `keep` does not cover."""
        now, kept = self._clock(), keep or Retention()
        return await self._database.write(lambda c: retention.prune(c, kept, now))
