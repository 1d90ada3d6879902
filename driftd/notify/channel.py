"""The interface of a channel, and reading the secrets that channels use."""

from __future__ import annotations

import asyncio
from typing import Protocol

from driftd.model.errors import DriftdError, NotifyError
from driftd.model.incident import Notification
from driftd.model.secret import Secret


class Channel(Protocol):
    """A place where notifications go. One per file of this room."""

    @property
    def name(self) -> str:
        """Unique; deliveries are stored under it."""
        ...

    async def send(self, notification: Notification, receipt: str | None) -> str | None:
        """Deliver one notification.

        `receipt` is what an earlier delivery of the same incident returned: with it a channel finds the message that
        is to be updated. Returns: the receipt of this one, if there is any use for it.
        Raises: NotifyError: not delivered. `permanent` when no later try can do better with the same notification;
            `retry_after` when the channel said how long to wait. Its text names no secret.
        """
        ...

    async def close(self) -> None:
        """Let connections go. May be called again."""
        ...


async def read_secret(secret: Secret) -> str:
    """The secret without blanks around it, read off the event loop. Raises: NotifyError: it is missing (for now)."""
    try:
        return (await asyncio.to_thread(secret.read)).strip()
    except DriftdError as e:
        raise NotifyError(str(e)) from e
