"""SARIF 2.1.0, for code scanning: a result per field that differs, at the line of Git that declares it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import driftd
from driftd.cli.output import describe
from driftd.cli.output.json import dump
from driftd.model.document import timestamp
from driftd.model.drift import Change, FieldDrift, Status, Verdict
from driftd.model.report import Report
from driftd.model.text import one_line, visible

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_RULES = {
    "changed": ("FieldChanged", "A field differs from what Git declares.", "error"),
    "removed": ("FieldRemoved", "A field that Git declares is gone from the cluster.", "error"),
    "added": ("FieldAdded", "Somebody set a field that Git does not declare.", "error"),
    "drifted": ("ObjectDrifted", "An object differs from what Git declares.", "error"),
    "missing": ("ObjectMissing", "An object that Git declares is not in the cluster.", "error"),
    "orphaned": ("ObjectOrphaned", "An object is in the cluster and no longer in Git.", "warning"),
    "unknown": ("ObjectUnknown", "Whether an object is in sync could not be told.", "warning"),
}
_INDEX = {rule: index for index, rule in enumerate(_RULES)}
_CHANGES = {Change.CHANGED: "changed", Change.REMOVED: "removed", Change.ADDED: "added"}


def render(reports: Sequence[Report]) -> str:
    """The reports as one SARIF run. Objects that are in sync or ignored have no result."""
    run = {
        "tool": {
            "driver": {
                "name": "driftd",
                "version": driftd.__version__,
                "semanticVersion": driftd.__version__,
                "rules": [_rule(rule) for rule in _RULES],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report) for report in reports],
        "results": [result for report in reports for result in _results(report)],
    }
    return dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(rule: str) -> dict[str, Any]:
    name, text, level = _RULES[rule]
    return {
        "id": rule,
        "name": name,
        "shortDescription": {"text": text},
        "defaultConfiguration": {"level": level},
    }


def _invocation(report: Report) -> dict[str, Any]:
    """An app of which something could not be told is a failed execution: what it lacks was not put right."""
    invocation: dict[str, Any] = {
        "executionSuccessful": not report.undecided,
        "endTimeUtc": timestamp(report.time),
        "properties": {
            "app": one_line(report.app),
            "cluster": one_line(report.cluster),
            "revision": report.revision.sha if report.revision else None,
        },
    }
    if report.error is not None:
        message = f"{one_line(report.app)}: {visible(report.error)}"
        invocation["toolExecutionNotifications"] = [{"level": "error", "message": {"text": message}}]
    return invocation


def _results(report: Report) -> Iterator[dict[str, Any]]:
    for verdict in report.verdicts:
        name = describe.object_name(verdict)
        left = f"; {describe.left_to(verdict.left_to)}" if verdict.left_to is not None else ""
        if verdict.status is Status.DRIFTED and verdict.fields:
            for field in verdict.fields:
                text = f"{name}: {describe.field_sentence(field)}{left}"
                yield _result(report, verdict, _CHANGES[field.change], text, field)
            if verdict.error:
                yield _result(report, verdict, str(Status.UNKNOWN), f"{name}: {visible(verdict.error)}", None)
        elif verdict.status not in (Status.IN_SYNC, Status.IGNORED):
            reason = visible(verdict.error) if verdict.error else describe.STATUS_MEANS.get(verdict.status, "drifted")
            yield _result(report, verdict, str(verdict.status), f"{name}: {reason}{left}", None)


def _result(report: Report, verdict: Verdict, rule: str, text: str, field: FieldDrift | None) -> dict[str, Any]:
    path = describe.path(field.path) if field else ""
    location: dict[str, Any] = {
        "logicalLocations": [
            {
                "name": one_line(verdict.ref.name),
                "fullyQualifiedName": one_line(f"{report.cluster}/{verdict.ref}") + (f"#{path}" if path else ""),
                "kind": "resource",
            }
        ]
    }
    line = field.git if field and field.git else verdict.source
    if line:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(line.file), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": max(line.line, 1)},
        }
    identity = f"{report.app}\n{report.cluster}\n{verdict.ref}\n{rule}\n{path}"
    return {
        "ruleId": rule,
        "ruleIndex": _INDEX[rule],
        "level": _RULES[rule][2],
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"driftd/v1": hashlib.sha256(identity.encode(errors="surrogatepass")).hexdigest()[:32]},
    }


def _uri(file: str) -> str:
    """A relative reference (RFC 3986): a colon in its first segment would make it a scheme."""
    # Bytes of a file name that are no UTF-8 are surrogates in Python; surrogates of another origin are no bytes.
    try:
        name = file.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        name = file.encode(errors="replace")
    return quote(name, safe="/@!$&'()*+,;=-._~")
