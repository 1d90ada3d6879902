"""What a channel is, and the secrets that channels use."""

from __future__ import annotations

import asyncio
from typing import Protocol

from driftd.model.errors import DriftdError, NotifyError
from driftd.model.incident import Notification


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


class Credential(Protocol):
    """A secret by where it is kept: it is read at each use, so that a rotated one is picked up."""

    def read(self) -> str:
        """The secret. Raises: DriftdError: it is not there; the text says where it should be."""
        ...


async def read_credential(credential: Credential) -> str:
    """The secret, read off the event loop. Raises: NotifyError: it is not there (it may be later)."""
    try:
        return (await asyncio.to_thread(credential.read)).strip()
    except DriftdError as e:
        raise NotifyError(str(e)) from e
