"""The state of one Git source: the latest fetched revision, and the error of the last fetch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from driftd.desired.provider import DesiredStateProvider
from driftd.desired.sources import Source, revision_at
from driftd.desired.state import CapabilitiesSource, Desired
from driftd.git.mirrored_commits import MirroredCommits
from driftd.model.app import App
from driftd.model.backoff import exponential_delay
from driftd.model.errors import DriftdError, GitError
from driftd.model.next_deployment import NextDeployment
from driftd.model.revision import Revision

_MIN_BACKOFF = timedelta(seconds=2)
_MAX_BACKOFF = timedelta(minutes=5)


class SourceState:
    """Fetches on request. The last fetched revision stays in use while Git is unreachable.

    With a `commit`, that one is its revision, wherever the source's reference leads to: somebody else chooses it, and
    the remote is asked only for a commit that is not mirrored yet. `name` is by default the source's.
    """

    def __init__(
        self,
        source: Source,
        provider: DesiredStateProvider,
        interval: timedelta,
        now: Callable[[], datetime],
        *,
        name: str | None = None,
        commit: str | None = None,
        next_: NextDeployment | None = None,
    ) -> None:
        self.name = name or source.name
        self.repository = f"{source.name}-{_digest(source)}" if commit is not None else self.name
        """What people are told of when it cannot be fetched: apps that are pinned to commits share a repository."""
        self.asked_remote = False
        """Whether the last fetch asked the remote: one of a mirrored commit does not."""
        self.interval = interval
        self.revision: Revision | None = None
        self.error: str | None = None
        self.failures = 0
        self.last_attempt: datetime | None = None
        self.asked = 0
        self.answered = 0
        """The number of the last fetch that was begun, and of the last one that has ended, well or not."""
        self._source = source
        self._commit = commit
        self._next = next_
        self._provider = provider
        self._now = now

    @property
    def mirror(self) -> MirroredCommits:
        """The local mirror of the source."""
        return self._provider.mirror(self._source)

    async def resume(self) -> None:
        """Restores the revision that an earlier process has mirrored, if there is one."""
        try:
            mirrored = self.mirror.resolve() if self._commit is None else self.mirror.revision(self._commit)
            self.revision = await mirrored
        except GitError:
            self.revision = None  # nothing is mirrored yet: the first fetch reports any error

    async def fetch(self) -> bool:
        """Fetches from the remote. True if the revision is new. A failure is stored in `error`, never raised."""
        self.last_attempt = self._now()
        self.asked += 1
        number, before = self.asked, self.revision
        try:
            self.revision = await self._fetch()
        except DriftdError as error:
            self.error = str(error)
            self.failures += 1
            return False
        finally:
            self.answered = max(self.answered, number)
        self.error = None
        self.failures = 0
        return before is None or before.sha != self.revision.sha

    def pin(self, commit: str, next_: NextDeployment | None = None) -> bool:
        """Makes another commit its revision, from the next fetch on. True if that, or what is next, is another one."""
        changed = (commit, next_) != (self._commit, self._next)
        self._commit, self._next = commit, next_
        return changed

    @property
    def is_pinned(self) -> bool:
        """Whether somebody else chooses its commit."""
        return self._commit is not None

    @property
    def next(self) -> NextDeployment | None:
        """What the app's deployer has yet to deploy, of an app that is pinned to a commit."""
        return self._next

    async def _fetch(self) -> Revision:
        """Raises: GitError."""
        if self._commit is None:
            self.asked_remote = True
            return await self._provider.fetch(self._source)
        self.asked_remote = False
        mirrored = await self._mirrored(self._commit)
        wanted = self._next.pending.revision if self._next is not None else None
        if mirrored is not None:
            if wanted is None or await self._mirrored(wanted) is not None:
                return mirrored
            self.revision = mirrored  # whether or not the remote can be asked for what is next
        self.asked_remote = True
        if wanted is not None:
            await revision_at(self._source, wanted, self._provider)
        self._source, revision = await revision_at(self._source, self._commit, self._provider)
        return revision

    async def _mirrored(self, commit: str) -> Revision | None:
        """A commit of the mirror; None where it is not mirrored, or the mirror is damaged: a fetch builds it anew."""
        try:
            return await self.mirror.revision(commit)
        except GitError:
            return None

    async def desired(
        self, app: App, capabilities: CapabilitiesSource | None = None, revision: Revision | None = None
    ) -> Desired:
        """What an app declares at a revision, by default the latest. `capabilities` as for the provider.

        Raises: GitError, RenderError: there is no revision yet, or it cannot be rendered; KubeError.
        """
        revision = revision or self.revision
        if revision is None:
            raise GitError(self.error or f"source {self.name} has not been fetched yet")
        return await self._provider.desired(self._source, app, revision, capabilities)

    @property
    def retry_after(self) -> timedelta | None:
        """Backoff before the next attempt: exponential, at most the interval or five minutes.

        None unless the last fetch failed.
        """
        if not self.failures:
            return None
        cap = min(max(self.interval, _MIN_BACKOFF), _MAX_BACKOFF)
        return timedelta(seconds=exponential_delay(self.failures, _MIN_BACKOFF.total_seconds(), cap.total_seconds()))


def _digest(source: Source) -> str:
    return hashlib.sha256(
        f"{source.address}\n{getattr(source, 'ref', '')}".encode(errors="surrogateescape")
    ).hexdigest()[:8]
