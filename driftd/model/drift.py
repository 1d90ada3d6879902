"""Verdicts on objects, and the fields in which they differ from Git."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from driftd.model.claim import Claim
from driftd.model.health import HealthState
from driftd.model.path import DocumentPath, FieldPath
from driftd.model.resource import Json, ResourceRef, Source
from driftd.model.revision import GitLine, Revision

FIELD_MANAGER = "driftd"
"""The manager under which driftd writes; every write uses it unless told otherwise."""

DELETION_TIMESTAMP: FieldPath = ("metadata", "deletionTimestamp")


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
    """How the live field differs from Git."""

    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class FieldOwner:
    """Who last set a field, from `metadata.managedFields`.

    `user`, `source` (an address) and `verb` come from audit events.
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
    """One field that differs. Values of Secrets are redacted before it is created.

    `at` is the position of the declared value (or of its nearest declared ancestor) in the manifest. `desired` is None
    for an added field, `live` for a removed one.
    """

    path: FieldPath
    change: Change
    desired: Json
    live: Json
    at: DocumentPath
    by: FieldOwner | None = None
    git: GitLine | None = None
    behind: bool = False
    """No manual change: the live value is the one that the revision in the verdict's `behind` declared."""
    no_such_field: bool = False
    """The kind has no such field: the API server drops it, whoever applies it."""
    undetermined: bool = False
    """Git alone does not say the declared value, or not all of it: another rendering of the same files has another."""
    partly_ignored: bool = False
    """A value that can only be written as a whole, a part of which a rule leaves to others."""
    autoscaled: bool = False
    """A number of replicas that an autoscaler sees to, though it is not within its range, or its range is not known."""
    stand_in: bool = False
    """The declared value, or some of it, stands in for what its deployer writes: encrypted, or a variable."""
    left_to: str | None = None
    """Whom driftd leaves it to, and why, where it repairs the app and not this field. None where it does, or repairs
    nothing."""

    @property
    def of_pods(self) -> bool:
        """Whether the field is of a workload's pods (`pods[name=…]`): applying the workload would not change it."""
        return self.path[:1] == ("pods",)

    @property
    def of_deletion(self) -> bool:
        """Whether the field says that the object is being deleted: nothing takes that back."""
        return self.path == DELETION_TIMESTAMP


@dataclass(frozen=True, slots=True)
class Behind:
    """The live object is that of an earlier revision: `commits` later ones of the object's file are not applied yet."""

    commits: int
    revision: Revision


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one object. `error` says why it is UNKNOWN, and of any other status what could not be judged.

    Nothing is IN_SYNC or IGNORED of which a part could not be judged. `refused` says why the API server would refuse to
    apply the manifest, where that is known.

    `behind` is set if all differences, or those of the fields that are marked so, are later changes in Git.
    """

    ref: ResourceRef
    api_version: str
    status: Status
    source: Source | None = None
    fields: tuple[FieldDrift, ...] = ()
    error: str | None = None
    behind: Behind | None = None
    by: FieldOwner | None = None
    """Who deleted a missing object, according to the audit log."""
    ignored: tuple[FieldDrift, ...] = ()
    health: HealthState | None = None
    """None where the object is not there, or could not be read."""
    health_message: str = ""
    refused: str | None = None
    left_to: str | None = None
    """Whom driftd leaves the object to as a whole, and why, where it repairs the app. None where it does not."""
    claim: Claim | None = None
    """Whose the object is by its marks, where driftd deploys the app: another deployer's, which keeps it, too."""
    namespace_deleted: datetime | None = None
    """Since when the object's namespace is being deleted: until it is gone, nothing can be created in it."""

    @property
    def is_being_deleted(self) -> bool:
        """Whether the object or its namespace is on the way out: what is written to it goes with it."""
        return self.namespace_deleted is not None or any(field.of_deletion for field in self.fields)

    def with_unjudged(self, reason: str) -> Verdict:
        """This verdict where a part of the object could not be judged: what differs stays told."""
        reason = f"{self.error}; {reason}" if self.error else reason
        if self.status in (Status.IN_SYNC, Status.IGNORED):
            return replace(self, status=Status.UNKNOWN, ignored=(), error=reason)
        return replace(self, error=reason)
