"""What an app is compared with: what Git declares, or the earlier revision that it is held at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from driftd.desired.state import Desired
from driftd.model.app import App
from driftd.model.errors import DriftdError
from driftd.model.plan import Hold
from driftd.model.resource import Manifest
from driftd.model.revision import RevisionState
from driftd.store.records import AppState, RevisionRecord
from driftd.store.store import Store


@dataclass(frozen=True, slots=True)
class Target:
    """The manifests to compare with, what the history knows of their revision, and the hold that chose them.

    `applied` are the digests of what was in the cluster, the latest first.
    """

    desired: Desired
    record: RevisionRecord
    hold: Hold | None
    applied_digests: tuple[str, ...]
    from_cache: bool = False
    """Whether how the app stands was taken for granted: then nothing may be done by it."""

    @property
    def is_new(self) -> bool:
        """Whether what is declared has yet to be brought in: until then a difference is the commit, not drift."""
        return self.record.applied_at is None and self.record.digest not in self.applied_digests[:1]


class TargetSelector:
    """Chooses the target of each pass over one app, and keeps its holds.

    How the app stands changes seldom, and is kept: whoever believes it has to check, as he writes, that it still holds
    (`Store.record_report`), and to `forget` it if it does not.
    """

    def __init__(self, app: App, store: Store, now: Callable[[], datetime]) -> None:
        self._app = app
        self._store = store
        self._now = now
        self._recorded: tuple[str, str] | None = None
        self._held_manifests: tuple[str, tuple[Manifest, ...]] | None = None
        self._states: dict[str, AppState] = {}
        self._version: str | None = None
        self._read_fresh = False

    @property
    def version(self) -> str | None:
        """That of the `Standing` by which the last target was chosen; None once it is forgotten."""
        return self._version

    def invalidate(self) -> None:
        """Has how the app stands read again."""
        self._states.clear()
        self._version = None

    async def choose(self, desired: Desired, *, release: bool = False, use_cached: bool = False) -> Target:
        """What Git declares, unless the app is held; a hold ends when what Git declares is no longer what was bad.

        `release` ends it for a person, who thereby gives a bad revision another try. Manifests that do not parse do not
        end a hold: nobody knows what they declare. With `believe`, how the app stood before may be taken for granted.
        """
        name = self._app.name
        if not use_cached:
            self.invalidate()
        self._read_fresh = False
        standing = await self._state_of(desired)
        believed = not self._read_fresh
        record, hold = self._record(desired, standing), standing.hold
        ends = hold is not None and (release or (desired.digest != hold.bad_digest and not desired.errors))
        if ends and believed:
            return await self.choose(desired, release=release)
        if ends and release and record.state is RevisionState.BAD:
            await self._store.set_revision_state(name, record.revision.sha, RevisionState.SEEN, time=self._now())
            record = replace(record, state=RevisionState.SEEN, reason="", applied_at=None, decided_at=None)
        if ends:
            await self._store.release_hold(name)
            self.invalidate()
        elif hold is not None:
            return await self._held(hold, desired.errors, believed=believed)
        return Target(desired, record, None, standing.applied, believed)

    async def roll_back(self, desired: Desired, *, to: str | None, by: str, reason: str) -> Target:
        """Holds the app at `to`, or at its last good revision.

        Raises: DriftdError: there is no such revision, or none to go back to.
        """
        await self._state_of(desired)
        record = await self._rollback_goal(desired, to)
        hold = Hold(
            app=self._app.name,
            revision=record.revision.sha,
            bad_revision=desired.revision.sha,
            bad_digest=desired.digest,
            reason=reason,
            by=by,
            since=self._now(),
        )
        before = await self._store.hold(self._app.name)
        if before is not None and replace(hold, since=before.since) == before:
            return await self._held(before)  # asked for once more
        await self._store.set_hold(hold)
        self.invalidate()
        return await self._held(hold)

    async def _rollback_goal(self, desired: Desired, to: str | None) -> RevisionRecord:
        name = self._app.name
        if to is None:
            record = await self._store.last_good(name, excluding_digest=desired.digest)
            if record is None:
                raise DriftdError(
                    f"app {name} has no good revision to go back to: no other one was in sync and healthy for "
                    f"{self._app.settle.total_seconds():.0f} s (see `driftd history {name}`)"
                )
            return record
        record = await self._store.revision(name, to)
        if record is None:
            raise DriftdError(f"app {name} has no revision {to} in its history (see `driftd history {name}`)")
        if record.digest == desired.digest:
            raise DriftdError(f"revision {record.revision.short} declares what Git declares now: nothing to roll back")
        return record

    async def _held(self, hold: Hold, errors: tuple[str, ...] = (), *, believed: bool = False) -> Target:
        standing = await self._state_at(hold.revision)
        record = standing.record
        if record is None:
            raise DriftdError(f"app {hold.app} is held at {hold.revision}, which the history does not have any more")
        if self._held_manifests is None or self._held_manifests[0] != record.digest:
            self._held_manifests = (record.digest, await self._store.manifests(record.digest))
        held = Desired(record.revision, self._held_manifests[1], errors)
        return Target(held, record, hold, standing.applied, believed)

    async def _state_of(self, desired: Desired) -> AppState:
        """How the app stands at a revision, which is recorded unless it cannot be read: that is no revision to be."""
        name, revision = self._app.name, desired.revision
        if not desired.errors and self._recorded != (revision.sha, desired.digest):
            await self._store.record_revision(name, revision, desired.digest, desired.manifests)
            self._recorded = (revision.sha, desired.digest)
            self.invalidate()
        return await self._state_at(revision.sha)

    async def _state_at(self, sha: str) -> AppState:
        """How the app stands at a revision, as it was read once."""
        if (known := self._states.get(sha)) is not None:
            return known
        standing = await self._store.app_state(self._app.name, sha)
        self._read_fresh = True
        if standing.version != self._version:
            self.invalidate()
        if standing.version is not None:
            self._states[sha] = standing
        self._version = standing.version
        return standing

    def _record(self, desired: Desired, standing: AppState) -> RevisionRecord:
        name, revision = self._app.name, desired.revision
        if desired.errors:  # what does not parse can be neither good nor gone back to
            return RevisionRecord(name, revision, desired.digest, RevisionState.SEEN, "", self._now(), None, None)
        if standing.record is None:
            raise DriftdError(f"app {name}: revision {revision.short} has just been recorded and is not there")
        return standing.record
