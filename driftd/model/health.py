"""Whether what runs, runs well."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from driftd.model.resource import ResourceRef


class HealthState(StrEnum):
    """The health of one object, in the words of Argo CD and kstatus."""

    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"

    @property
    def failed(self) -> bool:
        """Whether it will not get better by waiting."""
        return self is HealthState.DEGRADED


@dataclass(frozen=True, slots=True)
class Health:
    """The health of one object, and the sentence that says why it is not healthy."""

    ref: ResourceRef
    state: HealthState
    message: str = ""
