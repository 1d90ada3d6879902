"""An API server with scripted responses, including faults."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from multidict import CIMultiDict

from driftd.kube.discovery import ApiResource

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONFIG_MAPS = ApiResource("", "v1", "configmaps", "ConfigMap", True, frozenset({"get", "list", "watch"}))
SECRETS = ApiResource("", "v1", "secrets", "Secret", True, frozenset({"get", "list", "watch"}))
NAMESPACES = ApiResource("", "v1", "namespaces", "Namespace", False, frozenset({"get", "list", "watch"}))
WIDGETS = ApiResource("example.com", "v1", "widgets", "Widget", True, frozenset({"get", "list", "watch"}))


@dataclass(frozen=True)
class Seen:
    """One received request."""

    method: str
    path: str
    query: dict[str, str]
    headers: CIMultiDict[str]
    body: bytes


class ScriptedApi:
    """Listens on loopback. The answers for a method and path are sent in turn, the last one repeatedly.

    The method of a watch is "watch GET", that of a streaming list "stream GET". Without a script the server does
    not support streaming lists, and such requests are not recorded in `seen`.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self._tls = tls
        self._answers: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.holding = asyncio.Event()
        """Set once an answer of `hold` is being sent."""
        self._release = asyncio.Event()

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Replaces the answers for a method and path."""
        self._answers[method, path] = list(answers)

    def requests(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        script = self._answers.get((_asked(request), request.path))
        if script is None and _is_stream(request):
            return await not_offered(request)
        self.seen.append(Seen(request.method, request.path, dict(request.query), CIMultiDict(request.headers), body))
        script = script or [page_not_found]
        answer = script.pop(0) if len(script) > 1 else script[0]
        return await answer(request)

    def hold(self, *sent: bytes) -> Answer:
        """A stream that sends this and then stays open until the server ends."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = await _begin(request, sent)
            self.holding.set()
            await self._release.wait()
            return response

        return answer


def _is_stream(request: web.Request) -> bool:
    return request.query.get("sendInitialEvents") == "true"


def _asked(request: web.Request) -> str:
    if _is_stream(request):
        return f"stream {request.method}"
    return f"watch {request.method}" if request.query.get("watch") else request.method


def data(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A JSON answer."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def text(body: str, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status, headers=headers)

    return answer


def refused(status: int, reason: str, message: str, headers: dict[str, str] | None = None, **details: Any) -> Answer:
    """A `Status`, as the API server refuses."""
    return data(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": status,
        },
        status,
        headers,
    )


def lines(*sent: bytes) -> Answer:
    """A stream of these lines that then ends cleanly."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await _begin(request, sent)
        await response.write_eof()
        return response

    return answer


def streamed(parts: Callable[[], AsyncIterator[bytes]]) -> Answer:
    """A stream of parts that are made while it is sent, for as long as somebody reads."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await _begin(request, ())
        with suppress(ConnectionError):
            async for part in parts():
                await response.write(part)
        return response

    return answer


async def reset(request: web.Request) -> web.StreamResponse:
    """The connection breaks without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def cut(*sent: bytes) -> Answer:
    """A stream of these bytes, after which the connection breaks."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await _begin(request, sent)
        assert request.transport is not None
        request.transport.abort()
        return response

    return answer


async def _begin(request: web.Request, sent: tuple[bytes, ...]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for part in sent:
        await response.write(part)
    return response


async def never(_: web.Request) -> web.StreamResponse:
    """No answer in any time that a test has."""
    await asyncio.sleep(3600)
    return web.Response()


page_not_found = text("404 page not found\n", 404)
not_offered = refused(422, "Invalid", "sendInitialEvents: Forbidden: is forbidden for watch")


def config_map(name: str, version: int, **values: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": values}


def listing(version: int, *items: dict[str, Any], token: str = "", of: ApiResource = CONFIG_MAPS) -> Answer:
    """A list as the API server sends it: its items name neither apiVersion nor kind."""
    bare = [{key: value for key, value in item.items() if key not in ("apiVersion", "kind")} for item in items]
    metadata = {"resourceVersion": str(version), **({"continue": token} if token else {})}
    return data({"kind": f"{of.kind}List", "apiVersion": of.api_version, "metadata": metadata, "items": bare})


def event(type_: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"type": type_, "object": body}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}})


def end_of_list(version: int) -> bytes:
    """The bookmark that ends what a list tells as a stream."""
    metadata = {"resourceVersion": str(version), "annotations": {"k8s.io/initial-events-end": "true"}}
    return event("BOOKMARK", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata})


def too_old() -> bytes:
    return event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})


def kubeconfig(
    folder: Path, server: str, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None
) -> Path:
    """A kubeconfig file with one context for that server."""
    file = folder / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": server, **(cluster or {})}}],
                "users": [{"name": "somebody", "user": user or {}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "somebody"}}],
            }
        )
    )
    return file
