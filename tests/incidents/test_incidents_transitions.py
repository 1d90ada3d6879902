"""From findings to notifications."""

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
from driftd.model.incident import LISTED, Incident, IncidentEvent, IncidentType, Resolution
from driftd.model.revision import GitLine
from driftd.notify.message import compose
from tests.support.samples import SECOND, T0, drifted, field, report, revision, verdict

REVERTED = Resolution.REVERTED


def trouble(*resources: Verdict, number: int = 1) -> Finding:
    found = report(*resources, number=number)
    finding = drift_finding(PassRecord(found, found), resources, Fingerprints(drift_identity))
    assert finding is not None
    return finding


def opened(*resources: Verdict) -> Incident:
    news = transition(None, trouble(*resources), T0, REVERTED)
    assert news is not None
    return news[0]


def test_the_first_sight_opens_an_incident() -> None:
    """With what was found, and since when."""
    news = transition(None, trouble(drifted()), T0, REVERTED)
    assert news is not None
    incident, told = news
    assert told is not None
    assert (told.event, told.incident, incident.resources) == (IncidentEvent.OPENED, incident, (drifted(),))
    assert (incident.first_seen, incident.resolved, incident.resolution) == (T0, None, None)


def test_the_same_again_is_not_told_again() -> None:
    """Not even when somebody wrote the same value once more, or the line has moved in Git."""
    incident = opened(drifted())
    assert transition(incident, trouble(drifted()), T0 + SECOND, REVERTED) is None
    again = replace(field(by="kubectl-patch", at=T0 + SECOND), git=GitLine("app/config.yaml", 9))
    same = replace(drifted(), fields=(again,))
    assert transition(incident, trouble(same), T0 + SECOND, REVERTED) is None


def test_the_same_at_another_revision_is_kept_in_mind_and_not_told() -> None:
    """A commit that has nothing to do with it is no news, but how it ends is seen from there."""
    news = transition(opened(drifted()), trouble(drifted(), number=2), T0 + SECOND, REVERTED)
    assert news is not None
    assert news[0].revision == revision(2).sha
    assert news[1] is None


def test_an_incident_of_very_many_objects_lists_the_first_and_counts_all() -> None:
    """It is written and sent whole each time that it changes; the message and the webhook say how many there are."""
    many = [replace(drifted(), ref=replace(drifted().ref, name=f"web-{number}")) for number in range(LISTED + 7)]
    incident = opened(*many)
    assert incident.resources == tuple(many[:LISTED])
    assert (incident.counts, incident.objects, incident.fields) == ({Status.DRIFTED: 507}, 507, 507)
    news = transition(incident, trouble(*many[:3]), T0 + SECOND, REVERTED)
    assert news is not None
    changed, notification = news
    assert (changed.objects, changed.fields) == (3, 3)
    assert notification is not None
    assert "more_resources" not in notification_document(notification)
    document = notification_document(replace(notification, incident=incident))
    assert (len(document["resources"]), document["more_resources"]) == (500, 7)
    assert "507 objects (507 drifted), 507 fields" in compose(replace(notification, incident=incident)).headline


def test_another_value_changes_the_incident() -> None:
    """One incident, told again, with the time of its beginning."""
    incident = opened(drifted())
    news = transition(incident, trouble(drifted(live="another")), T0 + SECOND, REVERTED)
    assert news is not None
    assert news[1] is not None
    assert (news[0].id, news[0].first_seen, news[0].updated) == (incident.id, T0, T0 + SECOND)
    assert news[1].event is IncidentEvent.CHANGED
    assert news[0].fingerprint != incident.fingerprint


def test_the_end_is_told_once() -> None:
    """With how it ended; after that there is nothing to say."""
    news = transition(opened(drifted()), None, T0 + SECOND, Resolution.HEALED)
    assert news is not None
    assert news[1] is not None
    assert (news[1].event, news[0].resolution, news[0].resolved) == (
        IncidentEvent.RESOLVED, Resolution.HEALED, T0 + SECOND,
    )  # fmt: skip
    assert transition(None, None, T0 + 2 * SECOND, REVERTED) is None


def test_a_text_that_counts_on_is_no_change_where_there_is_a_cause() -> None:
    """`0 of 2`, then `1 of 2`: the same trouble."""
    first = Finding(IncidentType.UNHEALTHY, "web", "prod", None, message="0 of 2", cause="web=progressing")
    second = replace(first, message="1 of 2")
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != replace(first, cause="web=degraded").fingerprint
    assert replace(first, cause="").fingerprint != replace(second, cause="").fingerprint


def test_each_type_has_its_own_incident() -> None:
    """Two types with the same words are two troubles."""
    incident = opened(drifted())
    assert of_type([incident], IncidentType.DRIFT) is incident
    assert of_type([incident], IncidentType.SOURCE) is None
    drift = Finding(IncidentType.DRIFT, "web", "prod", None, message="x")
    assert drift.fingerprint != replace(drift, type=IncidentType.SOURCE).fingerprint


states = st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=20)


@given(states)
def test_people_hear_of_every_change_and_of_nothing_else(passes: list[str | None]) -> None:
    """Opened, then changed each time it is another, then resolved; over and over; each message under its own id."""
    incident: Incident | None = None
    told = []
    for number, live in enumerate(passes):
        found = trouble(drifted(live=live)) if live else None
        news = transition(incident, found, T0 + number * timedelta(seconds=1), REVERTED)
        if news is not None:
            assert news[1] is not None
            told.append(news[1])
            incident = news[0] if news[0].resolved is None else None
    expected, before = [], None
    for live in passes:
        if live != before:
            expected.append(
                IncidentEvent.OPENED if before is None else IncidentEvent.CHANGED if live else IncidentEvent.RESOLVED
            )
        before = live
    assert [one.event for one in told] == expected
    assert len({one.id for one in told}) == len(told)


def test_an_object_that_is_missing_instead_of_changed_is_a_change() -> None:
    """The status counts."""
    incident = opened(drifted())
    news = transition(incident, trouble(verdict(Status.MISSING)), T0, REVERTED)
    assert news is not None
    assert news[1] is not None
