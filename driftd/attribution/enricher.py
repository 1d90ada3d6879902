"""The enricher: attributes drift in Git in the background, so that no verdict waits for Git's history."""

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
"""Objects enriched per batch: a new one waits until the batch before it is done."""

_GATHER_SECONDS = 0.5
"""Seconds to wait for a batch to fill up: objects of one batch share the runs of Git."""

_SLOT_SECONDS = 2.0
"""Seconds after which a batch gives up the enrichment slot: it does not use the CPU but waits for a remote."""

NOTIFY_AFTER = timedelta(seconds=5)
"""Maximum delay of notifications while enrichment is pending."""


Enrich = Callable[[Revision, Sequence[Assessment]], Awaitable[Sequence[Verdict]]]
"""Attributes the verdicts of some assessments in Git, as `GitAttribution.enrich` does."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A verdict on a drifted object that waits for enrichment.

    The live object is not held: it is read again, and is the same if its version is. `cached` is the verdict in the
    verdict cache.
    """

    revision: Revision
    assessment: Assessment
    version: str | None
    cached: Verdict
    reader: Reader

    @property
    def is_current(self) -> bool:
        """Whether the object is still as it was assessed; if not, it is assessed and enqueued again."""
        item = self.assessment.mapped
        return item.resource is None or (self.version is not None and self.reader.version_of(item) == self.version)


class GitEnricher:
    """Adds the declaring line, its author and lag to the verdicts in an app's verdict cache.

    `wake` requests a pass, which records and notifies of the enriched verdicts. `slot` is the enrichment slot of all
    apps of a daemon: one app enriches at a time, so that the passes have two thirds of the time, however many apps.
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
        """Whether notifications need not wait: nothing is pending, or it has been for `NOTIFY_AFTER`."""
        if self._since is None:
            return True
        return asyncio.get_running_loop().time() - self._since >= NOTIFY_AFTER.total_seconds()

    def enqueue(
        self, revision: Revision, assessments: Sequence[Assessment], versions: Sequence[str | None], reader: Reader
    ) -> None:
        """Enqueues new assessments against `revision`. The `versions` are from before the objects were read."""
        for assessment, version in zip(assessments, versions, strict=True):
            verdict = assessment.verdict
            self._pending.pop(verdict.ref, None)
            if differs(verdict):
                slim = replace(assessment, live=None)
                self._pending[verdict.ref] = _Pending(revision, slim, version, verdict, reader)
        self._start()

    def enqueue_unchanged(self, revision: Revision, unchanged: Sequence[Assessment], reader: Reader) -> None:
        """Enqueues assessments that stand at a new revision: its history may attribute them to other commits."""
        for assessment in unchanged:
            verdict = assessment.verdict
            slim = replace(assessment, verdict=_without_git(verdict))
            self._pending[verdict.ref] = _Pending(revision, slim, reader.version_of(assessment.mapped), verdict, reader)
        self._start()

    async def close(self) -> None:
        """Drops what is pending."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _start(self) -> None:
        if self._pending and (self._task is None or self._task.done()):
            self._since = asyncio.get_running_loop().time()
            self._task = asyncio.create_task(self._run(), name="enrich")

    async def _run(self) -> None:
        try:
            while self._pending:
                if len(self._pending) < _BATCH_SIZE:
                    await asyncio.sleep(_GATHER_SECONDS)
                await self._run_batch()
        except Exception:
            log.exception("git enrichment crashed")  # a defect of ours: the verdicts stand without attribution
        finally:
            self._pending.clear()
            self._since = None
            self._wake()

    async def _run_batch(self) -> None:
        """Enriches a batch in the slot, and keeps the slot twice as long for the passes. A slow batch gives it up."""
        loop = asyncio.get_running_loop()
        async with self._slot:
            start = loop.time()
            batch = dict(islice(self._pending.items(), _BATCH_SIZE))
            for ref in batch:
                del self._pending[ref]
            current = [pending for pending in batch.values() if pending.is_current]
            enriching = asyncio.create_task(self._enrich_batch(current))
            try:
                done, _ = await asyncio.wait([enriching], timeout=_SLOT_SECONDS)
                if done:
                    await asyncio.sleep(2 * (loop.time() - start))
            except asyncio.CancelledError:
                enriching.cancel()
                raise
        await enriching

    async def _enrich_batch(self, batch: Sequence[_Pending]) -> None:
        for revision, reader in dict.fromkeys((pending.revision, pending.reader) for pending in batch):
            group = [pending for pending in batch if pending.revision is revision and pending.reader is reader]
            results = await reader.read([pending.assessment.mapped for pending in group])
            ready = [
                (pending, replace(pending.assessment, live=result.body if result else None))
                for pending in group
                if pending.is_current
                for result in (results.get(pending.cached.ref),)
            ]
            try:
                enriched = await self._enrich(revision, [assessment for _, assessment in ready])
            except DriftdError as error:  # the verdicts stand without attribution
                log.warning("git history not read", revision=revision.sha, error=str(error))
                continue
            for (pending, _), verdict in zip(ready, enriched, strict=True):
                self._cache.enrich(pending.cached, verdict)


def _without_git(verdict: Verdict) -> Verdict:
    fields = tuple([replace(field, git=None, behind=False) for field in verdict.fields])
    return replace(verdict, fields=fields, behind=None)
