"""What runs to an end and may be gone after it: Jobs, and Pods that are not restarted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftd.model.resource import ResourceRef


class RunState(StrEnum):
    """How far a run had come when it was last seen."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """The run of one object, as its manifest declares it: another manifest (by its `digest`, in hex) is another run.

    `message` is why it failed.
    """

    ref: ResourceRef
    digest: str
    state: RunState
    message: str
    time: datetime
