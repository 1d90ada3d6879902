"""A Slack-compatible endpoint, in memory: the methods that a bot with `chat:write` and an incoming webhook use.

It refuses what Slack refuses (a wrong token, an unknown channel, blocks beyond their limits) with Slack's error codes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from driftd.sandbox.hosting import serve_app
from driftd.sandbox.slack.blockkit import MAX_ATTACHMENTS, MAX_TEXT, block_mistakes

_TEAM = {"team": "sandbox", "team_id": "T0SANDBOX", "user": "driftd", "user_id": "U0SANDBOX", "bot_id": "B0SANDBOX"}


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A message of a channel. `via` is "api" or "webhook"; `edits` is the number of its updates."""

    channel: str
    ts: str
    text: str
    blocks: tuple[dict[str, Any], ...] = ()
    attachments: tuple[dict[str, Any], ...] = ()
    thread_ts: str | None = None
    via: str = "api"
    edits: int = 0


class SlackError(Exception):
    """Slack's error code, and its messages."""

    def __init__(self, error: str, messages: list[str] | None = None) -> None:
        self.error = error
        self.remarks = messages or []
        super().__init__(error)


class SlackSandbox:
    """A workspace in which every channel exists, except for `missing_channels`."""

    def __init__(self, *, token: str | None = None, missing_channels: frozenset[str] = frozenset()) -> None:
        self.token = token or f"xoxb-{secrets.token_hex(12)}"
        self._hook = f"/services/T0SANDBOX/B0SANDBOX/{secrets.token_hex(12)}"
        self._missing = missing_channels
        self._messages: dict[tuple[str, str], SlackMessage] = {}
        self._ids = itertools.count(100)
        self._limits: list[int] = []
        self._failures: list[str] = []
        self._changed = asyncio.Condition()
        self._url: str | None = None
        self.requests = 0
        """Number of requests, including refused ones."""
        self.app = Starlette(
            routes=[
                Route("/api/{method}", self._method, methods=["GET", "POST"]),
                Route("/services/{rest:path}", self._webhook, methods=["POST"]),
            ]
        )

    @property
    def api_url(self) -> str:
        """The `base_url` for slack-sdk. Raises: RuntimeError: it is not being served."""
        if self._url is None:
            raise RuntimeError("the Slack sandbox is not served: use it within serve()")
        return f"{self._url}/api/"

    @property
    def webhook_url(self) -> str:
        """The URL of the incoming webhook; secret, as on Slack."""
        return self.api_url.removesuffix("/api/") + self._hook

    def messages(self, channel: str | None = None) -> list[SlackMessage]:
        """All messages, oldest first, in their current version."""
        return [message for message in self._messages.values() if channel in (None, message.channel)]

    async def wait_for(self, count: int, deadline: float = 10.0) -> list[SlackMessage]:
        """Waits for at least `count` messages. Raises: TimeoutError: after `deadline` seconds."""
        async with asyncio.timeout(deadline), self._changed:
            await self._changed.wait_for(lambda: len(self._messages) >= count)
        return self.messages()

    def rate_limit(self, *, retry_after: int = 1, times: int = 1) -> None:
        """Answers the next `times` requests with 429 and Retry-After, in seconds."""
        self._limits.extend([retry_after] * times)

    def fail(self, error: str = "internal_error", *, times: int = 1) -> None:
        """Answers the next `times` requests with a Slack error code, or with HTTP 500 for `internal_error`."""
        self._failures.extend([error] * times)

    @contextlib.asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[SlackSandbox]:
        async with serve_app(self.app, host, port) as url:
            self._url = url
            try:
                yield self
            finally:
                self._url = None

    async def _method(self, request: Request) -> Response:
        self.requests += 1
        if self._limits:
            headers = {"Retry-After": str(self._limits.pop(0))}
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers)
        if self._failures:
            error = self._failures.pop(0)
            return JSONResponse({"ok": False, "error": error}, 500 if error == "internal_error" else 200)
        arguments = await _arguments(request)
        try:
            self._authenticate(request, arguments)
            answer = await self._call(request.path_params["method"], arguments)
        except SlackError as error:
            body: dict[str, Any] = {"ok": False, "error": error.error}
            if error.remarks:
                body |= {"errors": error.remarks, "response_metadata": {"messages": error.remarks}}
            return JSONResponse(body)
        return JSONResponse({"ok": True, **answer})

    def _authenticate(self, request: Request, arguments: dict[str, Any]) -> None:
        header = request.headers.get("authorization", "")
        token = header.removeprefix("Bearer").strip() or arguments.get("token", "")
        if not token:
            raise SlackError("not_authed")
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            raise SlackError("invalid_auth")

    async def _call(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if method == "auth.test":
            return {"url": self.api_url.removesuffix("api/"), **_TEAM}
        if method == "chat.postMessage":
            return _message_response(await self._post(arguments, via="api"))
        if method == "chat.update":
            return _message_response(await self._update(arguments))
        raise SlackError("unknown_method")

    async def _post(self, arguments: dict[str, Any], *, via: str) -> SlackMessage:
        channel = str(arguments.get("channel") or "")
        if not channel or channel in self._missing:
            raise SlackError("channel_not_found")
        thread = arguments.get("thread_ts")
        if thread and (channel, thread) not in self._messages:
            raise SlackError("thread_not_found")
        message = _with_content(SlackMessage(channel, self._stamp(), "", thread_ts=thread, via=via), arguments)
        await self._store(message)
        return message

    async def _update(self, arguments: dict[str, Any]) -> SlackMessage:
        channel, stamp = str(arguments.get("channel") or ""), str(arguments.get("ts") or "")
        current = self._messages.get((channel, stamp))
        if current is None:
            raise SlackError("message_not_found")
        message = _with_content(replace(current, edits=current.edits + 1), arguments)
        await self._store(message)
        return message

    async def _store(self, message: SlackMessage) -> None:
        self._messages[message.channel, message.ts] = message
        async with self._changed:
            self._changed.notify_all()

    def _stamp(self) -> str:
        return f"{int(time.time())}.{next(self._ids):06d}"

    async def _webhook(self, request: Request) -> Response:
        self.requests += 1
        if request.url.path != self._hook:
            return PlainTextResponse("no_service", 404)
        if self._limits:
            return PlainTextResponse("rate_limited", 429, {"Retry-After": str(self._limits.pop(0))})
        if self._failures:
            return PlainTextResponse(self._failures.pop(0), 500)
        arguments = await _arguments(request)
        if "payload" in arguments:
            arguments = _decoded(arguments["payload"])
        try:
            await self._post({**arguments, "channel": "#webhook"}, via="webhook")
        except SlackError as error:
            return PlainTextResponse(error.error, 400)
        return PlainTextResponse("ok")


def _message_response(message: SlackMessage) -> dict[str, Any]:
    body = {"type": "message", "text": message.text, "ts": message.ts, "blocks": list(message.blocks)}
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": body}


def _with_content(message: SlackMessage, arguments: dict[str, Any]) -> SlackMessage:
    """The message with text, blocks and attachments of a request. Raises: SlackError: Slack would refuse it."""
    text = arguments.get("text") or ""
    blocks, attachments = _list(arguments.get("blocks")), _list(arguments.get("attachments"))
    if not text and not blocks and not attachments:
        raise SlackError("no_text")
    if len(text) > MAX_TEXT:
        raise SlackError("msg_too_long")
    if len(attachments) > MAX_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    mistakes = block_mistakes(blocks)
    for attachment in attachments:
        mistakes.extend(block_mistakes(_list(attachment.get("blocks"))))
    if mistakes:
        raise SlackError("invalid_blocks", mistakes)
    return replace(message, text=text, blocks=tuple(blocks), attachments=tuple(attachments))


def _list(value: Any) -> list[Any]:
    """Blocks are a list in JSON, and JSON text in a form."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise SlackError("invalid_blocks_format") from error
    if value is None:
        return []
    if not isinstance(value, list):
        raise SlackError("invalid_blocks_format")
    return value


async def _arguments(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").startswith("application/json"):
        return _decoded(await request.body())
    form = (await request.body()).decode() if request.method == "POST" else request.url.query
    return dict(parse_qsl(form))


def _decoded(content: bytes | str) -> dict[str, Any]:
    try:
        value = json.loads(content or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
