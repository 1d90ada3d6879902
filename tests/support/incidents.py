"""Incidents for a store that has to have some."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.model.incident import Incident, Notification
from driftd.store import Store


async def save_incident(
    store: Store, incident: Incident, notification: Notification | None, channels: Sequence[str]
) -> None:
    """Writes an incident just so, whatever the store has of its app and type."""
    await store.transition_incident(incident.app, incident.type, lambda _: (incident, notification), channels)
