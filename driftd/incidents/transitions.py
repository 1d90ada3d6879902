"""From a finding to an incident's transition: it opens, changes, or is resolved. Pure."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from driftd.incidents.findings import Finding
from driftd.model.drift import Verdict
from driftd.model.incident import MAX_LISTED_OBJECTS, Incident, IncidentEvent, IncidentType, Notification, Resolution

Transition = tuple[Incident, Notification | None]
"""An incident after a transition, and the notification about it, if it takes one."""


def transition(
    incident: Incident | None, finding: Finding | None, now: datetime, resolution: Resolution
) -> Transition | None:
    """The incident after a finding, with the notification that it takes, if any. None: nothing changes.

    The same finding at another revision is kept without a notification: its resolution depends on the latest revision.
    `resolution` is how the incident ended where there is no finding any more.
    """
    if finding is None:
        if incident is None:
            return None
        ended = replace(incident, updated=now, resolved=now, resolution=resolution)
        return ended, _notification(IncidentEvent.RESOLVED, ended, now)
    if incident is None:
        opened = Incident(
            id=uuid.uuid4().hex,
            app=finding.app,
            cluster=finding.cluster,
            type=finding.type,
            revision=finding.revision,
            fingerprint=finding.fingerprint,
            first_seen=now,
            updated=now,
            message=finding.message,
            **_extent(finding.resources),
        )
        return opened, _notification(IncidentEvent.OPENED, opened, now)
    if incident.fingerprint == finding.fingerprint:
        if finding.revision in (None, incident.revision):
            return None
        return replace(incident, revision=finding.revision), None
    changed = replace(
        incident,
        revision=finding.revision,
        fingerprint=finding.fingerprint,
        updated=now,
        message=finding.message,
        **_extent(finding.resources),
    )
    return changed, _notification(IncidentEvent.CHANGED, changed, now)


def of_type(incidents: Sequence[Incident], type_: IncidentType) -> Incident | None:
    """The open incident of one type; there is at most one per app."""
    return next((incident for incident in incidents if incident.type is type_), None)


def _extent(resources: tuple[Verdict, ...]) -> dict[str, Any]:
    """The first objects, and the numbers of all."""
    counts = Counter(verdict.status for verdict in resources)
    fields = sum(len(verdict.fields) for verdict in resources)
    return {"resources": resources[:MAX_LISTED_OBJECTS], "counts": dict(counts), "fields": fields}


def _notification(event: IncidentEvent, incident: Incident, now: datetime) -> Notification:
    return Notification(id=uuid.uuid4().hex, event=event, incident=incident, time=now)
