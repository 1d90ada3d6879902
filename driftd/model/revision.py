"""A state of Git, and what an app thinks of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit of a source. `time` is the author's, with its timezone; `ref` is what it was resolved from."""

    sha: str
    author: str
    time: datetime
    subject: str
    ref: str

    @property
    def short(self) -> str:
        return self.sha[:8]


class RevisionState(StrEnum):
    """How a revision did for one app."""

    SEEN = "seen"
    """Known from Git, not yet everything of it in the cluster."""
    APPLIED = "applied"
    """All of it is in the cluster, not yet healthy for long enough."""
    GOOD = "good"
    """Applied, in sync and healthy together for the app's `settle` time: what a rollback goes back to."""
    BAD = "bad"
    """It did not become healthy within the app's `deadline`."""


@dataclass(frozen=True, slots=True)
class GitLine:
    """The line of Git that declares a value, and who wrote it.

    The line alone is always known; `commit` and what follows are None where no blame could be had.
    """

    file: str
    line: int
    commit: str | None = None
    author: str | None = None
    time: datetime | None = None
    subject: str | None = None
