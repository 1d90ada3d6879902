"""`POST /audit`: authenticated by a token, since its events name the authors of changes.

An application of its own, served by TLS: the API server (client-go) sends its token by TLS only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hmac import compare_digest

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from driftd.model.errors import DriftdError
from driftd.web.audit import MAX_BYTES, writes
from driftd.web.port import WebPort
from driftd.web.response import HEADERS


def create_audit_app(port: WebPort) -> Starlette:
    """The ASGI application that receives audit events at `/audit` (`?cluster=NAME` where there are several)."""
    return Starlette(routes=[Route("/audit", _receiver(port), methods=["POST"])])


def _receiver(port: WebPort) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint. It answers 204 once the events are recorded; otherwise the API server retries."""

    async def audit(request: Request) -> Response:
        secret = port.audit_token()
        if secret is None:
            return PlainTextResponse("no audit events are taken: web.audit is not configured\n", 404, headers=HEADERS)
        try:
            token = await run_in_threadpool(secret.read)
        except DriftdError as error:
            return PlainTextResponse(f"{error}\n", 503, headers=HEADERS)
        if not compare_digest(request.headers.get("authorization", "").encode(), f"Bearer {token}".encode()):
            return PlainTextResponse("the token is wrong\n", 401, headers={**HEADERS, "WWW-Authenticate": "Bearer"})
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                return PlainTextResponse("too many events at once\n", 413, headers=HEADERS)
        try:
            events = list(writes(orjson.loads(bytes(body))))
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 400, headers=HEADERS)
        if not port.audit(request.query_params.get("cluster"), events):
            return PlainTextResponse("there is no such cluster in the configuration\n", 404, headers=HEADERS)
        return PlainTextResponse("", 204, headers=HEADERS)

    return audit
