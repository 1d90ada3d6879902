"""The health of assessed objects by their own status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from driftd.detect.assessor import Assessment
from driftd.health.workloads import health


def with_health(assessments: Sequence[Assessment]) -> list[Assessment]:
    """The assessments with the health of live objects."""
    return [_with_health(assessment) if assessment.live is not None else assessment for assessment in assessments]


def _with_health(assessment: Assessment) -> Assessment:
    verdict = assessment.verdict
    current = health(verdict.ref, assessment.live)
    verdict = replace(verdict, health=current.state, health_message=current.message)
    return replace(assessment, verdict=verdict, health=current)
