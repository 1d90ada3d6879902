"""From a report to what is to be done about it."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from driftd.model.drift import Status, Verdict
from driftd.model.plan import SYSTEM_ACTOR, Hold, Mode
from driftd.model.report import Report
from driftd.model.resource import ResourceRef
from driftd.policy.decide import acts_unasked, repairable

T0 = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

statuses = st.lists(st.sampled_from(list(Status)), max_size=8)


def report(statuses: list[Status], error: str | None = None) -> Report:
    verdicts = tuple(
        Verdict(ResourceRef("", "ConfigMap", "web", f"c{number}"), "v1", status)
        for number, status in enumerate(statuses)
    )
    return Report("web", "prod", None, verdicts, T0, error)


def hold(by: str) -> Hold:
    return Hold("web", "a" * 40, "b" * 40, "d", "not healthy", by, T0)


def test_only_a_healed_app_is_written_to_unasked() -> None:
    """In mode approve driftd finishes the rollback that it began itself, and nothing else."""
    assert {mode for mode in Mode if acts_unasked(mode, None)} == {Mode.HEAL}
    assert {mode for mode in Mode if acts_unasked(mode, hold("ann"))} == {Mode.HEAL}
    assert {mode for mode in Mode if acts_unasked(mode, hold(SYSTEM_ACTOR))} == {Mode.HEAL, Mode.APPROVE}


@given(statuses)
def test_all_is_put_back_that_differs_and_nothing_else(found: list[Status]) -> None:
    """Drifted and missing objects; what is unknown, ignored or orphaned is left alone."""
    repaired = [verdict.status for verdict in repairable(report(found))]
    assert repaired == [status for status in found if status in (Status.DRIFTED, Status.MISSING)]


@given(statuses)
def test_an_app_that_could_not_be_rendered_is_never_written_to(found: list[Status]) -> None:
    """Half of what Git declares is not what Git declares: neither unasked nor asked."""
    assert repairable(report(found, "app/bad.yaml:3:1: not YAML")) == ()
