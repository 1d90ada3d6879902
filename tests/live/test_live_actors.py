"""Attribution of changes that the object itself does not attribute."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.owner_changes import Keys, lost_fields
from driftd.diff.ownership import ManagedFieldsEntry
from driftd.kube.cached_object import CachedObject
from driftd.live.actors import ActorLog
from driftd.model.audit import ApiPath, AuditEvent
from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.path import FieldPath
from driftd.model.resource import ResourceRef

REF = ResourceRef("", "ConfigMap", "shop", "web")
URL = ApiPath("", "configmaps", "shop", "web")
T0 = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PATH: FieldPath = ("data", "currency")


def _object(
    *managed: tuple[str, datetime | None, dict[str, Any]], versions: Sequence[str] = (), subresource: str | None = None
) -> CachedObject:
    fields = [
        {
            "manager": manager,
            "operation": "Update",
            "fieldsV1": owned,
            "time": time.isoformat() if time else None,
            "apiVersion": versions[number] if versions else "v1",
            "subresource": subresource,
        }
        for number, (manager, time, owned) in enumerate(managed)
    ]
    metadata = {"name": "web", "resourceVersion": "1", "managedFields": fields}
    return CachedObject(REF, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


def _verdict(change: Change, by: FieldOwner | None = None) -> Verdict:
    drift = FieldDrift(PATH, change, "EUR", None if change is Change.REMOVED else "USD", PATH, by)
    return Verdict(REF, "v1", Status.DRIFTED, None, (drift,))


def _write(
    user: str,
    manager: str,
    seconds: float,
    *,
    verb: str = "patch",
    source: str | None = None,
    subresource: str | None = None,
) -> AuditEvent:
    """A write that took ten milliseconds, so many seconds after T0."""
    time = T0 + timedelta(seconds=seconds)
    return AuditEvent(URL, verb, user, source, manager, time, time + timedelta(milliseconds=10), subresource)


BEFORE = _object(("pipeline", T0, {"f:data": {"f:currency": {}, "f:other": {}}}))


def test_a_removal_is_by_the_manager_that_gained_a_field_in_the_same_change() -> None:
    """Somebody removed a key and set another one, in one edit."""
    after = _object(("pipeline", T0, {"f:data": {"f:other": {}}}), ("kubectl-edit", T0, {"f:data": {"f:added": {}}}))
    actors = ActorLog()
    actors.record_change(REF, BEFORE, after, T0)
    # The pipeline's own entry changed too, by losing the field: that is not its own write.
    (verdict,) = actors.attribute([_verdict(Change.REMOVED)])
    by = verdict.fields[0].by
    assert by is not None
    assert by.manager == "kubectl-edit"


def test_a_removal_that_left_no_entry_is_by_the_user_in_the_audit_log() -> None:
    """managedFields lost the field and gained nothing."""
    actors = ActorLog()
    actors.record_change(REF, BEFORE, _object(("pipeline", T0, {"f:data": {"f:other": {}}})), T0)
    assert actors.attribute([_verdict(Change.REMOVED)])[0].fields[0].by is None
    actors.record_audit(REF, _write("grace", "kubectl-patch", 1, source="10.0.0.7"))
    by = actors.attribute([_verdict(Change.REMOVED)])[0].fields[0].by
    assert by is not None
    assert (by.manager, by.user, by.source, by.verb) == ("kubectl-patch", "grace", "10.0.0.7", "patch")


@pytest.mark.parametrize(
    ("writes", "user"),
    [
        ([("ada", -300), ("grace", 0.3)], "grace"),
        ([("ada", -0.2), ("grace", 0.3)], "grace"),
        ([("ada", 0.1), ("grace", 0.7)], "grace"),  # the entry is of the last write that set something
        ([("grace", 0.7), ("ada", 1.2)], "grace"),
        ([("grace", 0.999)], "grace"),
        ([("grace", -0.005)], "grace"),  # it was still under way as the second began
        ([("ada", -0.2)], None),
        ([("ada", 1.2)], None),
    ],
)
def test_the_audit_log_names_the_user_of_the_very_write_that_set_the_field(
    writes: Sequence[tuple[str, float]], user: str | None
) -> None:
    """Of writes with one tool, the one in the field's own second; and nobody, until its event is in the log."""
    actors = ActorLog()
    for name, seconds in writes:
        actors.record_audit(REF, _write(name, "kubectl-edit", seconds))
    actors.record_audit(REF, _write("bot", "some-controller", 0))
    by = actors.attribute([_verdict(Change.CHANGED, FieldOwner("kubectl-edit", "Update", time=T0))])[0].fields[0].by
    assert by is not None
    assert by.user == user


def test_nobody_is_named_for_a_removal_until_that_very_write_is_in_the_audit_log() -> None:
    """Its event may come seconds later: until then there is only that of the write which set the field, just before."""
    actors = ActorLog()
    actors.record_audit(REF, _write("ada", "pipeline", 0.3))
    actors.record_change(
        REF, BEFORE, _object(("pipeline", T0, {"f:data": {"f:other": {}}})), T0 + timedelta(seconds=0.9)
    )
    assert actors.attribute([_verdict(Change.REMOVED)])[0].fields[0].by is None
    actors.record_audit(REF, _write("grace", "kubectl-patch", 0.88))
    by = actors.attribute([_verdict(Change.REMOVED)])[0].fields[0].by
    assert by is not None
    assert (by.user, by.manager) == ("grace", "kubectl-patch")


def test_of_two_removals_each_is_by_its_own_user() -> None:
    """The first user is not named for the second removal while the audit log lacks the event of that one."""
    first, second = T0 + timedelta(seconds=5), T0 + timedelta(seconds=5.5)
    keys = [{"f:currency": {}, "f:a": {}, "f:b": {}}, {"f:currency": {}, "f:a": {}}, {"f:a": {}}]
    versions = [_object(("pipeline", T0, {"f:data": owned})) for owned in keys]
    actors = ActorLog()
    actors.record_change(REF, versions[0], versions[1], first)
    actors.record_change(REF, versions[1], versions[2], second)
    actors.record_audit(REF, _write("ada", "kubectl-patch", 4.98))
    assert actors.attribute([_verdict(Change.REMOVED)])[0].fields[0].by is None
    actors.record_audit(REF, _write("grace", "kubectl-patch", 5.48))
    by = actors.attribute([_verdict(Change.REMOVED)])[0].fields[0].by
    assert by is not None
    assert by.user == "grace"


def test_a_status_update_of_a_controller_is_no_removal() -> None:
    """It changes no declared field, however near in time it is."""
    actors = ActorLog()
    actors.record_change(REF, BEFORE, _object(("pipeline", T0, {"f:data": {"f:other": {}}})), T0 + timedelta(seconds=5))
    actors.record_audit(
        REF, _write("system:kube-controller-manager", "kube-controller-manager", 5, subresource="status")
    )
    assert actors.attribute([_verdict(Change.REMOVED)])[0].fields[0].by is None


def test_an_owner_without_a_time_gets_the_time_at_which_it_was_observed() -> None:
    """`kubectl scale` leaves such an entry."""
    untimed = FieldOwner("kubectl", "Update")
    actors = ActorLog()
    actors.record_change(REF, BEFORE, _object(("kubectl", None, {"f:data": {"f:currency": {}}})), T0)
    by = actors.attribute([_verdict(Change.CHANGED, untimed)])[0].fields[0].by
    assert by is not None
    assert (by.time, by.user) == (T0, None)
    actors.record_audit(REF, _write("ada", "kubectl-edit", -0.5))
    actors.record_audit(REF, _write("grace", "kubectl", -0.6))
    by = actors.attribute([_verdict(Change.CHANGED, untimed)])[0].fields[0].by
    assert by is not None
    assert by.user == "grace"


def test_the_user_who_deleted_a_missing_object_comes_from_the_audit_log() -> None:
    """The object itself does not exist any more."""
    actors = ActorLog()
    missing = Verdict(REF, "v1", Status.MISSING, None)
    assert actors.attribute([missing])[0].by is None
    actors.record_audit(REF, _write("grace", "kubectl", 0, verb="delete"))
    by = actors.attribute([missing])[0].by
    assert by is not None
    assert (by.user, by.operation) == ("grace", "Delete")


def test_the_log_of_an_object_is_bounded() -> None:
    """An object that changes all the time does not fill the memory."""
    actors = ActorLog()
    for second in range(1000):
        actors.record_audit(REF, _write(f"user-{second}", "kubectl", 10 * second))
    by = FieldOwner("kubectl", "Update", time=T0)
    assert actors.attribute([_verdict(Change.CHANGED, by)])[0].fields[0].by == by


def test_an_entry_of_the_same_manager_with_another_api_version_is_no_change() -> None:
    """A manager that applied by two versions has two entries: neither is taken for a change of the other."""
    lost = {"f:data": {"f:currency": {}, "f:a": {}}}
    one, two = {"f:data": {"f:a": {}}}, {"f:data": {"f:b": {}}}
    versions = ("v1", "v2", "v1")
    old = _object(("helm", T0, lost), ("helm", T0, two), versions=versions)
    new = _object(
        ("helm", T0, one), ("helm", T0, two), ("kubectl-edit", T0, {"f:data": {"f:c": {}}}), versions=versions
    )
    actors = ActorLog()
    actors.record_change(REF, old, new, T0)
    by = actors.attribute([_verdict(Change.REMOVED)])[0].fields[0].by
    assert by is not None
    assert by.manager == "kubectl-edit"


def test_the_versions_of_a_large_object_are_not_kept() -> None:
    """Sixteen of each would fill the memory; they are compared at once."""
    filling = {f"f:{random.Random(number).getrandbits(128):x}": {} for number in range(500)}
    old = _object(("pipeline", T0, {"f:data": {"f:currency": {}, **filling}}))
    new = _object(("pipeline", T0, {"f:data": filling}), ("kubectl-edit", T0, {"f:data": {"f:added": {}}}))
    actors = ActorLog()
    actors.record_change(REF, old, new, T0)
    assert [change._versions for change in actors._changes[REF]] == [None]
    by = actors.attribute([_verdict(Change.REMOVED)])[0].fields[0].by
    assert by is not None
    assert by.manager == "kubectl-edit"


def test_a_change_of_the_status_alone_is_not_recorded() -> None:
    """The many status updates of a controller do not push out a manual change."""
    old = _object(("pipeline", T0, {"f:data": {"f:currency": {}, "f:other": {}}}))
    edited = _object(("pipeline", T0, {"f:data": {"f:other": {}}}), ("kubectl-edit", T0, {"f:data": {"f:added": {}}}))
    actors = ActorLog()
    actors.record_change(REF, old, edited, T0)
    for second in range(100):
        report = [("controller", T0 + timedelta(seconds=at), {"f:status": {}}) for at in (second, second + 1)]
        before, after = (_object(entry, subresource="status") for entry in report)
        actors.record_change(REF, before, after, T0)
    by = actors.attribute([_verdict(Change.REMOVED)])[0].fields[0].by
    assert by is not None
    assert by.manager == "kubectl-edit"


_FIELDS = st.recursive(
    st.just({}), lambda below: st.dictionaries(st.sampled_from([".", "f:a", "f:b", "k:{}"]), below), max_leaves=8
).map(lambda fields: _tidy(fields))  # noqa: PLW0108  # it is defined below
_ENTRIES = st.lists(
    st.builds(
        lambda who, second, fields: ManagedFieldsEntry(
            FieldOwner(who, "Update", time=T0 + timedelta(seconds=second)), "v1", fields
        ),
        st.sampled_from(["one", "two"]),
        st.integers(0, 1),
        _FIELDS,
    ),
    max_size=3,
    unique_by=lambda entry: entry.owner.manager,
)


def _tidy(fields: dict[str, Any]) -> dict[str, Any]:
    """As FieldsV1 is: `.` is empty, and inside of a field."""
    return {key: _below(below) for key, below in fields.items() if key != "."}


def _below(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: {} if key == "." else _below(below) for key, below in fields.items()}


def _owned(entries: list[ManagedFieldsEntry]) -> set[Keys]:
    """Every field that some entry owns."""

    def within(fields: dict[str, Any], above: Keys) -> set[Keys]:
        owned: set[Keys] = set()
        for key, below in fields.items():
            owned |= {above} if key == "." else within(below, (*above, key)) if below else {(*above, key)}
        return owned

    return set().union(*(within(dict(entry.fields), ()) for entry in entries))


@given(_ENTRIES, _ENTRIES)
def test_lost_fields_are_those_that_were_owned_and_are_not(
    before: list[ManagedFieldsEntry], after: list[ManagedFieldsEntry]
) -> None:
    """Whoever owned them, and whatever else they own."""
    assert lost_fields(before, after) == _owned(before) - _owned(after)
