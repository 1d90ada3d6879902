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
from driftd.model.incident import (
    MAX_LISTED_ENDED,
    MAX_LISTED_OBJECTS,
    Ended,
    Incident,
    IncidentEvent,
    IncidentType,
    Notification,
    Resolution,
)
from driftd.store.incidents import Step


def transition(
    incident: Incident | None,
    finding: Finding | None,
    now: datetime,
    resolution: Resolution,
    ended: Sequence[Ended] = (),
) -> Step | None:
    """The incident after a finding, with the notifications that it takes. None: nothing changes.

    The same finding at another revision is kept without a notification: its resolution depends on the latest revision.
    `resolution` is how the incident ended where there is no finding any more, `ended` what of it is over now.
    """
    if finding is None:
        return resolved(incident, now, resolution, ended) if incident is not None else None
    if incident is None:
        opened = _opened(finding, now)
        return opened, (_notification(IncidentEvent.OPENED, opened, now),)
    if incident.fingerprint == finding.fingerprint and not ended:
        if finding.revision in (None, incident.revision):
            return None
        return replace(incident, revision=finding.revision), ()
    changed = replace(
        incident,
        revision=finding.revision,
        fingerprint=finding.fingerprint,
        updated=now,
        message=finding.message,
        ended=_with(incident.ended, ended),
        **_extent(finding.resources),
    )
    return changed, (_notification(IncidentEvent.CHANGED, changed, now),)


def resolved(incident: Incident, now: datetime, resolution: Resolution, ended: Sequence[Ended] = ()) -> Step:
    """The incident at its end."""
    over = replace(
        incident, updated=now, resolved=now, resolution=resolution, ended=_with(incident.ended, ended)
    )  # fmt: skip
    return over, (_notification(IncidentEvent.RESOLVED, over, now),)


def passed(finding: Finding, ended: Sequence[Ended], now: datetime) -> Step:
    """An incident of its own for drift that came and went before people were told: from its beginning to its end."""
    opened = _opened(finding, now)
    over, told = resolved(opened, now, overall(ended), ended)
    return over, (_notification(IncidentEvent.OPENED, opened, now), *told)


def overall(ended: Sequence[Ended]) -> Resolution:
    """How an incident ended whose objects ended so; REVERTED where none is known."""
    ways = {one.resolution for one in ended} or {Resolution.REVERTED}
    return ways.pop() if len(ways) == 1 else Resolution.MIXED


def of_type(incidents: Sequence[Incident], type_: IncidentType) -> Incident | None:
    """The open incident of one type; there is at most one per app."""
    return next((incident for incident in incidents if incident.type is type_), None)


def _opened(finding: Finding, now: datetime) -> Incident:
    return Incident(
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


def _with(before: Sequence[Ended], more: Sequence[Ended]) -> tuple[Ended, ...]:
    return (*before, *more)[-MAX_LISTED_ENDED:]


def _extent(resources: tuple[Verdict, ...]) -> dict[str, Any]:
    """The first objects, and the numbers of all."""
    counts = Counter(verdict.status for verdict in resources)
    fields = sum(len(verdict.fields) for verdict in resources)
    return {"resources": resources[:MAX_LISTED_OBJECTS], "counts": dict(counts), "fields": fields}


def _notification(event: IncidentEvent, incident: Incident, now: datetime) -> Notification:
    return Notification(id=uuid.uuid4().hex, event=event, incident=incident, time=now)
