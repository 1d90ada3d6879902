"""Symbols of statuses and changes, in Unicode and in ASCII."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from driftd.model.drift import Change, Status


@dataclass(frozen=True, slots=True)
class Symbols:
    status: Mapping[Status, str]
    change: Mapping[Change, str]
    good: str
    bad: str
    unknown: str


UNICODE = Symbols(
    status={
        Status.IN_SYNC: "✓",
        Status.DRIFTED: "≠",
        Status.MISSING: "-",
        Status.ORPHANED: "+",
        Status.IGNORED: "·",
        Status.UNKNOWN: "?",
    },
    change={Change.CHANGED: "~", Change.REMOVED: "-", Change.ADDED: "+"},
    good="✓",
    bad="✗",
    unknown="?",
)
ASCII = Symbols(
    status={
        Status.IN_SYNC: "=",
        Status.DRIFTED: "!",
        Status.MISSING: "-",
        Status.ORPHANED: "+",
        Status.IGNORED: ".",
        Status.UNKNOWN: "?",
    },
    change={Change.CHANGED: "~", Change.REMOVED: "-", Change.ADDED: "+"},
    good="OK",
    bad="!!",
    unknown="??",
)
