"""The JSON form of reports, shared by every output and receiver: see "The JSON document" in docs/cli.md."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from driftd.model.bounded import MAX_OBJECT_FIELDS, bounded
from driftd.model.claim import Claim
from driftd.model.drift import FieldDrift, FieldOwner, Verdict
from driftd.model.hook import Hook
from driftd.model.incident import Ended, Incident, Notification
from driftd.model.next_deployment import PendingRevision
from driftd.model.operation import Operation
from driftd.model.path import format_path
from driftd.model.preview import Effect, FieldPreview, ObjectPreview, Preview
from driftd.model.report import Report
from driftd.model.resource import Source
from driftd.model.reverted import RevertedEdit
from driftd.model.revision import GitLine


def check_document(reports: Iterable[Report]) -> dict[str, Any]:
    """The document of `check -o json`, which has everything.

    These keys are only present if they have a value: an app's `error`, `hooks`, `pending` and `preview`, an object's or
    a field's `behind`, the `origin` of objects that Kustomize or Helm rendered, an object's count of `ignored` fields
    and its `undetermined` ones, the `by` of a deleted object, an object's `namespace_deleted` and `claim`, an object's
    or a field's `left_to`, a field's `no_such_field`, an owner's `source` and `verb`.
    """
    return {"version": 1, "apps": [_report(report) for report in reports]}


def reports_document(reports: Iterable[Report]) -> dict[str, Any]:
    """The same as the HTTP API has it: of each app no more fields than one document should have."""
    apps = [_report(report, MAX_OBJECT_FIELDS) for report in reports]
    return {"version": 1, "apps": [{**app, "resources": bounded(app["resources"])} for app in apps]}


def _report(report: Report, max_fields: int | None = None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "app": report.app,
        "revision": report.revision.sha if report.revision else None,
        "in_sync": report.in_sync,
        "counts": {str(status): count for status, count in report.counts.items()},
        "resources": [verdict_document(verdict, max_fields) for verdict in report.verdicts],
    }
    if report.error is not None:
        document["error"] = report.error
    if report.hooks:
        document["hooks"] = [_hook(hook) for hook in report.hooks]
    if report.pending is not None:
        document["pending"] = pending_document(report.pending)
    if report.preview is not None:
        document["preview"] = _preview(report.preview)
    return document


def pending_document(pending: PendingRevision) -> dict[str, Any]:
    """What an app's deployer has yet to deploy."""
    return {
        "deployer": pending.deployer,
        "revision": pending.revision,
        "commits": pending.commits,
        "reason": pending.reason,
    }


def _preview(preview: Preview) -> dict[str, Any]:
    """What deploying the revision would do: an app's `preview`."""
    document: dict[str, Any] = {
        "base": preview.base_name,
        "base_revision": preview.base.sha if preview.base else None,
        "counts": {str(effect): count for effect, count in preview.counts.items()},
        "objects": [_previewed(each) for each in preview.objects],
    }
    return document if preview.error is None else {**document, "error": preview.error}


def _previewed(each: ObjectPreview) -> dict[str, Any]:
    verdict = each.verdict
    document: dict[str, Any] = {
        "api_version": verdict.api_version,
        "kind": verdict.ref.kind,
        "namespace": verdict.ref.namespace,
        "name": verdict.ref.name,
        "effect": str(each.effect) if each.effect else None,
        "source": _source(verdict.source) if verdict.source else None,
        "fields": [_previewed_field(field, gone=each.effect is Effect.REMOVED) for field in each.fields],
        "error": verdict.error,
    }
    return document if each.kept is None else {**document, "kept": each.kept}


def _previewed_field(field: FieldPreview, *, gone: bool) -> dict[str, Any]:
    drift = field.drift
    return {
        "path": format_path(drift.path),
        "effect": str(field.effect),
        "before": field.before,
        "live": drift.live,
        "after": None if gone else field.after,
        "by": _owner(drift.by) if drift.by else None,
    }


def _hook(hook: Hook) -> dict[str, Any]:
    return {
        "api_version": hook.api_version,
        "kind": hook.kind,
        "namespace": hook.namespace,
        "name": hook.name,
        "when": hook.when,
        "source": _source(hook.source),
    }


def notification_document(notification: Notification) -> dict[str, Any]:
    """The body of the webhook."""
    incident = notification.incident
    resources, ended = _objects(incident)
    document = {
        "version": 1,
        "id": notification.id,
        "incident": incident.id,
        "event": str(notification.event),
        "type": str(incident.type),
        "app": incident.app,
        "cluster": incident.cluster,
        "revision": incident.revision,
        "resolution": str(incident.resolution) if incident.resolution else None,
        "first_seen": timestamp(incident.first_seen),
        "time": timestamp(notification.time),
        "message": incident.message,
        "resources": resources,
        "ended": ended,
    }
    omitted = incident.objects - len(incident.resources)
    return {**document, "more_resources": omitted} if omitted > 0 else document


def incident_document(incident: Incident) -> dict[str, Any]:
    """An incident as the HTTP API has it."""
    resources, ended = _objects(incident)
    return {
        "incident": incident.id,
        "app": incident.app,
        "cluster": incident.cluster,
        "type": str(incident.type),
        "revision": incident.revision,
        "opened": timestamp(incident.first_seen),
        "updated": timestamp(incident.updated),
        "resolved": timestamp(incident.resolved) if incident.resolved else None,
        "resolution": str(incident.resolution) if incident.resolution else None,
        "message": incident.message,
        "objects": incident.objects,
        "resources": resources,
        "ended": ended,
    }


def _objects(incident: Incident) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The objects that differ, and those whose drift is over: with no more fields than one document should have."""
    documents = [verdict_document(verdict, MAX_OBJECT_FIELDS) for verdict in incident.resources]
    objects = bounded([*documents, *(ended_document(one, MAX_OBJECT_FIELDS) for one in incident.ended)])
    return objects[: len(documents)], objects[len(documents) :]


def ended_document(ended: Ended, max_fields: int | None = None) -> dict[str, Any]:
    """Drift of one object that is over: as it was, and how, when and by whom it ended."""
    return {
        **verdict_document(ended.verdict, max_fields),
        "resolution": str(ended.resolution),
        "ended": timestamp(ended.time),
        "ended_by": ended.by,
        "operation": ended.operation,
        **({"taken_from": _claim(ended.taken_from)} if ended.taken_from is not None else {}),
    }


def reverted_document(edit: RevertedEdit) -> dict[str, Any]:
    """An edit that was put back before a pass saw it: drift of one object as it was, and its end.

    `live` is what each field had. `seconds` has milliseconds.
    """
    return {
        **verdict_document(edit.verdict, MAX_OBJECT_FIELDS),
        "resolution": "reverted",
        "began": timestamp(edit.began),
        "ended": timestamp(edit.ended),
        "seconds": round(edit.seconds, 3),
        "put_back_by": _owner(edit.put_back_by) if edit.put_back_by else None,
    }


def operation_document(operation: Operation) -> dict[str, Any]:
    """A write to one object as the HTTP API has it: `desired` was to replace `live`."""
    return {
        "operation": operation.id,
        "plan": operation.plan,
        "app": operation.app,
        "cluster": operation.cluster,
        "trigger": str(operation.trigger),
        "revision": operation.revision,
        "by": operation.by,
        "api_version": operation.api_version,
        "kind": operation.ref.kind,
        "namespace": operation.ref.namespace,
        "name": operation.ref.name,
        "status": str(operation.status),
        "source": _source(operation.source) if operation.source else None,
        "deleted_by": _owner(operation.deleted_by) if operation.deleted_by else None,
        "fields": [field_document(field) for field in operation.fields],
        "planned": timestamp(operation.planned),
        "outcome": str(operation.outcome) if operation.outcome else None,
        "error": operation.error,
        "finished": timestamp(operation.finished) if operation.finished else None,
        **({"taken_from": _claim(operation.taken_from)} if operation.taken_from is not None else {}),
    }


def verdict_document(verdict: Verdict, max_fields: int | None = None) -> dict[str, Any]:
    """The verdict on one object, with all of its fields or the first ones and the number of the others."""
    source, behind = verdict.source, verdict.behind
    document: dict[str, Any] = {
        "api_version": verdict.api_version,
        "kind": verdict.ref.kind,
        "namespace": verdict.ref.namespace,
        "name": verdict.ref.name,
        "status": str(verdict.status),
        "source": _source(source) if source else None,
        "fields": [field_document(field) for field in verdict.fields[:max_fields]],
        "error": verdict.error,
    }
    if max_fields is not None and (hidden := len(verdict.fields) - max_fields) > 0:
        document["more_fields"] = hidden
    if behind is not None:
        revision = behind.revision
        document["behind"] = {
            "commits": behind.commits,
            "revision": revision.sha,
            "time": timestamp(revision.time),
            "subject": revision.subject,
        }
    if verdict.ignored:
        document["ignored"] = len(verdict.ignored)
    if undetermined := [format_path(field.path) for field in verdict.ignored if field.undetermined]:
        document["undetermined"] = undetermined
    if verdict.namespace_deleted is not None:
        document["namespace_deleted"] = timestamp(verdict.namespace_deleted)
    if verdict.by is not None:
        document["by"] = _owner(verdict.by)
    if verdict.refused is not None:
        document["refused"] = verdict.refused
    if verdict.claim is not None:
        document["claim"] = _claim(verdict.claim)
    if verdict.left_to is not None:
        document["left_to"] = verdict.left_to
    return document


def _claim(claim: Claim) -> dict[str, str]:
    return {"deployer": claim.deployer, "by": claim.by}


def _source(source: Source) -> dict[str, Any]:
    document: dict[str, Any] = {"file": source.file, "line": source.line}
    return document if source.origin == "yaml" else {**document, "origin": source.origin}


def field_document(field: FieldDrift) -> dict[str, Any]:
    document: dict[str, Any] = {
        "path": format_path(field.path),
        "change": str(field.change),
        "desired": field.desired,
        "live": field.live,
        "by": _owner(field.by) if field.by else None,
        "git": _line(field.git) if field.git else None,
    }
    marks = {"behind": field.behind, "no_such_field": field.no_such_field}
    document |= {name: True for name, is_set in marks.items() if is_set}
    return document if field.left_to is None else {**document, "left_to": field.left_to}


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC, to the second, as Kubernetes writes it: `2026-11-22T08:52:11Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _owner(owner: FieldOwner) -> dict[str, Any]:
    document = {
        "manager": owner.manager,
        "operation": owner.operation,
        "subresource": owner.subresource,
        "user": owner.user,
        "time": timestamp(owner.time) if owner.time else None,
    }
    audit = {"source": owner.source, "verb": owner.verb}
    return document | {key: value for key, value in audit.items() if value is not None}


def _line(line: GitLine) -> dict[str, Any]:
    return {
        "file": line.file,
        "line": line.line,
        "commit": line.commit,
        "author": line.author,
        "time": timestamp(line.time) if line.time else None,
        "subject": line.subject,
    }
