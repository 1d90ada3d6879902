"""Slack with an incoming webhook, which can only post: every event is a message of its own."""

from __future__ import annotations

import re

import orjson

from driftd.model.errors import NotifyError
from driftd.model.incident import Notification
from driftd.model.secret import Secret
from driftd.notify import slack
from driftd.notify.channel import read_secret
from driftd.notify.http_poster import HttpPoster
from driftd.notify.message import compose

_PAGE_BYTES = 64
"""Of an answer, to tell Slack's `ok` from a page of a proxy that has taken the message and thrown it away."""

_REFUSAL = re.compile(rb'\{[^}]*"(?:ok|success)"\s*:\s*false')
"""As Slack's API says it, and servers that are compatible with its webhooks."""


class SlackWebhookChannel:
    """Posts every event. The secret is the webhook's URL."""

    def __init__(self, *, url: Secret, name: str = "slack") -> None:
        self._name = name
        self._url = url
        self._poster = HttpPoster()

    @property
    def name(self) -> str:
        return self._name

    async def send(self, notification: Notification, receipt: str | None) -> str | None:  # noqa: ARG002 (a webhook cannot update)
        message = compose(notification)
        text, blocks = slack.fallback(message), slack.blocks(message)
        url = await read_secret(self._url)
        try:
            await self._post(url, {"text": text, "blocks": blocks})
        except NotifyError as e:
            if not e.permanent:
                raise
            await self._post(url, {"text": text})  # in case Slack rejected the blocks
        return None

    async def close(self) -> None:
        await self._poster.close()

    async def _post(self, url: str, body: dict[str, object]) -> None:
        headers = {"Content-Type": "application/json"}
        answer = await self._poster.post(url, orjson.dumps(body), headers, target=self._name, max_bytes=_PAGE_BYTES)
        start = answer.body.lstrip(b"\xef\xbb\xbf \t\r\n")
        if start.startswith(b"<"):
            raise NotifyError(
                f"{self._name}: a web page answered, and not Slack: is there a proxy with a login between?"
            )
        if _REFUSAL.match(start):
            raise NotifyError(f"{self._name}: it was not taken, as the answer with HTTP {answer.status} says")
