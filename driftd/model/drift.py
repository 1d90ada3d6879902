"""What differs between Git and the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftd.model.health import HealthState
from driftd.model.path import DocumentPath, FieldPath
from driftd.model.resource import Json, ResourceRef, Source
from driftd.model.revision import GitLine, Revision


class Status(StrEnum):
    """The verdict on one object."""

    IN_SYNC = "in_sync"
    DRIFTED = "drifted"
    MISSING = "missing"
    ORPHANED = "orphaned"
    IGNORED = "ignored"
    UNKNOWN = "unknown"

    @property
    def label(self) -> str:
        """The status in words: `in sync`."""
        return self.replace("_", " ")


class Change(StrEnum):
    """What happened to one field, seen from Git."""

    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class FieldOwner:
    """Who last set a field, from `metadata.managedFields`.

    `user`, `source` (an address) and `verb` are known where audit events arrive.
    """

    manager: str
    operation: str
    subresource: str | None = None
    user: str | None = None
    time: datetime | None = None
    source: str | None = None
    verb: str | None = None


@dataclass(frozen=True, slots=True)
class FieldDrift:
    """One field that differs. Values of Secrets are already redacted: no raw one is ever put in here.

    `at` is where the declared value (or its nearest declared ancestor) stands in the manifest.
    `desired` is None for an added field and `live` for a removed one.
    """

    path: FieldPath
    change: Change
    desired: Json
    live: Json
    at: DocumentPath
    by: FieldOwner | None = None
    git: GitLine | None = None
    detail: tuple[str, ...] = ()
    """What differs inside two lists or maps, a line for each difference; empty for other values."""
    behind: bool = False
    """Nobody's hand: the live value is what the revision of the verdict's `behind` declared."""

    @property
    def of_pods(self) -> bool:
        """Whether it is about a workload's pods (`pods[name=…]`): applying the workload again would not change it."""
        return self.path[:1] == ("pods",)


@dataclass(frozen=True, slots=True)
class Behind:
    """Live is what an earlier revision declared: `commits` later ones that touch the object's file are not applied."""

    commits: int
    revision: Revision


@dataclass(frozen=True, slots=True)
class Verdict:
    """What driftd knows of one object. `error` is set exactly when `status` is UNKNOWN.

    `behind` is set where all that differs, or the part of it whose fields say so, is Git having moved on.
    """

    ref: ResourceRef
    api_version: str
    status: Status
    source: Source | None = None
    fields: tuple[FieldDrift, ...] = ()
    error: str | None = None
    behind: Behind | None = None
    by: FieldOwner | None = None
    """Who deleted a missing object, where the audit log tells."""
    ignored: tuple[FieldDrift, ...] = ()
    health: HealthState | None = None
    """None where the object is not there, or could not be read."""
    health_message: str = ""
