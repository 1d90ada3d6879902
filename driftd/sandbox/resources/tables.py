"""Tables and metadata-only responses, which `kubectl get` and caches request by their Accept header.

Source: k8s.io/kubernetes/pkg/printers/internalversion.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from driftd.sandbox.document import Object
from driftd.sandbox.resources.custom import CustomKind
from driftd.sandbox.resources.kinds import Kind

Cell = Callable[[Object], Any]

_META = {"apiVersion": "meta.k8s.io/v1"}


def _at(obj: Any, *path: str) -> Any:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def _number(*path: str) -> Cell:
    return lambda obj: _at(obj, *path) or 0


def _text(*path: str) -> Cell:
    return lambda obj: _at(obj, *path) or "<none>"


def _ratio(ready: tuple[str, ...], desired: tuple[str, ...]) -> Cell:
    return lambda obj: f"{_at(obj, *ready) or 0}/{_at(obj, *desired) or 0}"


def _pod_ready(obj: Object) -> str:
    statuses = _at(obj, "status", "containerStatuses") or []
    return f"{sum(bool(s.get('ready')) for s in statuses)}/{len(_at(obj, 'spec', 'containers') or [])}"


def _pod_status(obj: Object) -> str:
    for status in _at(obj, "status", "containerStatuses") or []:
        if reason := _at(status, "state", "waiting", "reason"):
            return str(reason)
    return str(_at(obj, "status", "phase") or "Unknown")


def _pod_restarts(obj: Object) -> int:
    return sum(s.get("restartCount", 0) for s in _at(obj, "status", "containerStatuses") or [])


def _ports(obj: Object) -> str:
    ports = _at(obj, "spec", "ports") or []
    texts = [f"{p['port']}{':' + str(p['nodePort']) if p.get('nodePort') else ''}/{p.get('protocol')}" for p in ports]
    return ",".join(texts) or "<none>"


_COLUMNS: dict[tuple[str, str], list[tuple[str, str, Cell]]] = {
    ("apps", "Deployment"): [
        ("Ready", "string", _ratio(("status", "readyReplicas"), ("spec", "replicas"))),
        ("Up-to-date", "integer", _number("status", "updatedReplicas")),
        ("Available", "integer", _number("status", "availableReplicas")),
    ],
    ("apps", "StatefulSet"): [("Ready", "string", _ratio(("status", "readyReplicas"), ("spec", "replicas")))],
    ("apps", "ReplicaSet"): [
        ("Desired", "integer", _number("spec", "replicas")),
        ("Current", "integer", _number("status", "replicas")),
        ("Ready", "integer", _number("status", "readyReplicas")),
    ],
    ("apps", "DaemonSet"): [
        ("Desired", "integer", _number("status", "desiredNumberScheduled")),
        ("Current", "integer", _number("status", "currentNumberScheduled")),
        ("Ready", "integer", _number("status", "numberReady")),
    ],
    ("batch", "Job"): [("Completions", "string", _ratio(("status", "succeeded"), ("spec", "completions")))],
    ("batch", "CronJob"): [
        ("Schedule", "string", _text("spec", "schedule")),
        ("Suspend", "boolean", lambda obj: bool(_at(obj, "spec", "suspend"))),
    ],
    ("", "Pod"): [
        ("Ready", "string", _pod_ready),
        ("Status", "string", _pod_status),
        ("Restarts", "integer", _pod_restarts),
    ],
    ("", "Service"): [
        ("Type", "string", _text("spec", "type")),
        ("Cluster-IP", "string", _text("spec", "clusterIP")),
        ("Port(s)", "string", _ports),
    ],
    ("", "ConfigMap"): [("Data", "integer", lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {}))],
    ("", "Secret"): [
        ("Type", "string", _text("type")),
        ("Data", "integer", lambda obj: len(obj.get("data") or {})),
    ],
    ("", "Namespace"): [("Status", "string", _text("status", "phase"))],
    ("", "Event"): [
        ("Type", "string", _text("type")),
        ("Reason", "string", _text("reason")),
        ("Message", "string", _text("message")),
    ],
}


def table(kind: Kind, objects: list[Object], metadata: Object, now: datetime, include: str) -> Object:
    """A Table of objects. `include` is the content of each row: Object, Metadata (the default) or None."""
    columns = _columns(kind)
    definitions = [
        {"name": name, "type": form, "format": "name" if name == "Name" else "", "description": "", "priority": 0}
        for name, form, _ in columns
    ]
    rows = []
    for obj in objects:
        row: Object = {"cells": [_age(obj, now) if form == "date" else cell(obj) for _, form, cell in columns]}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            row["object"] = partial(obj)
        rows.append(row)
    for definition in definitions:
        if definition["type"] == "date":
            definition["type"] = "string"
    return {"kind": "Table", **_META, "metadata": metadata, "columnDefinitions": definitions, "rows": rows}


def partial(obj: Object) -> Object:
    return {"kind": "PartialObjectMetadata", **_META, "metadata": obj["metadata"]}


def _columns(kind: Kind) -> list[tuple[str, str, Cell]]:
    name: list[tuple[str, str, Cell]] = [("Name", "string", lambda obj: obj["metadata"]["name"])]
    age: list[tuple[str, str, Cell]] = [("Age", "date", lambda _obj: None)]
    if isinstance(kind, CustomKind) and kind.columns:
        own = [
            (c["name"], "string" if c["type"] == "date" else c["type"], _text(*c["jsonPath"].lstrip(".").split(".")))
            for c in kind.columns
            if not c.get("priority") and c["jsonPath"] != ".metadata.creationTimestamp"
        ]
        return [*name, *own, *age]
    return [*name, *_COLUMNS.get((kind.resource.group, kind.resource.kind), []), *age]


def _age(obj: Object, now: datetime) -> str:
    created = obj["metadata"].get("creationTimestamp")
    if not created:
        return "<unknown>"
    seconds = max(int((now.astimezone(UTC) - datetime.fromisoformat(created)).total_seconds()), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
