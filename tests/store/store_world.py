"""The nouns that the store's tests speak of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import create_engine

from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.incident import Incident, IncidentEvent, IncidentType, Notification, Resolution
from driftd.model.path import ListKey
from driftd.model.report import Report
from driftd.model.resource import Manifest, ResourceRef, Source, digest
from driftd.model.revision import GitLine, Revision
from driftd.store.schema import metadata

T0 = datetime(2026, 11, 22, 8, 52, 11, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def empty(url: str) -> None:
    engine = create_engine(url)
    metadata.drop_all(engine)
    engine.dispose()


def revision(number: int = 1, subject: str = "Give web more replicas") -> Revision:
    return Revision(f"{number:040x}", "Ada <ada@example.com>", T0, subject, "main")


def manifest(name: str = "web", **spec: Any) -> Manifest:
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "web"}, "spec": spec}
    return Manifest.of(body, Source("apps/web/deploy.yaml", 3, 2, ("items", 0)))


def declared(number: int) -> tuple[str, list[Manifest]]:
    manifests = [manifest(replicas=number)]
    return digest(manifests), manifests


def field(live: Any = 5, manager: str = "kubectl-edit") -> FieldDrift:
    return FieldDrift(
        path=("spec", "template", "spec", "containers", ListKey((("name", "web"),)), "image"),
        change=Change.CHANGED,
        desired=3,
        live=live,
        at=("spec", "replicas"),
        by=FieldOwner(manager, "Update", time=T0),
        git=GitLine("apps/web/deploy.yaml", 14, "4f0c" * 10, "Ada", T0, "Give web more replicas"),
    )


def verdict(name: str = "web", status: Status = Status.IN_SYNC, *fields: FieldDrift) -> Verdict:
    return Verdict(
        ResourceRef("apps", "Deployment", "web", name), "apps/v1", status, Source("apps/web/deploy.yaml", 1), fields
    )


def report(*verdicts: Verdict, app: str = "web", minute: int = 0, error: str | None = None) -> Report:
    return Report(app, "prod", revision(), verdicts, T0 + minute * MINUTE, error)


def incident(
    number: int = 1, *, app: str = "web", about: IncidentType = IncidentType.DRIFT, resolved: bool = False
) -> Incident:
    return Incident(
        id=f"incident-{number}",
        app=app,
        cluster="prod",
        type=about,
        revision=revision().sha,
        fingerprint="f",
        first_seen=T0,
        updated=T0,
        resources=(verdict("web", Status.DRIFTED, field()),),
        resolution=Resolution.HEALED if resolved else None,
        resolved=T0 + MINUTE if resolved else None,
    )


def notification(about: Incident, event: IncidentEvent, number: int = 1) -> Notification:
    return Notification(f"{about.id}-{number}", event, about, T0)
