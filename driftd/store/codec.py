"""The types of the model as JSON, for the columns that hold documents.

Fields that an older driftd did not write are read as their defaults; fields that are no longer known are ignored.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from driftd.model.command import Command
from driftd.model.drift import Verdict
from driftd.model.hook import Hook
from driftd.model.incident import Incident, Notification
from driftd.model.next_deployment import PendingRevision
from driftd.model.operation import Operation
from driftd.model.plan import Action, Hold
from driftd.model.resource import Source, Undetermined
from driftd.model.revision import Revision


@dataclass(frozen=True, slots=True)
class ReportFrame:
    """A report without its verdicts and its time."""

    cluster: str
    revision: Revision | None
    error: str | None
    hooks: tuple[Hook, ...] = ()
    pending: PendingRevision | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """One manifest of a set: the digest of its object, where in Git it was declared, and what is undetermined of it."""

    digest: str
    source: Source
    undetermined: tuple[Undetermined, ...] = ()


@dataclass(frozen=True, slots=True)
class Sourced:
    """Of a verdict, where in Git its object is declared."""

    source: Source | None


PLACED: TypeAdapter[tuple[Placed, ...]] = TypeAdapter(tuple[Placed, ...])
PLACED_ONE: TypeAdapter[Placed] = TypeAdapter(Placed)
REVISION: TypeAdapter[Revision] = TypeAdapter(Revision)
HOLD: TypeAdapter[Hold] = TypeAdapter(Hold)
VERDICT: TypeAdapter[Verdict] = TypeAdapter(Verdict)
SOURCED: TypeAdapter[Sourced] = TypeAdapter(Sourced)
FRAME: TypeAdapter[ReportFrame] = TypeAdapter(ReportFrame)
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
OPERATION: TypeAdapter[Operation] = TypeAdapter(Operation)
ACTION: TypeAdapter[Action] = TypeAdapter(Action)
INCIDENT: TypeAdapter[Incident] = TypeAdapter(Incident)
NOTIFICATION: TypeAdapter[Notification] = TypeAdapter(Notification)
DETAILS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
TIME: TypeAdapter[datetime] = TypeAdapter(datetime)
