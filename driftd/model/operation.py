"""A plan: the writes of one pass. Each is recorded before it is made, and what came of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from driftd.model.claim import Claim
from driftd.model.drift import FieldDrift, FieldOwner, Status, Verdict
from driftd.model.plan import Outcome, Trigger
from driftd.model.resource import Manifest, ResourceRef, Source


@dataclass(frozen=True, slots=True)
class Operation:
    """One write to one object. `plan` groups the operations of one pass; `outcome` is None until it is known.

    `fields` have the value before (live) and after (desired) of each field, and who had changed it; values of Secrets
    are redacted. `status` is that of the object before: DRIFTED, or MISSING with who deleted it in `deleted_by`.
    `source` is where Git declares the object. `trigger` is HEAL where somebody's change is put back, whatever else the
    plan does. `taken_from` is the deployer from which the write takes the object over.
    """

    id: str
    app: str
    cluster: str
    plan: str
    trigger: Trigger
    revision: str
    by: str
    ref: ResourceRef
    api_version: str
    fields: tuple[FieldDrift, ...]
    planned: datetime
    outcome: Outcome | None = None
    error: str | None = None
    finished: datetime | None = None
    status: Status = Status.DRIFTED
    source: Source | None = None
    deleted_by: FieldOwner | None = None
    taken_from: Claim | None = None

    @property
    def drift(self) -> Verdict:
        """What the write was to put back: the object's drift before it, without what a revision brings."""
        verdict = Verdict(self.ref, self.api_version, self.status, self.source, self.fields, by=self.deleted_by)
        by_hand = tuple([field for field in self.fields if not field.behind])
        return replace(verdict, fields=by_hand) if by_hand else verdict


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """An operation with the manifest that says how its fields, or a missing object, are to be.

    `deployer` is who is to own a missing object, where that is somebody else than driftd.
    """

    operation: Operation
    manifest: Manifest
    deployer: FieldOwner | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written, and why. `by` is `driftd` itself, or the person behind a command."""

    id: str
    app: str
    trigger: Trigger
    revision: str
    by: str
    writes: tuple[PlannedWrite, ...]
