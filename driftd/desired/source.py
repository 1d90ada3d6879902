"""The state of one Git source: the latest fetched revision, and the error of the last fetch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from driftd.desired.provider import DesiredStateProvider
from driftd.desired.state import CapabilitiesSource, Desired
from driftd.git.mirror import Mirror
from driftd.git.source import GitSource
from driftd.model.app import App
from driftd.model.backoff import exponential_delay
from driftd.model.errors import DriftdError, GitError
from driftd.model.revision import Revision

_MIN_BACKOFF = timedelta(seconds=2)
_MAX_BACKOFF = timedelta(minutes=5)


class SourceState:
    """Fetches on request. The last fetched revision stays in use while Git is unreachable."""

    def __init__(
        self, source: GitSource, provider: DesiredStateProvider, interval: timedelta, now: Callable[[], datetime]
    ) -> None:
        self.name = source.name
        self.interval = interval
        self.revision: Revision | None = None
        self.error: str | None = None
        self.failures = 0
        self.last_attempt: datetime | None = None
        self.asked = 0
        self.answered = 0
        """The number of the last fetch that was begun, and of the last one that has ended, well or not."""
        self._source = source
        self._provider = provider
        self._now = now

    @property
    def mirror(self) -> Mirror:
        """The local mirror of the source."""
        return self._provider.mirror(self._source)

    async def resume(self) -> None:
        """Restores the revision that an earlier process has mirrored, if there is one."""
        try:
            self.revision = await self.mirror.resolve()
        except GitError:
            self.revision = None  # nothing is mirrored yet: the first fetch reports any error

    async def fetch(self) -> bool:
        """Fetches from the remote. True if the revision is new. A failure is stored in `error`, never raised."""
        self.last_attempt = self._now()
        self.asked += 1
        number, before = self.asked, self.revision
        try:
            self.revision = await self._provider.fetch(self._source)
        except DriftdError as error:
            self.error = str(error)
            self.failures += 1
            return False
        finally:
            self.answered = max(self.answered, number)
        self.error = None
        self.failures = 0
        return before is None or before.sha != self.revision.sha

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
