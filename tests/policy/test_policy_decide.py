"""Which verdicts of a report are acted on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.model.drift import Status, Verdict
from driftd.model.plan import Mode
from driftd.model.report import Report
from driftd.model.resource import ResourceRef
from driftd.policy.decide import decide, sync_decision

T0 = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

statuses = st.lists(st.sampled_from(list(Status)), max_size=8)
errors = st.none() | st.just("app/bad.yaml:3:1: not YAML")


def report(statuses: list[Status], error: str | None = None) -> Report:
    verdicts = tuple(
        Verdict(ResourceRef("", "ConfigMap", "web", f"c{number}"), "v1", status)
        for number, status in enumerate(statuses)
    )
    return Report("web", "prod", None, verdicts, T0, error)


@given(statuses, errors, st.sampled_from([Mode.OBSERVE, Mode.APPROVE]))
def test_only_heal_mode_writes_without_a_command(found: list[Status], error: str | None, mode: Mode) -> None:
    """Observe and approve never act on their own, and give the reason."""
    decision = decide(mode, report(found, error))
    assert decision.act_on == ()
    assert decision.reason == f"the mode is {mode}"


@given(statuses)
def test_heal_mode_acts_on_all_that_differs_and_nothing_else(found: list[Status]) -> None:
    """Drifted and missing objects; what is unknown, ignored or orphaned is left alone."""
    decision = decide(Mode.HEAL, report(found))
    assert [v.status for v in decision.act_on] == [s for s in found if s in (Status.DRIFTED, Status.MISSING)]
    assert bool(decision.reason) is not bool(decision.act_on)


@given(statuses)
def test_an_app_that_could_not_be_rendered_is_never_written_to(found: list[Status]) -> None:
    """An incomplete desired state is never applied, with or without a command."""
    broken = report(found, "app/bad.yaml:3:1: not YAML")
    for decision in (decide(Mode.HEAL, broken), sync_decision(broken)):
        assert decision.act_on == ()
        assert decision.reason == "app/bad.yaml:3:1: not YAML"


@pytest.mark.parametrize("mode", list(Mode))
def test_nothing_is_done_where_nothing_differs(mode: Mode) -> None:
    """In sync is in sync in every mode."""
    assert decide(mode, report([Status.IN_SYNC, Status.IGNORED])).act_on == ()
    assert sync_decision(report([Status.IN_SYNC])).reason == "nothing differs"
