"""The target of a pass: what Git declares, or the earlier revision that the app is held at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from driftd.desired.state import Desired
from driftd.model.app import App
from driftd.model.command import Command, CommandKind
from driftd.model.errors import DriftdError, ManifestsNotKept
from driftd.model.plan import SYSTEM_ACTOR, Hold
from driftd.model.resource import Manifest
from driftd.model.revision import Revision, RevisionState
from driftd.store.records import AppState, RevisionRecord
from driftd.store.store import Store

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """The manifests to compare with, the record of their revision, and the hold that chose them.

    `applied_digests` are those of the revisions that were in the cluster, the one that came last first. `from_cache`
    says that the app's state was not read for this target: nothing may be written because of it.
    """

    desired: Desired
    record: RevisionRecord
    hold: Hold | None
    applied_digests: tuple[str, ...]
    from_cache: bool = False

    @property
    def is_new(self) -> bool:
        """Whether this revision has yet to be applied: until then a difference is the rollout, not drift."""
        if self.hold is not None:
            return self.hold.pending
        return self.record.digest not in self.applied_digests[:1]

    @property
    def is_in_cluster(self) -> bool:
        """Whether all of this revision has come into the cluster, and all of no other one since."""
        is_latest = self.applied_digests[:1] == (self.record.digest,)
        return is_latest and self.record.applied_at is not None and not self.is_new

    @property
    def before(self) -> str | None:
        """The digest of the revision that was in the cluster before this one; None for the first one."""
        return next((digest for digest in self.applied_digests if digest != self.record.digest), None)


class TargetSelector:
    """Selects the target of each pass over one app, and keeps its holds.

    The app's state changes seldom and is cached. A pass that uses the cached state has to name its version when it
    writes (`Store.record_report`), and to `invalidate` it where another version is in force (docs/adr/0015).
    """

    def __init__(
        self, app: App, store: Store, now: Callable[[], datetime], render: Callable[[Revision], Awaitable[Desired]]
    ) -> None:
        self._app = app
        self._render = render
        self._store = store
        self._now = now
        self._recorded: tuple[str, str] | None = None
        self._held_manifests: tuple[str, tuple[Manifest, ...]] | None = None
        self._states: dict[str, AppState] = {}
        self._version: str | None = None
        self._read_fresh = False

    @property
    def version(self) -> str | None:
        """The version of the app state that the last target rests on; None once it is invalidated."""
        return self._version

    def invalidate(self) -> None:
        """Makes the next target read the app's state again."""
        self._states.clear()
        self._version = None

    def record_again(self) -> None:
        """Makes the next target record its revision again: the store may have lost its manifests."""
        self._recorded = None
        self.invalidate()

    async def select(self, desired: Desired, command: Command | None, *, use_cached: bool = False) -> Target:
        """The target of a pass; a rollback that a person asked for sets its hold first.

        Raises: DriftdError: there is no revision to roll back to.
        """
        if command is not None and command.kind is CommandKind.ROLLBACK:
            await self.hold_at(desired, to=command.to, by=command.by, reason=f"asked for by {command.by}")
            return await self._select(desired)
        released_by = command.by if command is not None and command.release else None
        return await self._select(desired, released_by=released_by, use_cached=use_cached)

    async def _select(self, desired: Desired, *, released_by: str | None = None, use_cached: bool = False) -> Target:
        """What Git declares, unless the app is held; a hold ends when Git no longer declares what was bad.

        `released_by` is a person who ends it, and thereby gives a bad revision another try. Manifests that do not parse
        do not end a hold: what they declare is unknown. `use_cached` allows the cached state.
        """
        name = self._app.name
        if not use_cached:
            self.invalidate()
        self._read_fresh = False
        state = await self._state_of(desired)
        from_cache = not self._read_fresh
        record, hold = self._record(desired, state), state.hold
        release = released_by is not None
        moved_on = hold is not None and desired.digest != hold.bad_digest and not desired.errors
        # Whoever deploys goes on, whatever driftd held the app at before.
        ends = hold is not None and (release or moved_on or not self._app.deploys)
        if ends and from_cache:
            return await self._select(desired, released_by=released_by)
        if ends and release and record.state is RevisionState.BAD:
            await self._store.set_revision_state(name, record.revision.sha, RevisionState.SEEN, time=self._now())
            record = replace(record, state=RevisionState.SEEN, reason="", applied_at=None, decided_at=None)
        if ends:
            await self._store.release_hold(name, released_by)
            self.invalidate()
        elif hold is not None:
            return await self._held(hold, desired.errors, from_cache=from_cache)
        return Target(desired, record, None, state.applied, from_cache)

    async def hold_at(self, desired: Desired, *, to: str | None, by: str, reason: str) -> None:
        """Holds the app at `to`, or at its last good revision: the target of the next passes.

        Raises: DriftdError: there is no such revision, or none to go back to.
        """
        await self._state_of(desired)
        await self._hold_at(desired, await self._rollback_goal(desired, to), by, reason)

    async def hold_at_previous(self, desired: Desired, *, reason: str) -> None:
        """Holds the app at the revision that was in its cluster before, without a person: one back, and never further.

        Raises: DriftdError: that one was not good, or there is none.
        """
        await self._state_of(desired)
        name = self._app.name
        record = await self._store.previous_applied(name, desired.digest)
        if record is None:
            raise DriftdError(
                f"app {name} has no good revision to go back to: no other one was in its cluster "
                f"(see `driftd history {name}`)"
            )
        if record.state is not RevisionState.GOOD:
            raise DriftdError(
                f"app {name} has no good revision to go back to: {record.revision.short}, the one before, was never "
                f"healthy as a whole, and further back takes a person: `driftd rollback {name}`"
            )
        await self._hold_at(desired, record, SYSTEM_ACTOR, reason)

    async def _hold_at(self, desired: Desired, record: RevisionRecord, by: str, reason: str) -> None:
        hold = Hold(
            app=self._app.name,
            revision=record.revision.sha,
            bad_revision=desired.revision.sha,
            bad_digest=desired.digest,
            reason=reason,
            by=by,
            since=self._now(),
            pending=True,
        )
        before = await self._store.hold(self._app.name)
        if before is not None and replace(hold, since=before.since, pending=before.pending) == before:
            return  # asked for once more
        await self._store.set_hold(hold)
        self.invalidate()

    async def _rollback_goal(self, desired: Desired, to: str | None) -> RevisionRecord:
        name = self._app.name
        if to is None:
            record = await self._store.last_good(name, excluding_digest=desired.digest)
            if record is None:
                raise DriftdError(
                    f"app {name} has no good revision to go back to: no other one was applied and healthy for "
                    f"{self._app.settle.total_seconds():.0f} s (see `driftd history {name}`)"
                )
            return record
        record = await self._store.revision(name, to)
        if record is None:
            raise DriftdError(f"app {name} has no revision {to} in its history (see `driftd history {name}`)")
        if record.digest == desired.digest:
            raise DriftdError(f"revision {record.revision.short} declares what Git declares now: nothing to roll back")
        return record

    async def _held(self, hold: Hold, errors: tuple[str, ...] = (), *, from_cache: bool = False) -> Target:
        state = await self._state_at(hold.revision)
        record = state.record
        if record is None:
            raise DriftdError(f"app {hold.app} is held at {hold.revision}, which the history does not have any more")
        if self._held_manifests is None or self._held_manifests[0] != record.digest:
            self._held_manifests = (record.digest, await self._manifests(record))
        held = Desired(record.revision, self._held_manifests[1], errors)
        return Target(held, record, hold, state.applied, from_cache)

    async def _manifests(self, record: RevisionRecord) -> tuple[Manifest, ...]:
        """The manifests of an earlier revision: as they were stored, else as Git has them.

        Raises: DriftdError: they are lost, and cannot be rendered as they were.
        """
        try:
            return await self._store.manifests(record.digest)
        except ManifestsNotKept as error:
            short = record.revision.short
            try:
                rendered = await self._render(record.revision)
            except DriftdError as cause:
                raise DriftdError(f"{error}, and {short} cannot be rendered again: {cause}") from cause
            if rendered.errors or rendered.digest != record.digest:
                raise DriftdError(f"{error}, and {short} is not rendered as it was any more") from error
        log.info("manifests rendered again", app=record.app, revision=record.revision.sha)
        manifests = tuple(rendered.manifests)
        await self._store.restore_manifests(record.digest, manifests)
        return manifests

    async def _state_of(self, desired: Desired) -> AppState:
        """The app's state at a revision, which is recorded first, unless its manifests do not parse."""
        name, revision = self._app.name, desired.revision
        if not desired.errors and self._recorded != (revision.sha, desired.digest):
            await self._store.record_revision(name, revision, desired.digest, desired.manifests)
            self._recorded = (revision.sha, desired.digest)
            self.invalidate()
        return await self._state_at(revision.sha)

    async def _state_at(self, sha: str) -> AppState:
        """The app's state at a revision, from the cache where it is there."""
        if (cached := self._states.get(sha)) is not None:
            return cached
        state = await self._store.app_state(self._app.name, sha)
        self._read_fresh = True
        if state.version != self._version:
            self.invalidate()
        if state.version is not None:
            self._states[sha] = state
        self._version = state.version
        return state

    def _record(self, desired: Desired, state: AppState) -> RevisionRecord:
        name, revision = self._app.name, desired.revision
        if desired.errors:  # what does not parse is never good, and never a goal
            return RevisionRecord(name, revision, desired.digest, RevisionState.SEEN, "", self._now(), None, None)
        if state.record is None:
            raise DriftdError(f"app {name}: revision {revision.short} has just been recorded and is not there")
        return state.record
