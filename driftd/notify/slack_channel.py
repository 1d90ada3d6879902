"""Slack with a bot token: one message per incident, updated with it."""

from __future__ import annotations

import logging
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from driftd.model.backoff import parse_retry_after
from driftd.model.errors import NotifyError
from driftd.model.incident import IncidentEvent, Notification
from driftd.model.secret import Secret
from driftd.notify import slack
from driftd.notify.channel import read_secret
from driftd.notify.http_poster import TIMEOUT, HttpPoster, describe
from driftd.notify.message import compose

# https://docs.slack.dev/reference/methods/chat.postMessage#errors and .../chat.update#errors
_NOT_UPDATABLE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"})
_BLOCKS_REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
_MESSAGE_REFUSED = frozenset({"msg_too_long", "no_text", "invalid_arguments", "invalid_json", "json_not_object"})
_HINTS = {
    "invalid_auth": "the token is not valid: put a current one where notify.slack.token… points",
    "not_authed": "the token is not valid: put a current one where notify.slack.token… points",
    "token_revoked": "the token was revoked: put a current one where notify.slack.token… points",
    "token_expired": "the token has expired: put a current one where notify.slack.token… points",
    "account_inactive": "the bot's account was switched off",
    "channel_not_found": "there is no such channel, or the bot may not see it: invite it",
    "not_in_channel": "the bot is not in the channel: invite it",
    "is_archived": "the channel is archived",
    "missing_scope": "the bot needs the scope chat:write",
}

# The client logs complete requests at DEBUG, including messages.
_QUIET = logging.getLogger("driftd.notify.slack_sdk")
_QUIET.setLevel(logging.WARNING)


class SlackChannel:
    """Posts a message when an incident opens, updates it on changes, and replies in its thread on resolution.

    `channel` is a name or an id. `api_url` replaces the URL of Slack's API. A receipt is `CHANNEL-ID:TS`.
    """

    def __init__(self, *, token: Secret, channel: str, api_url: str | None = None, name: str = "slack") -> None:
        self._name = name
        self._token = token
        self._channel = channel
        self._api_url = api_url or AsyncWebClient.BASE_URL
        self._poster = HttpPoster()

    @property
    def name(self) -> str:
        return self._name

    async def send(self, notification: Notification, receipt: str | None) -> str | None:
        """Post or update. A message that can no longer be updated (it was deleted, say) is posted again."""
        client = await self._client()
        message = compose(notification)
        text, blocks = slack.fallback(message), slack.blocks(message)
        if receipt is None:
            return await self._post(client, text, blocks)
        channel, _, ts = receipt.rpartition(":")
        try:
            await self._call(client.chat_update, text, blocks, channel=channel, ts=ts)
        except _SlackError as e:
            if e.code not in _NOT_UPDATABLE:
                raise
            return await self._post(client, text, blocks)
        if notification.event is IncidentEvent.RESOLVED:
            await self._call(
                client.chat_postMessage, slack.resolved_reply(message), None, channel=channel, thread_ts=ts
            )
        return receipt

    async def close(self) -> None:
        await self._poster.close()

    async def _post(self, client: AsyncWebClient, text: str, blocks: list[slack.Block]) -> str:
        answer = await self._call(
            client.chat_postMessage, text, blocks, channel=self._channel, unfurl_links=False, unfurl_media=False
        )
        return f"{answer['channel']}:{answer['ts']}"

    async def _client(self) -> AsyncWebClient:
        """A client with the current token, without retries: those are the outbox's."""
        client = AsyncWebClient(
            token=await read_secret(self._token),
            base_url=self._api_url,
            timeout=int(TIMEOUT),
            session=self._poster.session(),
            retry_handlers=[],
            logger=_QUIET,
        )
        client.proxy = None  # the session handles the proxy variables; the client would ignore NO_PROXY
        return client

    async def _call(self, method: Any, text: str, blocks: list[slack.Block] | None, **arguments: Any) -> Any:
        """One API call, repeated with the plain text alone if Slack rejects the blocks."""
        try:
            return await self._call_once(method, text=text, blocks=blocks, **arguments)
        except _SlackError as e:
            if blocks is None or e.code not in _BLOCKS_REFUSED:
                raise
        return await self._call_once(method, text=text, blocks=[], **arguments)

    async def _call_once(self, method: Any, **arguments: Any) -> Any:
        try:
            return await method(**arguments, parse="none", link_names=False)
        except SlackApiError as e:
            raise _slack_error(self._name, e) from None  # its text contains the whole response
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise NotifyError(f"{self._name}: {describe(e)}") from None


class _SlackError(NotifyError):
    """A failed call with Slack's error code."""

    def __init__(self, text: str, code: str, *, retry_after: float | None, permanent: bool) -> None:
        self.code = code
        super().__init__(text, retry_after=retry_after, permanent=permanent)


def _slack_error(name: str, error: SlackApiError) -> _SlackError:
    response: Any = error.response
    data = getattr(response, "data", None)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    status = getattr(response, "status_code", None) or getattr(response, "status", 0)
    headers = getattr(response, "headers", None) or {}
    what = _HINTS.get(code) or code or f"HTTP {status}"
    return _SlackError(
        f"{name}: Slack says {code}: {what}" if code in _HINTS else f"{name}: Slack says {what}",
        code,
        retry_after=parse_retry_after(headers.get("Retry-After")),
        permanent=code in _MESSAGE_REFUSED or code in _BLOCKS_REFUSED,
    )
