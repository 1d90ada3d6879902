"""From the passes over an app to what people are told: an incident opens, changes, and is resolved. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from driftd.model.document import verdict_document
from driftd.model.drift import Verdict
from driftd.model.fingerprint import Fingerprints
from driftd.model.incident import MAX_LISTED_OBJECTS, Incident, IncidentEvent, IncidentType, Notification, Resolution


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong now. `cause` is what it is known by: equal for two passes that found the same."""

    type: IncidentType
    app: str
    cluster: str
    revision: str | None
    resources: tuple[Verdict, ...] = ()
    message: str = ""
    cause: str = ""

    @property
    def fingerprint(self) -> str:
        """Equal for two passes that found the same; times and texts that only count on do not matter."""
        return hashlib.sha256(f"{self.type}\n{self.cause or self.message}".encode()).hexdigest()[:16]


def drift_finding(
    app: str, cluster: str, revision: str | None, differing: tuple[Verdict, ...], prints: Fingerprints
) -> Finding:
    """The trouble that objects of an app differ. `prints` are those of its drift before."""
    return Finding(IncidentType.DRIFT, app, cluster, revision, differing, cause=prints.of(differing))


def transition(
    incident: Incident | None, finding: Finding | None, now: datetime, resolution: Resolution
) -> tuple[Incident, Notification | None] | None:
    """What is new: None if nothing is, else the incident as it is now and what to tell of it, if anything.

    The same trouble at another revision is nothing to tell, but is kept: how it ends is seen from the latest revision.

    `resolution` says how it ended, should the trouble be over.
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


def identity(verdict: Verdict) -> object:
    """What of a verdict makes drift another one, for its fingerprint."""
    document = verdict_document(verdict)
    document.pop("source")
    document.pop("behind", None)
    for field in document["fields"]:
        field.pop("git")
        # When a field was set is no other drift; that its user came to be known is news.
        field["by"] = (field.pop("by") or {}).get("user")
    return document
