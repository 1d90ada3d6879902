"""The store: revisions, verdicts, operations, holds, commands, leases, incidents and their deliveries."""

from driftd.store.records import (
    AppSummary,
    Backlog,
    Delivery,
    DeliveryState,
    HistoryEntry,
    HistoryKind,
    Pruned,
    RevisionRecord,
    StoredVerdict,
    VerdictFilter,
)
from driftd.store.retention import Retention
from driftd.store.store import Store

__all__ = [
    "AppSummary",
    "Backlog",
    "Delivery",
    "DeliveryState",
    "HistoryEntry",
    "HistoryKind",
    "Pruned",
    "Retention",
    "RevisionRecord",
    "Store",
    "StoredVerdict",
    "VerdictFilter",
]
