"""Writes that the API server's audit log reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_ZERO = timedelta()


@dataclass(frozen=True, slots=True)
class ApiPath:
    """An object as a URL of the API names it: by its resource's plural instead of its kind, and without a version."""

    group: str
    plural: str
    namespace: str | None
    name: str


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One write that went through. `source` is the address that it came from.

    It was received at `time` and answered at `answered`: in between it was written.
    """

    path: ApiPath
    verb: str
    user: str
    source: str | None
    manager: str | None
    time: datetime
    answered: datetime
    subresource: str | None = None

    def gap(self, start: datetime, length: timedelta = _ZERO) -> timedelta:
        """Time between the write and a span of time, whichever came first; zero where they overlap."""
        return max(start - self.answered, self.time - (start + length), _ZERO)
