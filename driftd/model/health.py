"""The health of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from driftd.model.resource import ResourceRef


class HealthState(StrEnum):
    """The health states of Argo CD and kstatus."""

    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"

    @property
    def failed(self) -> bool:
        """Whether waiting will not make it healthy."""
        return self is HealthState.DEGRADED


@dataclass(frozen=True, slots=True)
class Health:
    """The health of one object, and why it is not healthy.

    `own_pace` says that no deadline but the object's own applies: a Job that is running, a paused rollout, a deletion.
    `rollout` is set for a workload that is not healthy: it changes with each write that makes it roll out anew, and not
    when it is scaled.
    """

    ref: ResourceRef
    state: HealthState
    message: str = ""
    own_pace: bool = False
    rollout: str = ""


def describe(unhealthy: Sequence[Health]) -> str:
    """`Deployment.apps/web/web: 0 of 2 replicas are available (and 3 more)`."""
    first = unhealthy[0]
    text = f"{first.ref}: {first.message}" if first.message else f"{first.ref} is {first.state}"
    return text if len(unhealthy) == 1 else f"{text} (and {len(unhealthy) - 1} more)"
