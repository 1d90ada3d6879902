"""Who it was, where the object itself does not tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.path import FieldPath
from driftd.model.resource import ResourceRef
from driftd.reconcile.witness import AuditEvent, Witness

REF = ResourceRef("", "ConfigMap", "shop", "web")
T0 = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PATH: FieldPath = ("data", "currency")


def _object(*managed: tuple[str, datetime | None, dict[str, Any]]) -> dict[str, Any]:
    fields = [
        {"manager": manager, "operation": "Update", "fieldsV1": owned, "time": time.isoformat() if time else None}
        for manager, time, owned in managed
    ]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "managedFields": fields}}


def _verdict(change: Change, by: FieldOwner | None = None) -> Verdict:
    drift = FieldDrift(PATH, change, "EUR", None if change is Change.REMOVED else "USD", PATH, by)
    return Verdict(REF, "v1", Status.DRIFTED, None, (drift,))


BEFORE = _object(("pipeline", T0, {"f:data": {"f:currency": {}, "f:other": {}}}))


def test_a_removal_is_by_whom_managed_fields_gained_in_the_same_change() -> None:
    """Somebody took a key away and set another one, in one edit."""
    after = _object(("pipeline", T0, {"f:data": {"f:other": {}}}), ("kubectl-edit", T0, {"f:data": {"f:added": {}}}))
    witness = Witness()
    witness.saw(REF, BEFORE, after, T0)
    # The pipeline's own entry changed too, by losing the field: that is no deed of its.
    (verdict,) = witness.name([_verdict(Change.REMOVED)])
    by = verdict.fields[0].by
    assert by is not None
    assert by.manager == "kubectl-edit"


def test_a_removal_that_left_no_trace_is_by_the_user_whom_the_audit_log_names() -> None:
    """managedFields lost the field and gained nothing."""
    witness = Witness()
    witness.saw(REF, BEFORE, _object(("pipeline", T0, {"f:data": {"f:other": {}}})), T0)
    assert witness.name([_verdict(Change.REMOVED)])[0].fields[0].by is None
    witness.heard(AuditEvent(REF, "patch", "grace", "10.0.0.7", "kubectl-patch", T0 + timedelta(seconds=1)))
    by = witness.name([_verdict(Change.REMOVED)])[0].fields[0].by
    assert by is not None
    assert (by.manager, by.user, by.source, by.verb) == ("kubectl-patch", "grace", "10.0.0.7", "patch")


def test_the_audit_log_names_the_user_of_the_very_write_that_set_the_field() -> None:
    """Of two writes by two people with the same tool, the one at the field's own time."""
    witness = Witness()
    witness.heard(AuditEvent(REF, "patch", "ada", None, "kubectl-edit", T0 - timedelta(minutes=5)))
    witness.heard(AuditEvent(REF, "patch", "grace", None, "kubectl-edit", T0 + timedelta(milliseconds=300)))
    witness.heard(AuditEvent(REF, "update", "bot", None, "some-controller", T0))
    by = witness.name([_verdict(Change.CHANGED, FieldOwner("kubectl-edit", "Update", time=T0))])[0].fields[0].by
    assert by is not None
    assert by.user == "grace"


def test_an_owner_without_a_time_gets_the_time_at_which_it_was_observed() -> None:
    """`kubectl scale` leaves such an entry."""
    untimed = FieldOwner("kubectl", "Update")
    witness = Witness()
    witness.saw(REF, BEFORE, _object(("kubectl", None, {"f:data": {"f:currency": {}}})), T0)
    by = witness.name([_verdict(Change.CHANGED, untimed)])[0].fields[0].by
    assert by is not None
    assert by.time == T0


def test_who_deleted_a_missing_object_is_said_where_the_audit_log_tells() -> None:
    """The object itself can no longer."""
    witness = Witness()
    missing = Verdict(REF, "v1", Status.MISSING, None)
    assert witness.name([missing])[0].by is None
    witness.heard(AuditEvent(REF, "delete", "grace", "10.0.0.7", "kubectl", T0))
    by = witness.name([missing])[0].by
    assert by is not None
    assert (by.user, by.operation) == ("grace", "Delete")


def test_what_is_remembered_of_an_object_is_bounded() -> None:
    """An object that changes all the time does not fill the memory."""
    witness = Witness()
    for second in range(1000):
        witness.heard(AuditEvent(REF, "patch", f"user-{second}", None, "kubectl", T0 + timedelta(seconds=10 * second)))
    by = FieldOwner("kubectl", "Update", time=T0)
    assert witness.name([_verdict(Change.CHANGED, by)])[0].fields[0].by == by
