"""Slack, by a bot's token: one message per incident, kept up to date."""

from __future__ import annotations

import logging
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from driftd.model.errors import NotifyError
from driftd.model.incident import IncidentEvent, Notification
from driftd.model.secret import Secret
from driftd.notify import slack
from driftd.notify.channel import read_secret
from driftd.notify.message import compose
from driftd.notify.posting import TIMEOUT, HttpPoster, describe, parse_retry_after

# https://docs.slack.dev/reference/methods/chat.postMessage#errors and .../chat.update#errors
_NOT_TO_BE_UPDATED = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"})
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

# The client writes whole requests to its logger at DEBUG; nobody asked for messages in the log.
_QUIET = logging.getLogger("driftd.notify.slack_sdk")
_QUIET.setLevel(logging.WARNING)


class SlackChannel:
    """Posts a message when an incident opens, updates it while it changes, and says in its thread when it is over.

    `channel` is a name or an id. `api_url` is Slack's API elsewhere. A receipt is `CHANNEL-ID:TS`.
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
        """Post or update. A message that can no longer be updated (somebody deleted it) is posted anew."""
        client = await self._client()
        message = compose(notification)
        text, blocks = slack.fallback(message), slack.blocks(message)
        if receipt is None:
            return await self._post(client, text, blocks)
        channel, _, ts = receipt.rpartition(":")
        try:
            await self._call(client.chat_update, text, blocks, channel=channel, ts=ts)
        except _Refused as e:
            if e.word not in _NOT_TO_BE_UPDATED:
                raise
            return await self._post(client, text, blocks)
        if notification.event is IncidentEvent.RESOLVED:
            await self._call(client.chat_postMessage, slack.closing(message), None, channel=channel, thread_ts=ts)
        return receipt

    async def close(self) -> None:
        await self._poster.close()

    async def _post(self, client: AsyncWebClient, text: str, blocks: list[slack.Block]) -> str:
        answer = await self._call(
            client.chat_postMessage, text, blocks, channel=self._channel, unfurl_links=False, unfurl_media=False
        )
        return f"{answer['channel']}:{answer['ts']}"

    async def _client(self) -> AsyncWebClient:
        """A client with the token of this moment. Retries are the outbox's, so it has none of its own."""
        client = AsyncWebClient(
            token=await read_secret(self._token),
            base_url=self._api_url,
            timeout=int(TIMEOUT),
            session=self._poster.session(),
            retry_handlers=[],
            logger=_QUIET,
        )
        client.proxy = None  # the session knows the proxy variables, NO_PROXY among them; the client would ignore that
        return client

    async def _call(self, method: Any, text: str, blocks: list[slack.Block] | None, **arguments: Any) -> Any:
        """One call; should Slack refuse the blocks, the same with the text alone, since a plain message beats none."""
        try:
            return await self._call_once(method, text=text, blocks=blocks, **arguments)
        except _Refused as e:
            if blocks is None or e.word not in _BLOCKS_REFUSED:
                raise
        return await self._call_once(method, text=text, blocks=[], **arguments)

    async def _call_once(self, method: Any, **arguments: Any) -> Any:
        try:
            return await method(**arguments, parse="none", link_names=False)
        except SlackApiError as e:
            raise _refused(self._name, e) from None  # the answer it quotes may be long and is not ours
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise NotifyError(f"{self._name}: {describe(e)}") from None


class _Refused(NotifyError):
    """Slack's own word for why not."""

    def __init__(self, text: str, word: str, *, retry_after: float | None, permanent: bool) -> None:
        self.word = word
        super().__init__(text, retry_after=retry_after, permanent=permanent)


def _refused(name: str, error: SlackApiError) -> _Refused:
    response: Any = error.response
    data = getattr(response, "data", None)
    word = str(data.get("error", "")) if isinstance(data, dict) else ""
    status = getattr(response, "status_code", None) or getattr(response, "status", 0)
    headers = getattr(response, "headers", None) or {}
    what = _HINTS.get(word) or word or f"HTTP {status}"
    return _Refused(
        f"{name}: Slack says {word}: {what}" if word in _HINTS else f"{name}: Slack says {what}",
        word,
        retry_after=parse_retry_after(headers.get("Retry-After")),
        permanent=word in _MESSAGE_REFUSED or word in _BLOCKS_REFUSED,
    )
