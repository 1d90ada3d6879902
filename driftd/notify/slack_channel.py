"""Slack with a bot token: one message per incident, updated with it."""

from __future__ import annotations

import logging
import re
from typing import Any

import orjson
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from driftd.model.errors import NotifyError
from driftd.model.incident import IncidentEvent, Notification
from driftd.model.secret import Secret
from driftd.notify import slack
from driftd.notify.channel import read_secret
from driftd.notify.http_poster import TIMEOUT, Answer, HttpPoster
from driftd.notify.message import compose

# https://docs.slack.dev/reference/methods/chat.postMessage#errors and .../chat.update#errors
# Those of the channel, too: it may be another one than is configured now.
_NOT_UPDATABLE = frozenset(
    {
        "message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found", "not_in_channel",
        "is_archived", "is_inactive",
    }
)  # fmt: skip
_BLOCKS_REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_arguments"})
_MESSAGE_REFUSED = frozenset({"msg_too_long", "no_text", "invalid_json", "json_not_object"})
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

_MAX_ANSWER_BYTES = 256 * 1024
"""Slack answers with the message that it has posted."""

_CODE = re.compile(r"[a-z0-9_]{1,64}")
_RECEIPT_PART = re.compile(r"[\w#.-]{1,128}")

# The client logs complete requests at DEBUG, including messages.
_QUIET = logging.getLogger("driftd.notify.slack_sdk")
_QUIET.setLevel(logging.WARNING)

log = structlog.get_logger(__name__)


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
            reply = slack.resolved_reply(message)
            await self._call(client.chat_postMessage, reply, None, channel=channel, thread_ts=ts)
        return receipt

    async def close(self) -> None:
        await self._poster.close()

    async def _client(self) -> AsyncWebClient:
        """A client with the current token, so that a new one is used at once."""
        return _BoundedClient(self._poster, self._name, await read_secret(self._token), self._api_url)

    async def _post(self, client: AsyncWebClient, text: str, blocks: list[slack.Block]) -> str | None:
        answer = await self._call(
            client.chat_postMessage, text, blocks, channel=self._channel, unfurl_links=False, unfurl_media=False
        )
        found = [answer.get(key) for key in ("channel", "ts")]
        parts = [part for part in found if isinstance(part, str) and _RECEIPT_PART.fullmatch(part)]
        if len(parts) < len(found):
            # It was posted: sent again, it would be there twice.
            log.warning("message posted, but Slack did not say where: it cannot be updated", channel=self._name)
            return None
        return ":".join(parts)

    async def _call(self, method: Any, text: str, blocks: list[slack.Block] | None, **arguments: Any) -> dict[str, Any]:
        """One API call, repeated with the plain text alone if Slack rejects the blocks. Returns: Slack's answer."""
        try:
            return await self._call_once(method, text=text, blocks=blocks, **arguments)
        except _SlackError as e:
            if blocks is None or e.code not in _BLOCKS_REFUSED:
                raise
        return await self._call_once(method, text=text, blocks=[], **arguments)

    async def _call_once(self, method: Any, **arguments: Any) -> dict[str, Any]:
        """The answer has little in it where Slack accepted the call and its answer did not come as a whole."""
        try:
            response = await method(**arguments, parse="none", link_names=False)
        except SlackApiError as e:
            raise _slack_error(self._name, e) from None  # its text contains the whole response
        document: dict[str, Any] = response.data
        return document


class _BoundedClient(AsyncWebClient):
    """Slack's client on driftd's own transport: no redirects, no more than so many bytes, and no retries of its own.

    Those are the outbox's.
    """

    def __init__(self, poster: HttpPoster, name: str, token: str, api_url: str) -> None:
        super().__init__(token=token, base_url=api_url, timeout=int(TIMEOUT), retry_handlers=[], logger=_QUIET)
        self._poster = poster
        self._name = name

    async def _request(self, *, http_verb: str, api_url: str, req_args: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002  # always POST
        answer = await self._poster.exchange(
            api_url,
            orjson.dumps(req_args["json"]),
            {str(key): str(value) for key, value in req_args["headers"].items()},
            target=self._name,
            max_bytes=_MAX_ANSWER_BYTES,
        )
        document = _decoded(answer)
        is_2xx = 200 <= answer.status < 300
        if is_2xx and not answer.complete:
            document = {**document, "ok": True}  # the status line decides
        retry_after = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
        return {"data": document, "headers": retry_after, "status_code": 200 if is_2xx else answer.status}


def _decoded(answer: Answer) -> dict[str, Any]:
    """Slack's answer; empty for anything else."""
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


class _SlackError(NotifyError):
    """A failed call with Slack's error code."""

    def __init__(self, text: str, code: str, *, retry_after: float | None, permanent: bool) -> None:
        self.code = code
        super().__init__(text, retry_after=retry_after, permanent=permanent)


def _slack_error(name: str, error: SlackApiError) -> _SlackError:
    response: Any = error.response
    code = str(response.data.get("error", ""))
    code = code if _CODE.fullmatch(code) else ""
    what = _HINTS.get(code) or code or f"HTTP {response.status_code}"
    if what == "HTTP 200":
        what += ", with an answer that is not of its API: is there a proxy between?"
    retry_after = response.headers.get("Retry-After")
    return _SlackError(
        f"{name}: Slack says {code}: {what}" if code in _HINTS else f"{name}: Slack says {what}",
        code,
        retry_after=None if retry_after is None else float(retry_after),
        permanent=code in _MESSAGE_REFUSED or code in _BLOCKS_REFUSED,
    )
