"""A plan: the writes of one pass. Each is recorded before it is made, and what came of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from driftd.model.drift import FieldDrift
from driftd.model.path import FieldPath
from driftd.model.plan import Outcome, Trigger
from driftd.model.resource import Manifest, ResourceRef


@dataclass(frozen=True, slots=True)
class Operation:
    """One write to one object. `plan` groups the operations of one pass; `outcome` is None until it is known.

    `fields` have the value before (live) and after (desired) of each field, those of Secrets redacted.
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


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """An operation with what it takes: the manifest to apply, and the undeclared fields to remove after that."""

    operation: Operation
    manifest: Manifest
    remove: tuple[FieldPath, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written, and why. `by` is `driftd` itself, or the person behind a command."""

    id: str
    app: str
    trigger: Trigger
    revision: str
    by: str
    writes: tuple[PlannedWrite, ...]
