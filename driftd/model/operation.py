"""Operations: single writes to single objects, recorded before they are made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from driftd.model.drift import FieldDrift
from driftd.model.plan import Outcome, Trigger
from driftd.model.resource import ResourceRef


@dataclass(frozen=True, slots=True)
class Operation:
    """One write to one object.

    `id` is unique (the hex of a UUID); `plan`, in the same form, groups the operations of one pass. `by` is `driftd`
    itself, or the person behind a command. `fields` have each field's value before (live) and after (desired) the
    write; those of Secrets are redacted. `outcome` is None until it is known.
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
