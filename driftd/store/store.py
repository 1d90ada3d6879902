"""The store: what outlives a restart of driftd."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy import Connection, delete, insert, select

from driftd.model.command import Command, CommandRecord, Lease
from driftd.model.incident import Incident, IncidentType
from driftd.model.operation import Operation
from driftd.model.plan import Action, Hold
from driftd.model.report import Report
from driftd.model.resource import JsonObject, Manifest, ResourceRef, Source
from driftd.model.reverted import RevertedEdit
from driftd.model.revision import Revision, RevisionState
from driftd.model.run import Run
from driftd.process.clock import boottime
from driftd.store import (
    actions,
    commands,
    declared,
    incidents,
    leases,
    manifest_sets,
    operations,
    outbox,
    reports,
    retention,
    reverted,
    revisions,
    runs,
    takeovers,
    timeline,
    verdicts,
)
from driftd.store.database import Database
from driftd.store.incidents import Change
from driftd.store.readable import Readable, UnreadableRecords
from driftd.store.records import (
    AppState,
    AppSummary,
    Backlog,
    Delivery,
    HistoryEntry,
    OpenPlan,
    Pruned,
    ReportHeader,
    RevisionRecord,
    StoredVerdict,
    Told,
    VerdictFilter,
)
from driftd.store.retention import Retention
from driftd.store.schema import keys

T = TypeVar("T")

_REDACTION_KEY = "redaction"
_KEY_BYTES = 32

log = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


_MAX_APPLIED = 10
"""Maximum number of applied revisions in an app's state."""


class Store:
    """The store in SQLite or PostgreSQL, which several processes may use at the same time.

    A write is durable when its call returns. Every method raises StoreError when the database cannot be read or
    written. The manifests of kept revisions are stored with their Secrets, since a rollback needs them: the database is
    as confidential as the Git repository. A new SQLite file is readable by its owner only; protect a PostgreSQL
    database alike.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime] = _now,
        monotonic: Callable[[], float] = boottime,
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._opened = (clock(), monotonic())
        self._written: dict[str, reports.Written] = {}
        self._read_incident = incidents.IncidentReader()
        self._unreadable = UnreadableRecords(database.place)

    @classmethod
    async def open(
        cls, url: str, *, clock: Callable[[], datetime] = _now, monotonic: Callable[[], float] = boottime
    ) -> Store:
        """Open the database at a SQLAlchemy URL (`sqlite:////path`, `postgresql+psycopg://…`), creating it if needed.

        `clock` gives the time of records that come without one, `monotonic` (seconds) measures spans.
        Raises: StoreError: the path cannot be written, the server does not answer, or a newer driftd wrote it.
        """
        return cls(await Database.open(url), clock, monotonic)

    async def close(self) -> None:
        """Finish the running calls and close the database. May be called again."""
        await self._database.close()

    @property
    def unreadable(self) -> Collection[str]:
        """The records that were met and could not be read, by kind and id: answers leave them out, and count them."""
        return self._unreadable.names

    @property
    def write_error(self) -> str | None:
        """Why the database could not be written of late; None while it can."""
        return self._database.write_error

    async def redaction_key(self) -> bytes:
        """The 32 bytes with which Secret values are hashed for display: generated once, then always the same."""

        def known(connection: Connection) -> bytes | None:
            value = connection.execute(select(keys.c.value).where(keys.c.name == _REDACTION_KEY)).scalar_one_or_none()
            key = bytes(value) if isinstance(value, bytes | memoryview) else b""
            return key if len(key) == _KEY_BYTES else None  # a damaged one would be easy to guess

        def get_or_make(connection: Connection) -> bytes:
            if (key := known(connection)) is not None:
                return key
            made = secrets.token_bytes(_KEY_BYTES)
            connection.execute(delete(keys).where(keys.c.name == _REDACTION_KEY))
            connection.execute(insert(keys).values(name=_REDACTION_KEY, value=made))
            return made

        key = await self._database.read(known)  # first: where the store cannot be written, all else goes on
        return key if key is not None else await self._database.write(get_or_make)

    # Revisions

    async def record_revision(self, app: str, revision: Revision, digest: str, manifests: Sequence[Manifest]) -> None:
        """Make a revision the app's current one. Idempotent.

        `digest` is that of the manifests (`driftd.model.resource.digest`); each is stored once, with its Secrets (see
        the class), in however many revisions it is. A revision that becomes current again keeps its state.
        """
        now = self._clock()
        await self._database.write(lambda c: revisions.record(c, app, revision, digest, manifests, now))

    async def set_revision_state(
        self, app: str, sha: str, state: RevisionState, *, reason: str = "", time: datetime
    ) -> None:
        """Set the state of a revision, by its full commit hash. Raises: StoreError: it was never recorded."""
        await self._database.write(lambda c: revisions.set_state(c, app, sha, state, reason, time))

    async def record_applied(self, app: str, sha: str, *, time: datetime) -> None:
        """Record that all of a revision (a full commit hash) has come into the cluster, for the first time or again.

        Raises: StoreError: it was never recorded.
        """
        await self._database.write(lambda c: revisions.record_applied(c, app, sha, time))

    async def revisions(self, app: str, limit: int = 50) -> list[RevisionRecord]:
        """The app's revisions, the current one first."""
        return await self._database.read(lambda c: revisions.latest(c, app, limit))

    async def revision(self, app: str, sha_or_prefix: str) -> RevisionRecord | None:
        """The revision whose commit hash starts so. Raises: StoreError: several do."""
        return await self._database.read(lambda c: revisions.find(c, app, sha_or_prefix))

    async def last_good(self, app: str, *, excluding_digest: str | None = None) -> RevisionRecord | None:
        """The good revision that came into the cluster last, other than one that declares `excluding_digest`."""
        return await self._database.read(lambda c: revisions.last_good(c, app, excluding_digest))

    async def previous_applied(self, app: str, digest: str) -> RevisionRecord | None:
        """The revision that came into the cluster last, other than those that declare `digest`."""
        return await self._database.read(lambda c: revisions.previous_applied(c, app, digest))

    async def app_state(self, app: str, sha: str) -> AppState:
        """The app's state at a commit, by its full hash: all that a pass needs, in one transaction."""
        return await self._database.read(lambda c: revisions.app_state(c, app, sha, _MAX_APPLIED))

    async def manifests(self, digest: str) -> tuple[Manifest, ...]:
        """The manifests of a revision. Raises: ManifestsNotKept: they are not there (any more), or were damaged."""
        return await self._undamaged(digest, lambda c: manifest_sets.read(c, digest))

    async def difference(self, digest: str, others: Collection[bytes]) -> tuple[tuple[Manifest, ...], set[bytes]]:
        """The manifests of a revision whose digests are not in `others`, and the `others` that it does not declare.

        Only the difference is read and decoded. Raises: ManifestsNotKept: they are not there (any more), or were
            damaged.
        """
        return await self._undamaged(digest, lambda c: manifest_sets.difference(c, digest, others))

    async def restore_manifests(self, digest: str, manifests: Sequence[Manifest]) -> None:
        """Keep the manifests of a recorded revision again, as they were rendered anew."""

        def restore(connection: Connection) -> None:
            manifest_sets.keep(connection, digest, manifests)
            revisions.bump_version(connection)

        await self._database.write(restore)

    async def _undamaged(self, digest: str, read: Callable[[Connection], T]) -> T:
        """What `read` reads of a set of manifests; a damaged one is set aside, so that it can be stored anew."""
        try:
            return await self._database.read(read)
        except manifest_sets.DamagedSet as damaged:
            log.warning("stored manifests are damaged and set aside", digest=digest, error=str(damaged))
            now = self._clock()
            await self._database.write(lambda c: revisions.set_manifests_aside(c, digest, now))
            raise

    async def runs(self, app: str) -> Mapping[ResourceRef, Run]:
        """The runs of the app's Jobs and Pods, each as it was last seen."""
        return await self._database.read(lambda c: runs.read(c, app))

    async def record_runs(self, app: str, seen: Sequence[Run]) -> None:
        """Record runs in place of what was known of the same objects."""
        await self._database.write(lambda c: runs.record(c, app, seen))

    # Holds

    async def hold(self, app: str) -> Hold | None:
        return await self._database.read(lambda c: revisions.hold_of(c, app))

    async def set_hold(self, hold: Hold) -> None:
        """Hold the app; replaces an earlier hold."""
        await self._database.write(lambda c: revisions.set_hold(c, hold))

    async def conclude_hold(self, app: str) -> None:
        """Says that all of the held revision is in the cluster; nothing happens when the app is not held."""
        await self._database.write(lambda c: revisions.conclude_hold(c, app))

    async def release_hold(self, app: str, by: str | None = None) -> None:
        """Let the app follow Git again: Git has moved on, or a person wants it so. Idempotent."""
        now = self._clock()
        await self._database.write(lambda c: revisions.release_hold(c, app, by, now))

    async def released_by(self, app: str) -> str | None:
        """The person who ended the app's last hold; None where Git moved on from it, or it goes on."""
        return await self._database.read(lambda c: revisions.released_by(c, app))

    # Passes and actions

    async def record_report(self, report: Report, version: str | None = None) -> list[Incident]:
        """Make this the app's last report. Only the verdicts that changed are written.

        The history gets an entry when the findings change; actors, times and revisions are not part of them.
        `version` is that of the `AppState` that the report is based on.

        Returns: the app's open incidents, as of then.
        Raises: Superseded: the app's state has another version by now; nothing was written.
        """
        known, now = self._written.get(report.app), self._clock()

        def record(connection: Connection) -> tuple[reports.Written, list[Incident]]:
            written = reports.record(connection, report, known, version)
            return written, incidents.open_for_update(connection, report.app, self._read_incident, now)

        self._written[report.app], still_open = await self._database.write(record)
        return still_open

    async def record_failed_pass(self, app: str, error: str) -> None:
        """Say that the app's last report is out of date: a pass has failed since. The next report replaces that."""
        await self._database.write(lambda c: reports.record_failure(c, app, error))

    async def remove_reports(self, apps: Collection[str]) -> None:
        """Remove the last reports of apps that are not there any more; their history stays. Idempotent."""
        await self._database.write(lambda c: reports.remove(c, apps))
        for app in apps:
            self._written.pop(app, None)

    async def last_report(self, app: str) -> Report | None:
        """The last report, with all its verdicts, whichever process recorded it."""
        return await self._database.read(lambda c: reports.last(c, app))

    async def verdicts(
        self, criteria: VerdictFilter, *, limit: int = 100, after: str | None = None
    ) -> list[StoredVerdict]:
        """The verdicts that match, by app and in the order of its report.

        `after` is the `cursor` of the last verdict of the page before. Raises: StoreError: it is no cursor.
        """
        return await self._database.read(lambda c: verdicts.read(c, criteria, limit, after))

    async def app_summaries(self, apps: Collection[str] | None = None) -> Mapping[str, AppSummary]:
        """The last reports of these apps, or of all, in numbers; apps without a report are left out."""
        return await self._database.read(lambda c: verdicts.summaries(c, apps))

    async def report_headers(self) -> list[ReportHeader]:
        """The last report of every app, without its verdicts, and the app's lease."""
        return await self._database.read(declared.headers)

    async def declared_by(self, app: str) -> Mapping[ResourceRef, Source]:
        """The objects that an app declares by its last report, and where in Git."""
        return await self._database.read(lambda c: declared.sources(c, app))

    # Operations: the writes to the cluster

    async def record_plan(self, planned: Sequence[Operation]) -> None:
        """Record all operations of a pass, before the first of them is made."""
        await self._database.write(lambda c: operations.plan(c, planned))

    async def record_outcomes(self, outcomes: Sequence[Operation]) -> None:
        """Record the outcomes of planned operations, which are known by their ids."""
        await self._database.write(lambda c: operations.finish(c, outcomes))

    async def taken_over(self, app: str, cluster: str) -> AbstractSet[ResourceRef]:
        """The objects of a cluster that driftd has taken over for an app from another deployer."""
        return await self._database.read(lambda c: takeovers.read(c, app, cluster))

    async def open_plans(self, app: str) -> list[OpenPlan]:
        """The plans of passes that have not been recorded: the process ended in between, or the pass is under way."""
        plans = await self._database.read(lambda c: operations.open_plans(c, app))
        for plan in plans:
            self._unreadable.note(Readable((), plan.unreadable))
        return plans

    async def operations(
        self,
        *,
        app: str | None = None,
        kind: str | None = None,
        namespace: str | None = None,
        name: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Readable[Operation]:
        """The operations that match and were planned at or after `since`, newest first.

        `before` is the id of the last operation of the page before.
        """
        return self._unreadable.note(
            await self._database.read(
                lambda c: operations.read(
                    c, app=app, kind=kind, namespace=namespace, name=name, since=since, limit=limit, before=before
                )
            )
        )

    async def record_action(self, action: Action, plan: str | None = None) -> None:
        """Adds an action to the history; `plan` is the id of the one that was carried out."""

        def record(connection: Connection) -> None:
            actions.record(connection, action, plan)
            if plan is not None:
                operations.record(connection, action.app, plan)

        await self._database.write(record)

    async def operations_of(self, plans: Collection[str]) -> Mapping[str, Readable[Operation]]:
        """The operations of some plans, in the order in which they were recorded."""
        found = await self._database.read(lambda c: operations.of_plans(c, plans))
        return {plan: self._unreadable.note(of_plan) for plan, of_plan in found.items()}

    async def operations_by_id(self, ids: Collection[str]) -> Readable[Operation]:
        """Some operations, in the order in which they were recorded; those that are not kept any more are left out."""
        return self._unreadable.note(await self._database.read(lambda c: operations.by_id(c, ids)))

    async def record_reverted(
        self, app: str, edits: Sequence[RevertedEdit], *, revision: str | None, time: datetime
    ) -> int:
        """Adds edits to the history that were put back before a pass saw them. Those that it has already are left out.

        `revision` is the commit that they were compared with. Returns: the number of those that were added.
        """
        return await self._database.write(lambda c: reverted.record(c, app, edits, revision, time))

    async def history(
        self, app: str | None, limit: int = 50, before: int | None = None, since: datetime | None = None
    ) -> list[HistoryEntry]:
        """The events of an app, or of all, at or after `since`, newest first.

        `before` is the id of the last entry of the page before.
        """
        entries = await self._database.read(lambda c: timeline.read(c, app, limit, before, since))
        self._unreadable.note(Readable((), [f"history entry {entry.id}" for entry in entries if not entry.readable]))
        return entries

    # Commands and leases

    async def submit_command(self, command: Command) -> None:
        """Queue a command. Idempotent by its id."""
        await self._database.write(lambda c: commands.submit(c, command))

    async def pending_commands(self, apps: Collection[str]) -> list[Command]:
        """The pending commands of these apps, oldest first. Those that cannot be read have failed."""
        found, unreadable = await self._database.read(lambda c: commands.pending(c, apps))
        if unreadable:
            now = self._clock()
            await self._database.write(lambda c: commands.reject(c, unreadable, now))
        return found

    async def start_command(self, id_: str, holder: str) -> bool:
        """Mark a pending command as running. Returns: False: another process took it, or it was cancelled."""
        now = self._clock()
        return await self._database.write(lambda c: commands.start(c, id_, holder, now))

    async def finish_command(self, id_: str, *, result: JsonObject | None = None, error: str | None = None) -> None:
        """Mark a running command as done, or with an `error` as failed; one that is not running stays as it is."""
        now = self._clock()
        await self._database.write(lambda c: commands.finish(c, id_, result, error, now))

    async def cancel_command(self, id_: str) -> bool:
        """Cancel a pending command. Returns: False: it is not pending."""
        now = self._clock()
        return await self._database.write(lambda c: commands.cancel(c, id_, now))

    async def command(self, id_: str) -> CommandRecord | None:
        return await self._database.read(lambda c: commands.read(c, id_))

    async def interrupt_commands(self, app: str, holder: str) -> None:
        """Mark the app's running commands as failed that other processes than `holder` had started."""
        now = self._clock()
        await self._database.write(lambda c: commands.interrupt(c, app, holder, now))

    async def acquire_lease(self, app: str, holder: str, ttl: timedelta, *, ended: Lease | None = None) -> Lease | None:
        """Acquire or renew the app's lease. Returns: None: another holder has it.

        `ended` is one of another holder that the caller has seen unchanged for all of its duration: if it is still the
        same, it is taken over.
        """
        now = self._clock()
        return await self._database.write(lambda c: leases.acquire(c, app, holder, ttl, now, ended))

    async def renew_leases(self, holder: str, ttl: timedelta) -> frozenset[str]:
        """Renew all leases of a holder. Returns: the apps that it still holds.

        A late one is renewed too, unless another holder has acquired it since.
        """
        now = self._clock()
        return await self._database.write(lambda c: leases.renew(c, holder, ttl, now))

    async def release_leases(self, holder: str, apps: Collection[str] | None = None) -> None:
        """End a holder's leases, those of these apps or all."""
        await self._database.write(lambda c: leases.release(c, holder, apps))

    async def lease(self, app: str) -> Lease | None:
        """The app's lease, also when nobody renews it any more; None when it was released, or never acquired."""
        return await self._database.read(lambda c: leases.read(c, app))

    # Incidents and their outbox

    async def open_incidents(self, app: str | None = None) -> Readable[Incident]:
        """The incidents that are not resolved, of one app or of all."""
        return self._unreadable.note(
            await self._database.read(lambda c: incidents.still_open(c, app, self._read_incident))
        )

    async def incidents(
        self,
        *,
        app: str | None = None,
        type: IncidentType | None = None,  # noqa: A002 (the incident's own word, by keyword only)
        open: bool | None = None,  # noqa: A002
        since: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Readable[Incident]:
        """The incidents that match, newest first: open or resolved ones, or both; those updated at or after `since`.

        `before` is the id of the last incident of the page before.
        """
        return self._unreadable.note(
            await self._database.read(
                lambda c: incidents.read(c, app=app, type_=type, is_open=open, since=since, limit=limit, before=before)
            )
        )

    async def transition_incidents(
        self, app: str, changes: Sequence[Change], channels: Sequence[str], plans: Collection[str] = ()
    ) -> bool:
        """Write what becomes of an app's incidents, in one transaction with their deliveries.

        Each change gets the open incident of its type and may be called more than once. Notifications are queued for
        each channel. `plans` are those that people are thereby notified of: they are closed in the same transaction.
        Returns: whether there is a notification. Raises: StoreError: another such incident is open.
        """
        now = self._clock()

        def write(connection: Connection) -> bool:
            if plans:
                operations.close(connection, app, plans)
            return incidents.transition(connection, app, changes, channels, self._read_incident, now)

        return await self._database.write(write)

    async def incident(self, id_or_prefix: str) -> Incident | None:
        """The incident whose id starts so, open or resolved. Raises: StoreError: several do."""
        return await self._database.read(lambda c: incidents.find(c, id_or_prefix))

    async def notifications(self, incident: str) -> Readable[Told]:
        """The notifications of an incident, by its id, in their order, with what became of each in each channel."""
        return self._unreadable.note(await self._database.read(lambda c: outbox.told(c, incident)))

    async def claim_deliveries(
        self, now: datetime, limit: int = 20, *, channel: str | None = None, lease: timedelta = timedelta(seconds=60)
    ) -> list[Delivery]:
        """Claim the deliveries that are due; no other process gets them before `lease` has expired.

        The caller reports the result by `delivered` or `delivery_failed`; after a crash the delivery is due again when
        the lease expires. Of one incident and channel only the earliest pending delivery is due.
        """
        return await self._database.write(lambda c: outbox.claim(c, now, limit, channel, lease))

    async def next_due(self, channel: str) -> datetime | None:
        """When the channel's earliest pending delivery is due; None when nothing is pending."""
        return await self._database.read(lambda c: outbox.next_due(c, channel))

    async def delivered(self, delivery: Delivery, receipt: str | None, now: datetime) -> None:
        await self._database.write(lambda c: outbox.delivered(c, delivery, receipt, now))

    async def delivery_failed(
        self, delivery: Delivery, error: str, *, retry_at: datetime | None, now: datetime
    ) -> None:
        """Record a failed attempt; without `retry_at` the delivery has failed, which gets an entry in the history."""
        await self._database.write(lambda c: outbox.failed(c, delivery, error, retry_at, now))

    async def backlog(self) -> Mapping[str, Backlog]:
        """The pending deliveries of each channel, and the failed ones (until they are pruned)."""
        return await self._database.read(outbox.backlog)

    async def prune(self, keep: Retention | None = None) -> Pruned:
        """Delete what `keep` does not cover. Nothing is older because somebody has set the clock ahead meanwhile."""
        opened, since = self._opened
        now = min(self._clock(), opened + timedelta(seconds=self._monotonic() - since))
        kept = keep or Retention()
        return await self._database.write(lambda c: retention.prune(c, kept, now))
