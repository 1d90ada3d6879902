"""The edits that no pass has seen: found in the background, told by the next pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from driftd.attribution.git_attribution import GitAttribution
from driftd.attribution.reverted import Past, is_program, reverted_edits
from driftd.detect.assessor import Assessment
from driftd.live.actors import ActorLog
from driftd.live.mapping import MappedManifest
from driftd.live.version_log import SeenVersion
from driftd.model.drift import Status, Verdict
from driftd.model.errors import DriftdError
from driftd.model.resource import JsonObject
from driftd.model.reverted import RevertedEdit
from driftd.model.revision import Revision

log = structlog.get_logger(__name__)

_GATHER_SECONDS = 0.5
"""Seconds to wait for more: a hand seldom makes one edit alone."""

_AWAIT_AUDIT = timedelta(seconds=5)
"""How long the audit events of a write are awaited, where the API server sends some."""

_MAX_WAITING = 512
"""Maximum number of objects whose versions wait to be compared, and of edits that wait to be told."""


AssessPast = Callable[[MappedManifest, Sequence[JsonObject | None]], Awaitable[list[Assessment]]]
"""Compares a manifest with versions that its object had, as `Detector.assess_past` does."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    revision: Revision
    item: MappedManifest
    versions: tuple[SeenVersion, ...]


class UnseenEdits:
    """Finds the edits of one app that were put back before a pass saw them. `wake` requests the pass that tells them.

    An edit is kept until it has been recorded.
    """

    def __init__(
        self, assess_past: AssessPast, attribution: GitAttribution, actors: ActorLog, wake: Callable[[], None]
    ) -> None:
        self._assess_past = assess_past
        self._attribution = attribution
        self._actors = actors
        self._wake = wake
        self._waiting: list[_Waiting] = []
        self._found: list[RevertedEdit] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def found(self) -> tuple[RevertedEdit, ...]:
        """The edits that have yet to be recorded."""
        return tuple(self._found)

    def add(self, revision: Revision, item: MappedManifest, versions: Sequence[SeenVersion]) -> None:
        """Takes in the versions of an object up to the one that a pass has seen, from the last one that a pass saw."""
        if len(versions) < 3 or len(self._waiting) >= _MAX_WAITING:  # nothing lies in between; or too much to look at
            return
        self._waiting.append(_Waiting(revision, item, tuple(versions)))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="find edits that were put back")

    def recorded(self, edits: Collection[RevertedEdit]) -> None:
        """Says that some edits have been recorded."""
        self._found = [edit for edit in self._found if not any(edit is one for one in edits)]

    async def close(self) -> None:
        """Gives up what waits."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(_AWAIT_AUDIT.total_seconds() if self._actors.has_audit else _GATHER_SECONDS)
            batch, self._waiting = self._waiting, []
            known = len(self._found)
            for one in batch:
                try:
                    self._found += await self._edits(one)
                except DriftdError as error:
                    log.warning("versions not compared", object=str(one.item.manifest.ref), error=str(error))
                except Exception:
                    log.exception("comparing versions crashed", object=str(one.item.manifest.ref))  # a defect of ours
            del self._found[:-_MAX_WAITING]
            if len(self._found) > known:
                self._wake()

    async def _edits(self, waiting: _Waiting) -> list[RevertedEdit]:
        comparison = self._attribution.comparison
        past = await asyncio.to_thread(Past.of, waiting.versions)
        if not past.may_have_edits(comparison.managers):
            return []
        assessments = await self._assess_past(waiting.item, past.bodies)
        edits = await asyncio.to_thread(reverted_edits, past, assessments, comparison)
        edits = [known for edit in edits if (known := self._with_users(edit)) is not None]
        if not edits:
            return []
        verdicts = await self._attribution.blame(waiting.revision, [edit.verdict for edit in edits])
        return [replace(edit, verdict=verdict) for edit, verdict in zip(edits, verdicts, strict=True)]

    def _with_users(self, edit: RevertedEdit) -> RevertedEdit | None:
        """With what the audit log knows; None where it was no hand by that."""
        verdict, put_back_by = edit.verdict, edit.put_back_by
        if put_back_by is not None:
            put_back_by = self._actors.with_user(verdict.ref, put_back_by)
        if verdict.status is Status.MISSING:
            deleter = self._actors.deleter(verdict.ref, edit.began)
            verdict = replace(verdict, by=deleter)
            replaced = deleter is not None and put_back_by is not None and deleter.user == put_back_by.user
            if replaced or self._is_by_program(verdict):
                return None
        else:
            [verdict] = self._actors.attribute([verdict])
            if self._is_by_program(verdict):
                return None
        return replace(edit, verdict=verdict, put_back_by=put_back_by)

    def _is_by_program(self, verdict: Verdict) -> bool:
        managers = self._attribution.comparison.managers
        return any(
            owner is not None and is_program(owner, managers) for owner in (verdict.by, *(f.by for f in verdict.fields))
        )
