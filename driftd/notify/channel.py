"""What a channel is, and the secrets that channels use."""

from __future__ import annotations

import asyncio
from typing import Protocol

from driftd.model.errors import DriftdError, NotifyError
from driftd.model.incident import Notification


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
