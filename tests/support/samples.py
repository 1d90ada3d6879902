"""Sample values of the model for tests of passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from driftd.model.drift import Change, FieldDrift, FieldOwner, Status, Verdict
from driftd.model.health import Health, HealthState
from driftd.model.operation import Operation
from driftd.model.plan import Action, Applied, Hold, Outcome, Trigger
from driftd.model.report import Report
from driftd.model.resource import Manifest, ResourceRef, Source
from driftd.model.revision import Revision

T0 = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def revision(number: int = 1) -> Revision:
    return Revision(f"{number:x}" * 40, "Ada <ada@example.com>", T0, f"Change number {number}", "branch main")


def ref(name: str = "web", kind: str = "ConfigMap", group: str = "") -> ResourceRef:
    return ResourceRef(group, kind, "web", name)


def field(live: Any = "by hand", by: str = "kubectl-edit", at: datetime = T0) -> FieldDrift:
    return FieldDrift(("data", "a"), Change.CHANGED, "1", live, ("data", "a"), FieldOwner(by, "Update", time=at))


def verdict(status: Status, name: str = "web", *fields: FieldDrift) -> Verdict:
    error = "not allowed to get it" if status is Status.UNKNOWN else None
    return Verdict(ref(name), "v1", status, Source("app/config.yaml", 1), fields, error)


def drifted(name: str = "web", live: Any = "by hand") -> Verdict:
    return verdict(Status.DRIFTED, name, field(live))


def report(*verdicts: Verdict, number: int | None = 1, error: str | None = None, time: datetime = T0) -> Report:
    return Report("web", "prod", revision(number) if number else None, verdicts, time, error)


def ailing(state: HealthState = HealthState.DEGRADED, message: str = "0 of 1 replicas are available") -> Health:
    return Health(ref("web", "Deployment", "apps"), state, message)


def action(*applied: Applied, trigger: Trigger = Trigger.HEAL) -> Action:
    return Action("web", trigger, revision().sha, "driftd", T0, T0, applied)


def wrote(name: str = "web") -> Applied:
    return Applied(ref(name), Outcome.CONFIGURED)


def failed(name: str = "web", error: str = "admission webhook denied it") -> Applied:
    return Applied(ref(name), Outcome.FAILED, error)


def operation(drift: Verdict, outcome: Outcome = Outcome.CONFIGURED, trigger: Trigger = Trigger.HEAL) -> Operation:
    """The write that was to put this drift right."""
    return Operation(
        id=f"{trigger}-{drift.ref.name}", app="web", cluster="prod", plan="p1", trigger=trigger,
        revision=revision().sha, by="driftd", ref=drift.ref, api_version=drift.api_version, fields=drift.fields,
        planned=T0, outcome=outcome, finished=T0, status=drift.status, source=drift.source,
    )  # fmt: skip


def hold(by: str = "driftd") -> Hold:
    return Hold("web", revision(1).sha, revision(2).sha, "d2", "not healthy within 10m", by, T0)


def manifest(kind: str, name: str = "web", api_version: str = "v1", **body: Any) -> Manifest:
    document = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **body}
    return Manifest.of(document, Source("app/all.yaml", 1))
