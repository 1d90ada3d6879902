"""Slack with a bot token: one message per incident, updated with it."""

from __future__ import annotations

import re
from typing import Any

import orjson
import structlog

from driftd.model.errors import NotifyError
from driftd.model.incident import IncidentEvent, Notification
from driftd.model.secret import Secret
from driftd.notify import slack
from driftd.notify.channel import read_secret
from driftd.notify.http_poster import Answer, HttpPoster
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

_API_URL = "https://slack.com/api/"

_MAX_ANSWER_BYTES = 256 * 1024
"""Slack answers with the message that it has posted."""

_CODE = re.compile(r"[a-z0-9_]{1,64}")
_RECEIPT_PART = re.compile(r"[\w#.-]{1,128}")

log = structlog.get_logger(__name__)


class SlackChannel:
    """Posts a message when an incident opens, updates it on changes, and replies in its thread on resolution.

    `channel` is a name or an id. `api_url` replaces the URL of Slack's API. A receipt is `CHANNEL-ID:TS`.
    """

    def __init__(self, *, token: Secret, channel: str, api_url: str | None = None, name: str = "slack") -> None:
        self._name = name
        self._token = token
        self._channel = channel
        self._api_url = (api_url or _API_URL).rstrip("/")
        self._poster = HttpPoster()

    @property
    def name(self) -> str:
        return self._name

    async def send(self, notification: Notification, receipt: str | None) -> str | None:
        """Post or update. A message that can no longer be updated (it was deleted, say) is posted again."""
        message = compose(notification)
        text, blocks = slack.fallback(message), slack.blocks(message)
        if receipt is None:
            return await self._post(text, blocks)
        channel, _, ts = receipt.rpartition(":")
        try:
            await self._call("chat.update", text, blocks, channel=channel, ts=ts)
        except _SlackError as e:
            if e.code not in _NOT_UPDATABLE:
                raise
            return await self._post(text, blocks)
        if notification.event is IncidentEvent.RESOLVED:
            await self._call("chat.postMessage", slack.resolved_reply(message), None, channel=channel, thread_ts=ts)
        return receipt

    async def close(self) -> None:
        await self._poster.close()

    async def _post(self, text: str, blocks: list[slack.Block]) -> str | None:
        answer = await self._call(
            "chat.postMessage", text, blocks, channel=self._channel, unfurl_links=False, unfurl_media=False
        )
        parts = [str(answer.get(key, "")) for key in ("channel", "ts")]
        if not all(_RECEIPT_PART.fullmatch(part) for part in parts):
            # It was posted: sent again, it would be there twice.
            log.warning("message posted, but Slack did not say where: it cannot be updated", channel=self._name)
            return None
        return ":".join(parts)

    async def _call(self, method: str, text: str, blocks: list[slack.Block] | None, **arguments: Any) -> dict[str, Any]:
        """One API call, repeated with the plain text alone if Slack rejects the blocks. Returns: Slack's answer."""
        try:
            return await self._call_once(method, text=text, blocks=blocks, **arguments)
        except _SlackError as e:
            if blocks is None or e.code not in _BLOCKS_REFUSED:
                raise
        return await self._call_once(method, text=text, blocks=[], **arguments)

    async def _call_once(self, method: str, **arguments: Any) -> dict[str, Any]:
        """The answer is empty where Slack accepted the call and its answer did not come as a whole.

        The token is read for every call, so that a new one is used at once. Retries are the outbox's.
        """
        given = {key: value for key, value in arguments.items() if value is not None}
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Authorization": f"Bearer {await read_secret(self._token)}",
        }
        answer = await self._poster.exchange(
            f"{self._api_url}/{method}",
            orjson.dumps({**given, "parse": "none", "link_names": False}),
            headers,
            target=self._name,
            max_bytes=_MAX_ANSWER_BYTES,
        )
        document = _decoded(answer)
        if 200 <= answer.status < 300 and (not answer.complete or document.get("ok") is True):
            return document
        raise _slack_error(self._name, answer, document)


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


def _slack_error(name: str, answer: Answer, document: dict[str, Any]) -> _SlackError:
    code = str(document.get("error", ""))
    code = code if _CODE.fullmatch(code) else ""
    what = _HINTS.get(code) or code or f"HTTP {answer.status}"
    return _SlackError(
        f"{name}: Slack says {code}: {what}" if code in _HINTS else f"{name}: Slack says {what}",
        code,
        retry_after=answer.retry_after,
        permanent=code in _MESSAGE_REFUSED or code in _BLOCKS_REFUSED,
    )
