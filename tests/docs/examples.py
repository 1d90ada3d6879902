"""The documents that the pages show, made by the code that makes the real ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from driftd.model.document import check_document, notification_document
from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.incident import Incident, IncidentEvent, IncidentType, Notification
from driftd.model.path import ListKey
from driftd.model.preview import Effect, FieldPreview, ObjectPreview, Preview
from driftd.model.report import Report
from driftd.model.resource import ResourceRef, Source
from driftd.model.revision import GitLine, Revision

_SHA = "4f0c1a2b9d3e5f60718293a4b5c6d7e8f9012345"
_EDITED = datetime(2026, 11, 22, 8, 52, 11, tzinfo=UTC)
_SEEN = datetime(2026, 11, 22, 8, 52, 14, tzinfo=UTC)
_COMMITTED = datetime(2026, 11, 20, 16, 4, tzinfo=UTC)
_FILE = "apps/web/deploy.yaml"


def check_example() -> dict[str, Any]:
    """What `check -o json` prints for a Deployment whose image somebody changed."""
    field = FieldDrift(
        path=("spec", "template", "spec", "containers", ListKey((("name", "web"),)), "image"),
        change=Change.CHANGED,
        desired="nginx:1.25",
        live="nginx:1.26",
        at=("spec", "template", "spec", "containers", 0, "image"),
        by=FieldOwner("kubectl-edit", "Update", time=_EDITED),
        git=GitLine(_FILE, 14, _SHA, "Ada Lovelace", _COMMITTED, "Serve the shop with nginx 1.25"),
    )
    verdict = Verdict(
        ResourceRef("apps", "Deployment", "web", "web"), "apps/v1", Status.DRIFTED, Source(_FILE, 1), (field,)
    )
    revision = Revision(_SHA, "Ada Lovelace", _COMMITTED, "Serve the shop with nginx 1.25", "main")
    return check_document([Report("web", "prod", revision, (verdict,), _SEEN)])


def preview_example() -> dict[str, Any]:
    """The `preview` of an app, whose merge undoes that somebody has scaled a Deployment."""
    field = FieldDrift(
        path=("spec", "replicas"),
        change=Change.CHANGED,
        desired=2,
        live=5,
        at=("spec", "replicas"),
        by=FieldOwner("kubectl", "Update", "scale", time=_EDITED),
    )
    verdict = Verdict(
        ResourceRef("apps", "Deployment", "web", "web"), "apps/v1", Status.DRIFTED, Source(_FILE, 1), (field,)
    )
    revision = Revision(_SHA, "Ada Lovelace", _COMMITTED, "Serve the shop with nginx 1.25", "main")
    told = ObjectPreview(verdict, None, (FieldPreview(field, Effect.UNDONE, 2),))
    report = Report("web", "prod", revision, (verdict,), _SEEN, preview=Preview("origin/main", revision, (told,)))
    [app] = check_document([report])["apps"]
    return {"preview": app["preview"]}


def webhook_example() -> dict[str, Any]:
    """The body of a webhook for an incident that was just opened, without its objects."""
    incident = Incident(
        id="0b1c2d3e4f5061728394a5b6c7d8e9f0",
        app="web",
        cluster="prod",
        type=IncidentType.DRIFT,
        revision=_SHA,
        fingerprint="",
        first_seen=_SEEN,
        updated=_SEEN,
        resources=(),
    )
    return notification_document(
        Notification("7f2c1d0e9b8a4c63a1f0e2d3c4b5a697", IncidentEvent.OPENED, incident, _SEEN)
    )
