"""Git's side of what differs, looked up beside the passes: a verdict does not wait for Git's history."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice

import structlog

from driftd.detect.assessor import Assessment
from driftd.detect.verdict_cache import VerdictCache, differs
from driftd.live.api_reader import Reader
from driftd.model.drift import Verdict
from driftd.model.errors import DriftdError
from driftd.model.resource import ResourceRef
from driftd.model.revision import Revision

log = structlog.get_logger(__name__)

_BATCH_SIZE = 32
"""So many objects are looked up together: one that comes behind them waits that long."""

_GATHER_SECONDS = 0.5
"""Seconds between two looks, unless there is enough for one: what comes meanwhile needs no runs of Git of its own."""

_SLOT_SECONDS = 2.0
"""Seconds after which a look is no matter of CPU any more, but waits for a remote."""

NOTIFY_AFTER = timedelta(seconds=5)
"""How long people may not be told of drift, because more of it is still looked up."""


Enrich = Callable[[Revision, Sequence[Assessment]], Awaitable[Sequence[Verdict]]]
"""Adds Git's side to the verdicts of some assessments, as `GitAttribution.enrich` does."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A verdict on an object that differs from what a revision declares.

    The object itself is not held: it is read again, and is the same if its stamp is. `known` is the verdict that the
    memory has.
    """

    revision: Revision
    assessment: Assessment
    version: str | None
    known: Verdict
    reader: Reader

    @property
    def is_current(self) -> bool:
        """Whether the object is still as it was judged; if not, it is judged anew and comes again."""
        wanted = self.assessment.mapped
        return wanted.resource is None or (self.version is not None and self.reader.version_of(wanted) == self.version)


class GitEnricher:
    """Adds to the verdicts in an app's memory which line says otherwise, who wrote it, and whether it only lags behind.

    `wake` asks for a pass, which records and tells what has come to be known. `turns` is that of all apps of a daemon:
    one of them looks up at a time, so that the passes have two thirds of the time, however many apps there are.
    """

    def __init__(self, enrich: Enrich, cache: VerdictCache, wake: Callable[[], None], slot: asyncio.Lock) -> None:
        self._enrich = enrich
        self._cache = cache
        self._wake = wake
        self._slot = slot
        self._pending: dict[ResourceRef, _Pending] = {}
        self._since: float | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing is waiting; or whether people have been kept waiting for long enough."""
        if self._since is None:
            return True
        return asyncio.get_running_loop().time() - self._since >= NOTIFY_AFTER.total_seconds()

    def enqueue(
        self, revision: Revision, assessments: Sequence[Assessment], versions: Sequence[str | None], reader: Reader
    ) -> None:
        """Takes in objects that were just judged, as `revision` declares them; the `stamps` are of before."""
        for one, stamp in zip(assessments, versions, strict=True):
            self._pending.pop(one.verdict.ref, None)
            if differs(one.verdict):
                slim = replace(one, live=None)
                self._pending[one.verdict.ref] = _Pending(revision, slim, stamp, one.verdict, reader)
        self._start()

    def enqueue_unchanged(self, revision: Revision, unchanged: Sequence[Assessment], reader: Reader) -> None:
        """Takes in verdicts of which nothing has changed but the revision: Git may have another history of them."""
        for one in unchanged:
            slim = replace(one, verdict=_without_git(one.verdict))
            self._pending[one.verdict.ref] = _Pending(
                revision, slim, reader.version_of(one.mapped), one.verdict, reader
            )
        self._start()

    async def close(self) -> None:
        """Gives up what is waiting."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _start(self) -> None:
        if self._pending and (self._task is None or self._task.done()):
            self._since = asyncio.get_running_loop().time()
            self._task = asyncio.create_task(self._run(), name="telling")

    async def _run(self) -> None:
        try:
            while self._pending:
                if len(self._pending) < _BATCH_SIZE:
                    await asyncio.sleep(_GATHER_SECONDS)
                await self._run_batch()
        except Exception:
            log.exception("looking up git history crashed")  # a defect of ours: the verdicts stand without it
        finally:
            self._pending.clear()
            self._since = None
            self._wake()

    async def _run_batch(self) -> None:
        """Looks some up, with the rest that the passes are due for it. What takes long, others do not wait for."""
        loop = asyncio.get_running_loop()
        async with self._slot:
            began = loop.time()
            some = dict(islice(self._pending.items(), _BATCH_SIZE))
            for ref in some:
                del self._pending[ref]
            looking = asyncio.create_task(self._enrich_batch([one for one in some.values() if one.is_current]))
            try:
                done, _ = await asyncio.wait([looking], timeout=_SLOT_SECONDS)
                if done:
                    await asyncio.sleep(2 * (loop.time() - began))
            except asyncio.CancelledError:
                looking.cancel()
                raise
        await looking

    async def _enrich_batch(self, some: Sequence[_Pending]) -> None:
        for revision, reader in dict.fromkeys((one.revision, one.reader) for one in some):
            among = [one for one in some if one.revision is revision and one.reader is reader]
            readings = await reader.read([one.assessment.mapped for one in among])
            ready = [
                (one, replace(one.assessment, live=reading.body if reading else None))
                for one in among
                if one.is_current
                for reading in (readings.get(one.known.ref),)
            ]
            try:
                told = await self._enrich(revision, [judged for _, judged in ready])
            except DriftdError as error:  # the verdicts stand without it
                log.warning("git history not looked at", revision=revision.sha, error=str(error))
                continue
            for (one, _), verdict in zip(ready, told, strict=True):
                self._cache.enrich(one.known, verdict)


def _without_git(verdict: Verdict) -> Verdict:
    fields = tuple([replace(field, git=None, behind=False) for field in verdict.fields])
    return replace(verdict, fields=fields, behind=None)
