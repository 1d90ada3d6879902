"""Takes audit events of the API server: `POST /audit`, an EventList of `audit.k8s.io/v1` (its audit webhook backend).

Source: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#webhook-backend
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from driftd.model.audit import ApiPath, AuditEvent

_WRITES = frozenset({"create", "update", "patch", "delete"})

MAX_BYTES = 64 * 1024 * 1024
"""What one request may hold: the API server sends at most 400 events at once, each bounded by its own limits."""


def writes(document: Any) -> Iterator[AuditEvent]:
    """The writes among the events of a decoded EventList. Raises: ValueError: it is none."""
    if not isinstance(document, dict) or document.get("kind") != "EventList":
        raise ValueError("an EventList of audit.k8s.io/v1 is wanted")
    if document.get("apiVersion") != "audit.k8s.io/v1":
        raise ValueError(f"audit.k8s.io/v1 is wanted, not {document.get('apiVersion')!r}")
    for event in document.get("items") or ():
        found = _write(event) if isinstance(event, dict) else None
        if found is not None:
            yield found


def _write(event: dict[str, Any]) -> AuditEvent | None:
    ref = event.get("objectRef")
    code = (event.get("responseStatus") or {}).get("code", 0)
    if event.get("stage") != "ResponseComplete" or event.get("verb") not in _WRITES or not isinstance(ref, dict):
        return None
    if not ref.get("name") or not ref.get("resource") or not 200 <= code < 300:
        return None
    query = parse_qs(urlsplit(event.get("requestURI") or "").query)
    if "dryRun" in query:
        return None
    time = _instant(event.get("requestReceivedTimestamp"))
    if time is None:
        return None
    # An impersonated user is who the request was made for; behind it stands who made it.
    user = (event.get("impersonatedUser") or event.get("user") or {}).get("username") or ""
    manager = (query.get("fieldManager") or [""])[0] or (event.get("userAgent") or "").partition("/")[0]
    return AuditEvent(
        path=ApiPath(ref.get("apiGroup") or "", ref["resource"], ref.get("namespace") or None, ref["name"]),
        verb=event["verb"],
        user=user,
        source=(event.get("sourceIPs") or [None])[0],
        manager=manager or None,
        time=time,
        answered=_instant(event.get("stageTimestamp")) or time,
        subresource=ref.get("subresource") or None,
    )


def _instant(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None
