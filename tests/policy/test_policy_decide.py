"""From a report to what is to be done about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.model.drift import Behind, Change, FieldDrift, Status, Verdict
from driftd.model.path import FieldPath
from driftd.model.plan import SYSTEM_ACTOR, Hold, Mode
from driftd.model.report import Report
from driftd.model.resource import ResourceRef
from driftd.model.revision import Revision
from driftd.policy.decide import Left, acts_unasked, is_repairable, left_to, repairable, restorable, with_left

T0 = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

CHANGED = FieldDrift(("data", "a"), Change.CHANGED, "1", "2", ("data", "a"))

statuses = st.lists(st.sampled_from(list(Status)), max_size=8)


def report(statuses: list[Status], error: str | None = None) -> Report:
    verdicts = tuple(
        Verdict(
            ResourceRef("", "ConfigMap", "web", f"c{number}"), "v1", status,
            fields=(CHANGED,) if status is Status.DRIFTED else (),
        )
        for number, status in enumerate(statuses)
    )  # fmt: skip
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


def added(*path: str) -> FieldDrift:
    return FieldDrift(path, Change.ADDED, None, 1, ())


@pytest.mark.parametrize("change", list(Change))
@pytest.mark.parametrize("path", [("metadata", "finalizers"), ("metadata", "ownerReferences", 0, "uid"), ("pods", 0)])
def test_what_controllers_clean_up_by_and_running_pods_are_told_only(path: FieldPath, change: Change) -> None:
    """Whether they were added, changed or removed."""
    assert left_to(FieldDrift(path, change, None, None, ())) is not None


def test_a_switch_or_a_size_that_git_leaves_out_is_told_only() -> None:
    """Git does not say what it should be. What it declares, and a name that means something else, is put back."""
    for name in ("paused", "suspend", "replicas", "parallelism", "size"):
        assert left_to(added("spec", name)) is not None
        assert left_to(replace(added("spec", name), change=Change.CHANGED)) is None
    assert left_to(added("spec", "jobTemplate", "spec", "suspend")) is not None
    assert left_to(replace(added("spec", "scaling"), live={"bounds": {"minReplicas": 3}})) is not None
    assert left_to(replace(added("spec", "scaling"), live={"policy": "slow"})) is None
    sidecar = FieldDrift(("spec", "containers", 0), Change.ADDED, None, {"disk": {"size": 1}}, ())
    assert left_to(sidecar) is None, "all of it is new"
    assert left_to(added("metadata", "labels", "replicas")) is None
    assert left_to(added("data", "size")) is None
    assert left_to(added("spec", "hostNetwork")) is None


def test_a_whole_of_which_a_rule_leaves_a_part_to_others_is_told_only() -> None:
    """Writing the whole would overwrite the part."""
    assert left_to(replace(CHANGED, partly_ignored=True)) is not None


def test_what_git_alone_does_not_say_is_never_written_over_something() -> None:
    """A random argument in a list that differs would become another one; what a commit brings is made up once."""
    assert left_to(replace(CHANGED, undetermined=True)) is not None
    assert left_to(replace(CHANGED, undetermined=True, behind=True)) is not None
    gone = replace(CHANGED, change=Change.REMOVED, undetermined=True)
    assert left_to(gone) is not None
    assert left_to(replace(gone, behind=True)) is None
    assert left_to(replace(gone, behind=True, stand_in=True)) is not None


def test_where_somebody_else_deploys_what_git_has_moved_on_to_is_theirs() -> None:
    """Fields and objects that are behind; a hand's field beside them is put right. Where driftd deploys, all is its."""
    revision = Revision("a" * 40, "Ada", T0, "One", "main")
    field = replace(CHANGED, path=("data", "b"), behind=True)
    ref = ResourceRef("", "ConfigMap", "web", "c")
    drifted = Verdict(ref, "v1", Status.DRIFTED, fields=(CHANGED, field), behind=Behind(1, revision))
    missing = Verdict(ref, "v1", Status.MISSING, behind=Behind(1, revision))
    for deploys in (True, False):
        marked = [with_left(one, Left(), deploys=deploys) for one in (drifted, missing)]
        assert restorable(marked[0]) == (marked[0].fields if deploys else marked[0].fields[:1])
        assert is_repairable(marked[1]) is deploys


def test_an_object_of_which_nothing_may_be_put_right_is_not_written() -> None:
    """Of another, only that which may."""
    ref = ResourceRef("", "ConfigMap", "web", "c")
    kept = added("metadata", "finalizers")
    both = Verdict(ref, "v1", Status.DRIFTED, fields=(kept, CHANGED))
    assert restorable(both) == (CHANGED,)
    one = Report("web", "prod", None, (Verdict(ref, "v1", Status.DRIFTED, fields=(kept,)),), T0)
    assert repairable(one) == ()
