"""What a query answers, ready to be shown by a table, a page or a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from driftd.model.document import timestamp
from driftd.model.drift import Status
from driftd.model.health import HealthState
from driftd.model.plan import Hold, Mode
from driftd.model.revision import RevisionState
from driftd.store.records import Backlog


@dataclass(frozen=True, slots=True)
class AppStatus:
    """What is known of one app. None stands for "not known yet"; `error` is why its last pass could not tell.

    `health` is the worst among its objects.
    """

    app: str
    cluster: str
    mode: Mode
    revision: str | None = None
    state: RevisionState | None = None
    health: HealthState | None = None
    counts: Mapping[Status, int] | None = None
    hold: Hold | None = None
    last_pass: datetime | None = None
    error: str | None = None


def outbox_document(backlog: Mapping[str, Backlog]) -> list[dict[str, Any]]:
    """What waits in the outbox, by channel, as `status -o json` and the HTTP API have it."""
    return [
        {
            "channel": channel,
            "pending": waiting.pending,
            "failed": waiting.failed,
            "oldest": timestamp(waiting.oldest) if waiting.oldest else None,
        }
        for channel, waiting in sorted(backlog.items())
    ]


class Tone(StrEnum):
    """How a line of the history is meant."""

    GOOD = "good"
    BAD = "bad"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One thing that happened to an app: `what` in a word or two ("drift", "healed", "revision good")."""

    time: datetime
    what: str
    tone: Tone
    revision: str | None
    by: str | None
    detail: str = ""
