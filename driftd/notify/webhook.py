"""The signed webhook: every event as JSON.

`Driftd-Signature: t=UNIX,v1=HEX`: HEX is the HMAC-SHA256, under the shared secret, of the bytes `UNIX`, a dot, and the
body. Receivers should verify it, reject an old `t`, and ignore a `Driftd-Delivery` that they have received before.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from driftd import __version__
from driftd.model.bounded import without_fields
from driftd.model.document import notification_document
from driftd.model.incident import Notification
from driftd.model.json_text import encode_json
from driftd.model.secret import Secret
from driftd.notify.channel import read_secret
from driftd.notify.http_poster import HttpPoster, TooLarge


def signature(secret: str, body: bytes, unix: int) -> str:
    """The header's value for a body sent at `unix`, in seconds since the epoch."""
    digest = hmac.new(secret.encode(), f"{unix}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={unix},v1={digest}"


class WebhookChannel:
    """Posts notifications as JSON to one URL.

    2xx means delivered. 400, 410, 413, 415 and 422 are permanent; everything else is retried, a rate limit after its
    Retry-After. Redirects are not followed.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        secret: Secret,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name = name
        self._url = url
        self._secret = secret
        self._clock = clock
        self._poster = HttpPoster()

    @property
    def name(self) -> str:
        return self._name

    async def send(self, notification: Notification, receipt: str | None) -> str | None:  # noqa: ARG002 (nothing to update)
        document = notification_document(notification)
        try:
            await self._post(notification.id, document)
        except TooLarge:  # better without the fields than not at all
            lists = {key: without_fields(document[key]) for key in ("resources", "ended")}
            await self._post(notification.id, {**document, **lists})
        return None

    async def close(self) -> None:
        await self._poster.close()

    async def _post(self, id_: str, document: dict[str, Any]) -> None:
        body = encode_json(document)
        secret = await read_secret(self._secret)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"driftd/{__version__}",
            "Driftd-Signature": signature(secret, body, int(self._clock().timestamp())),
            "Driftd-Delivery": id_,
            "Idempotency-Key": id_,
        }
        await self._poster.post(self._url, body, headers, target=self._name)
