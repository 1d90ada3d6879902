"""What driftd remembers: revisions, verdicts, actions, holds, incidents, and the outbox of what is to be told."""

from driftd.store.records import (
    Backlog,
    Delivery,
    DeliveryState,
    HistoryEntry,
    HistoryKind,
    Pruned,
    RevisionRecord,
)
from driftd.store.retention import Retention
from driftd.store.store import Store

__all__ = [
    "Backlog",
    "Delivery",
    "DeliveryState",
    "HistoryEntry",
    "HistoryKind",
    "Pruned",
    "Retention",
    "RevisionRecord",
    "Store",
]
