"""A workspace that answers as Slack documents it: tokens, channels, limits, threads."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from aiohttp import web

TOKEN = "xoxb-canary-token"
WEBHOOK = "/services/T0/B0/canary-hook"


class Workspace:
    """chat.postMessage, chat.update and an incoming webhook on loopback.

    `messages` are what people see now, `edits` counts updates; `failures` are (status, answer, headers) to give first:
    an answer that is a text is no JSON.
    """

    def __init__(self) -> None:
        self.token = TOKEN
        self.messages: list[dict[str, Any]] = []
        self.edits = 0
        self.failures: deque[tuple[int, dict[str, Any] | str, dict[str, str]]] = deque()
        self._runner: web.AppRunner | None = None
        self.root = ""

    @property
    def api_url(self) -> str:
        return f"{self.root}/api/"

    @property
    def webhook_url(self) -> str:
        return f"{self.root}{WEBHOOK}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/api/{method}", self._api)
        app.router.add_post(WEBHOOK, self._hook)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.root = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _api(self, request: web.Request) -> web.Response:
        if self.failures:
            status, answer, headers = self.failures.popleft()
            if isinstance(answer, str):
                return web.Response(status=status, text=answer, headers=headers)
            return web.json_response(answer, status=status, headers=headers)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        body = json.loads(await request.read())
        if body["channel"] not in ("#drift", "C1"):
            return web.json_response({"ok": False, "error": "channel_not_found"})
        refusal = refuse(body)
        if refusal:
            return web.json_response({"ok": False, "error": refusal})
        if request.match_info["method"] == "chat.update":
            for message in self.messages:
                if message["ts"] == body["ts"]:
                    message.update(body)
                    self.edits += 1
                    return web.json_response({"ok": True, "channel": "C1", "ts": body["ts"]})
            return web.json_response({"ok": False, "error": "message_not_found"})
        ts = f"1700000000.{len(self.messages) + 1:06d}"
        self.messages.append({**body, "ts": ts})
        return web.json_response({"ok": True, "channel": "C1", "ts": ts})

    async def _hook(self, request: web.Request) -> web.Response:
        if self.failures:
            status, answer, headers = self.failures.popleft()
            text = answer if isinstance(answer, str) else answer["text"]
            return web.Response(status=status, text=text, headers=headers)
        body = json.loads(await request.read())
        refusal = refuse(body)
        if refusal:
            return web.Response(status=400, text=refusal)
        self.messages.append(body)
        return web.Response(text="ok")


def refuse(body: dict[str, Any]) -> str | None:
    """Slack's error code for a message beyond its limits."""
    blocks = body.get("blocks", [])
    if not body.get("text"):
        return "no_text"
    if len(body["text"]) > 40_000:
        return "msg_too_long"
    if len(blocks) > 50:
        return "invalid_blocks"
    if len(json.dumps(blocks, ensure_ascii=False)) > 13_200:
        return "msg_blocks_too_long"
    texts = [block["text"]["text"] for block in blocks if block["type"] == "section"]
    if any(not 1 <= len(text) <= 3000 for text in texts):
        return "invalid_blocks"
    return None
