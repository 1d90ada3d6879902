"""One Git source as the engine sees it: the latest revision that could be had, and why there is no later one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from driftd.git.mirror import Mirror
from driftd.model.errors import DriftdError, GitError
from driftd.model.revision import Revision

_MAX_BACKOFF = timedelta(minutes=5)


class SourceState:
    """Fetches on request. What was fetched before stays in use while Git cannot be reached."""

    def __init__(self, name: str, mirror: Mirror, interval: timedelta, now: Callable[[], datetime]) -> None:
        self.name = name
        self.mirror = mirror
        self.interval = interval
        self.revision: Revision | None = None
        self.error: str | None = None
        self.failures = 0
        self.last_attempt: datetime | None = None
        self._now = now

    async def resume(self) -> None:
        """Takes up the revision that an earlier run has mirrored, if there is one."""
        try:
            self.revision = await self.mirror.resolve()
        except GitError:
            self.revision = None  # nothing mirrored yet: the first fetch says what is wrong, if something is

    async def fetch(self) -> bool:
        """Asks the remote. True if there is a new revision. A failure is kept in `error` and never raised."""
        self.last_attempt = self._now()
        before = self.revision
        try:
            self.revision = await self.mirror.fetch()
        except DriftdError as error:
            self.error = str(error)
            self.failures += 1
            return False
        self.error = None
        self.failures = 0
        return before is None or before.sha != self.revision.sha

    @property
    def retry_after(self) -> timedelta | None:
        """After a failure: how long to wait before asking again, ever longer but never longer than the interval
        (or five minutes). None while all is well."""
        if not self.failures:
            return None
        return min(
            timedelta(seconds=2 ** min(self.failures, 10)), max(self.interval, timedelta(seconds=2)), _MAX_BACKOFF
        )
