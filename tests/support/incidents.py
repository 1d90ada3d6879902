"""Incidents for tests of the store."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.model.incident import Incident, Notification
from driftd.store import Store


async def save_incident(
    store: Store, incident: Incident, notification: Notification | None, channels: Sequence[str]
) -> None:
    """Writes an incident unconditionally, whatever the store has for its app and type."""
    told = (notification,) if notification is not None else ()
    await store.transition_incidents(incident.app, [(incident.type, lambda _: [(incident, told)])], channels)
