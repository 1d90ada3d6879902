"""The interface of a channel, and reading the secrets that channels use."""

from __future__ import annotations

import asyncio
from typing import Protocol

from driftd.model.errors import DriftdError, NotifyError
from driftd.model.incident import Notification
from driftd.model.secret import Secret


class Channel(Protocol):
    """A destination of notifications."""

    @property
    def name(self) -> str:
        """The unique name under which deliveries are stored."""
        ...

    async def send(self, notification: Notification, receipt: str | None) -> str | None:
        """Deliver one notification.

        `receipt` is the result of an earlier delivery of the same incident, by which the channel finds the message to
        update. Returns: the receipt of this one, if it can be updated.
        Raises: NotifyError: not delivered. `permanent` if retries of the same notification cannot succeed;
            `retry_after` if the channel asked for a delay. Its text contains no secret.
        """
        ...

    async def close(self) -> None:
        """Close connections. May be called again."""
        ...


async def read_secret(secret: Secret) -> str:
    """The secret without blanks around it, read off the event loop. Raises: NotifyError: it is missing (for now)."""
    try:
        return (await asyncio.to_thread(secret.read)).strip()
    except DriftdError as e:
        raise NotifyError(str(e)) from e
