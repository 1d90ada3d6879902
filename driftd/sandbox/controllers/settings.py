"""Durations of simulated rollouts."""

from __future__ import annotations

from dataclasses import dataclass

FAIL_ANNOTATION = "sandbox.driftd.io/fail"


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """All durations are in seconds. `enabled=False` turns workload controllers off, for scale runs."""

    pod_start: float = 0.3
    """From a pod's creation to its readiness or first failure."""
    job_duration: float = 0.3
    """From the start of a Job's pod to its success."""
    enabled: bool = True
