"""Git's side of what differs, looked up beside the passes: a verdict does not wait for Git's history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import islice

import structlog

from driftd.model.drift import Status
from driftd.model.errors import DriftdError
from driftd.model.resource import ResourceRef
from driftd.model.revision import Revision
from driftd.reconcile.judging import Judged
from driftd.reconcile.memory import Memory
from driftd.reconcile.survey import Survey

log = structlog.get_logger(__name__)

_ROOM = 512
"""So many objects may wait with what they were judged by: a pass that finds more waits until there is room."""

_AT_A_TIME = 32
"""So many objects are looked up together: one that comes behind them waits that long."""

PATIENCE = timedelta(seconds=5)
"""How long people may not be told of drift, because more of it is still looked up."""


class Telling:
    """Adds to the verdicts in an app's memory which line says otherwise, who wrote it, and whether it only lags behind.

    `wake` asks for a pass, which records and tells what has come to be known.
    """

    def __init__(self, survey: Survey, memory: Memory, wake: Callable[[], None]) -> None:
        self._survey = survey
        self._memory = memory
        self._wake = wake
        self._waiting: dict[ResourceRef, tuple[Revision, Judged]] = {}
        self._since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Condition()

    @property
    def complete(self) -> bool:
        """Whether nothing is waiting; or whether people have been kept waiting for long enough."""
        return self._since is None or asyncio.get_running_loop().time() - self._since >= PATIENCE.total_seconds()

    async def add(self, revision: Revision, judged: Sequence[Judged]) -> None:
        """Takes in those that differ, `revision` being what they were compared with. Waits while there is no room."""
        for one in judged:
            self._waiting.pop(one.verdict.ref, None)
            if one.verdict.fields or one.verdict.status is Status.MISSING:
                self._waiting[one.verdict.ref] = (revision, one)
        if not self._waiting:
            return
        if self._task is None or self._task.done():
            self._since = asyncio.get_running_loop().time()
            self._task = asyncio.create_task(self._run(), name="telling")
        async with self._room:
            await self._room.wait_for(lambda: len(self._waiting) < _ROOM)

    async def close(self) -> None:
        """Gives up what is waiting."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                some = dict(islice(self._waiting.items(), _AT_A_TIME))
                for ref in some:
                    del self._waiting[ref]
                async with self._room:
                    self._room.notify_all()
                await self._look_up(list(some.values()))
        except Exception:
            log.exception("looking up git history crashed")  # a defect of ours: the verdicts stand without it
        finally:
            self._waiting.clear()
            self._since = None
            self._wake()

    async def _look_up(self, some: Sequence[tuple[Revision, Judged]]) -> None:
        for revision in dict.fromkeys(revision for revision, _ in some):
            judged = [one for at, one in some if at is revision]
            try:
                told = await self._survey.told(revision, judged)
            except DriftdError as error:  # the verdicts stand without it
                log.warning("git history not looked at", revision=revision.sha, error=str(error))
                continue
            for one, verdict in zip(judged, told, strict=True):
                self._memory.improve(one.verdict, verdict)
