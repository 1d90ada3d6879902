"""Transitions of incidents: from findings to notifications."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from driftd.incidents.findings import Finding, PassRecord, drift_finding, drift_identity
from driftd.incidents.transitions import of_type, transition
from driftd.model.document import notification_document
from driftd.model.drift import Status, Verdict
from driftd.model.fingerprint import Fingerprints
from driftd.model.incident import MAX_LISTED_OBJECTS, Incident, IncidentEvent, IncidentType, Resolution
from driftd.model.revision import GitLine
from driftd.notify.message import compose
from tests.support.samples import SECOND, T0, drifted, field, report, revision, verdict

REVERTED = Resolution.REVERTED


def finding_of(*resources: Verdict, number: int = 1) -> Finding:
    current = report(*resources, number=number)
    finding = drift_finding(PassRecord(current), resources, Fingerprints(drift_identity))
    assert finding is not None
    return finding


def opened(*resources: Verdict) -> Incident:
    change = transition(None, finding_of(*resources), T0, REVERTED)
    assert change is not None
    return change[0]


def test_the_first_finding_opens_an_incident() -> None:
    """With its objects and its time."""
    change = transition(None, finding_of(drifted()), T0, REVERTED)
    assert change is not None
    incident, (notification,) = change
    assert (notification.event, notification.incident) == (IncidentEvent.OPENED, incident)
    assert incident.resources == (drifted(),)
    assert (incident.first_seen, incident.resolved, incident.resolution) == (T0, None, None)


def test_the_same_finding_is_not_notified_again() -> None:
    """Not even if somebody wrote the same value once more, or the line has moved in Git."""
    incident = opened(drifted())
    assert transition(incident, finding_of(drifted()), T0 + SECOND, REVERTED) is None
    again = replace(field(by="kubectl-patch", at=T0 + SECOND), git=GitLine("app/config.yaml", 9))
    same = replace(drifted(), fields=(again,))
    assert transition(incident, finding_of(same), T0 + SECOND, REVERTED) is None


def test_the_same_finding_at_another_revision_is_recorded_and_not_notified() -> None:
    """An unrelated commit is no change, but the resolution is judged from that revision on."""
    change = transition(opened(drifted()), finding_of(drifted(), number=2), T0 + SECOND, REVERTED)
    assert change is not None
    assert change[0].revision == revision(2).sha
    assert change[1] == ()


def test_an_incident_of_very_many_objects_lists_the_first_and_counts_all() -> None:
    """It is stored and sent whole at each change; the message and the webhook have the full count."""
    many = [
        replace(drifted(), ref=replace(drifted().ref, name=f"web-{number}")) for number in range(MAX_LISTED_OBJECTS + 7)
    ]
    incident = opened(*many)
    assert incident.resources == tuple(many[:MAX_LISTED_OBJECTS])
    assert (incident.counts, incident.objects, incident.fields) == ({Status.DRIFTED: 507}, 507, 507)
    change = transition(incident, finding_of(*many[:3]), T0 + SECOND, REVERTED)
    assert change is not None
    changed, (notification,) = change
    assert (changed.objects, changed.fields) == (3, 3)
    assert "more_resources" not in notification_document(notification)
    document = notification_document(replace(notification, incident=incident))
    assert (len(document["resources"]), document["more_resources"]) == (500, 7)
    assert "507 objects (507 drifted), 507 fields" in compose(replace(notification, incident=incident)).headline


def test_another_value_changes_the_incident() -> None:
    """One incident, notified again, with the time of its first finding."""
    incident = opened(drifted())
    change = transition(incident, finding_of(drifted(live="another")), T0 + SECOND, REVERTED)
    assert change is not None
    (notification,) = change[1]
    assert (change[0].id, change[0].first_seen, change[0].updated) == (incident.id, T0, T0 + SECOND)
    assert notification.event is IncidentEvent.CHANGED
    assert change[0].fingerprint != incident.fingerprint


def test_the_resolution_is_notified_once() -> None:
    """With its kind; after that there is no incident."""
    change = transition(opened(drifted()), None, T0 + SECOND, Resolution.HEALED)
    assert change is not None
    (notification,) = change[1]
    assert (notification.event, change[0].resolution, change[0].resolved) == (
        IncidentEvent.RESOLVED, Resolution.HEALED, T0 + SECOND,
    )  # fmt: skip
    assert transition(None, None, T0 + 2 * SECOND, REVERTED) is None


def test_another_message_is_no_change_if_the_cause_is_the_same() -> None:
    """`0 of 2`, then `1 of 2`: the same finding."""
    first = Finding(IncidentType.UNHEALTHY, "web", "prod", None, message="0 of 2", cause="web=progressing")
    second = replace(first, message="1 of 2")
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != replace(first, cause="web=degraded").fingerprint
    assert replace(first, cause="").fingerprint != replace(second, cause="").fingerprint


def test_each_type_has_its_own_incident() -> None:
    """Two types with the same message are two findings."""
    incident = opened(drifted())
    assert of_type([incident], IncidentType.DRIFT) is incident
    assert of_type([incident], IncidentType.SOURCE) is None
    drift = Finding(IncidentType.DRIFT, "web", "prod", None, message="x")
    assert drift.fingerprint != replace(drift, type=IncidentType.SOURCE).fingerprint


states = st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=20)


@given(states)
def test_every_change_is_notified_and_nothing_else(passes: list[str | None]) -> None:
    """OpenWorld, then changed with each other value, then resolved, repeatedly; each notification has its own id."""
    incident: Incident | None = None
    notifications = []
    for number, live in enumerate(passes):
        finding = finding_of(drifted(live=live)) if live else None
        change = transition(incident, finding, T0 + number * timedelta(seconds=1), REVERTED)
        if change is not None:
            notifications += change[1]
            incident = change[0] if change[0].resolved is None else None
    expected, before = [], None
    for live in passes:
        if live != before:
            expected.append(
                IncidentEvent.OPENED if before is None else IncidentEvent.CHANGED if live else IncidentEvent.RESOLVED
            )
        before = live
    assert [notification.event for notification in notifications] == expected
    assert len({notification.id for notification in notifications}) == len(notifications)


def test_an_object_that_is_missing_instead_of_changed_is_a_change() -> None:
    """The status is part of an incident's identity."""
    incident = opened(drifted())
    change = transition(incident, finding_of(verdict(Status.MISSING)), T0, REVERTED)
    assert change is not None
    assert change[1]
