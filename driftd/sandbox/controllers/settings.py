"""How long things take."""

from __future__ import annotations

from dataclasses import dataclass

FAIL_ANNOTATION = "sandbox.driftd.io/fail"


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """Seconds, all of them. `enabled=False` leaves workloads alone: nothing rolls out, for scale runs."""

    pod_start: float = 0.3
    """From a pod's creation to its being ready, or to its first failure."""
    job_duration: float = 0.3
    """From a Job's pod running to its success."""
    enabled: bool = True
