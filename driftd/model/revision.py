"""Revisions of a source, and their states for an app."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit of a source. `time` is the author's, with its timezone; `ref` is the ref that resolved to it."""

    sha: str
    author: str
    time: datetime
    subject: str
    ref: str

    @property
    def short(self) -> str:
        return self.sha[:8]


class RevisionState(StrEnum):
    """The state of a revision for one app."""

    SEEN = "seen"
    """Known from Git, and not yet completely in the cluster."""
    APPLIED = "applied"
    """It came completely into the cluster, and has not been healthy for long enough."""
    GOOD = "good"
    """Applied, and then all of it healthy for the app's `settle` time: the target of a rollback. It stays good."""
    BAD = "bad"
    """Applied, and then not healthy within the app's `deadline`."""


@dataclass(frozen=True, slots=True)
class GitLine:
    """The line in Git that declares a value, and its author.

    `commit` and the fields after it are None if `git blame` has no answer.
    """

    file: str
    line: int
    commit: str | None = None
    author: str | None = None
    time: datetime | None = None
    subject: str | None = None
