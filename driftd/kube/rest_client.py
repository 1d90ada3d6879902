"""The REST client of one API server: raw requests, with every failure as one of driftd's errors."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

from driftd import __version__
from driftd.kube.errors import connection_error, is_broken_connection, response_error
from driftd.kube.kubeconfig import ClusterAccess
from driftd.kube.rest_config import RestConfigLoader
from driftd.kube.retry import Retryable, retry_after, retrying
from driftd.kube.session import Session
from driftd.model.errors import KubeError
from driftd.model.json_text import encode_json

__all__ = ["Cluster", "ClusterAccess"]

_CONNECT_TIMEOUT = 10.0
"""Seconds for the TCP and TLS handshakes."""

_MAX_ATTEMPTS = 3
_MAX_THROTTLED_ATTEMPTS = 6
_MAX_BODY_BYTES = 512 * 2**20
"""Of one answer, decompressed: many times the size of the largest page of a list, whose objects have a limit each."""

_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class Cluster:
    """A client of one API server, made by `connect`. May be shared by the tasks of one event loop."""

    def __init__(self, name: str, session: Session, concurrency: int) -> None:
        self.name = name
        self._session = session
        self._slots = asyncio.Semaphore(concurrency)

    @classmethod
    async def connect(
        cls,
        access: ClusterAccess,
        *,
        concurrency: int = 16,
        user_agent: str = f"driftd/{__version__}",
        environ: Mapping[str, str] | None = None,
    ) -> Cluster:
        """Loads configuration and credentials. No request is sent yet.

        `concurrency` limits concurrent requests, not counting watches.

        Raises: ConfigError: the kubeconfig is missing or broken. KubeError: there are no credentials.
        """
        session = Session(RestConfigLoader(access, os.environ if environ is None else environ), user_agent)
        await session.open()
        return cls(access.name or session.config.context, session, concurrency)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._session.config.server

    @property
    def namespace(self) -> str:
        """The namespace of the kubeconfig's context or of the pod, by default "default"."""
        return self._session.config.namespace

    def __repr__(self) -> str:
        return f"Cluster({self.name!r}, {self.server!r})"

    async def close(self) -> None:
        """Closes every connection, including watches."""
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 30.0,  # noqa: ASYNC109  of each attempt, not counting the waits for a slot and between attempts
        idempotent: bool | None = None,
        decode: bool = True,
        warnings: list[str] | None = None,
    ) -> Any:
        """Sends one request and returns its decoded JSON (its bytes without `decode`).

        429, and 5xx with a Retry-After, are retried after that time; broken connections, and 502, 503 and 504 without
        one, only if the request is `idempotent` (by default: GET and HEAD). `timeout` is in seconds, for each attempt.
        `warnings` receives the server's warnings.

        Raises: KubeError: the server refused (Forbidden, NotFound, Conflict, Invalid, Gone by its status) or the
            response is not JSON. ClusterUnreachable: no response.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": accept}
        data: bytes | None = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = body if isinstance(body, bytes) else encode_json(body)
        retry_safe = method in ("GET", "HEAD") if idempotent is None else idempotent
        try:
            async for attempt in retrying():
                with attempt:
                    async with self._slots:
                        payload = await self._attempt(
                            method, path, target, headers, data, timeout, retry_safe, warnings
                        )
        except Retryable as exhausted:
            raise exhausted.error from exhausted.__cause__
        return self._decoded(payload, method, path) if decode else payload

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], idle_timeout: float, accept: str = "application/json"
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """The body of a long-running GET, as it arrives. `idle_timeout`: maximum seconds between two chunks.

        Raises: as `request`, also while the body is read; nothing is retried (see `KubeError.retry_after`).
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=idle_timeout)
        headers = {"Accept": accept}
        target = f"{path}?{urlencode(query)}"
        try:
            async with self._session.exchange("GET", target, headers, None, timeout) as response:
                if response.status >= 300:
                    failure = self._response_error(response.status, await self._body(response), "GET", path)
                    failure.retry_after = retry_after(response.headers.get("Retry-After"))
                    raise failure
                yield response.content
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._connection_error(error) from error

    async def _attempt(
        self,
        method: str,
        path: str,
        target: str,
        headers: Mapping[str, str],
        data: bytes | None,
        limit: float,
        retry_safe: bool,
        warnings: list[str] | None,
    ) -> bytes:
        timeouts = aiohttp.ClientTimeout(total=limit, sock_connect=min(_CONNECT_TIMEOUT, limit))
        try:
            async with self._session.exchange(method, target, headers, data, timeouts) as response:
                payload = await self._body(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            unreachable = self._connection_error(error)
            if retry_safe and is_broken_connection(error):
                raise Retryable(unreachable, attempts=_MAX_ATTEMPTS) from error
            raise unreachable from error
        if response.status < 300:
            if warnings is not None:
                warnings.extend(_WARNING.findall(", ".join(response.headers.getall("Warning", ()))))
            return payload
        failure = self._response_error(response.status, payload, method, path, data)
        after = failure.retry_after = retry_after(response.headers.get("Retry-After"))
        if response.status == 429 or (response.status >= 500 and after is not None):
            raise Retryable(failure, attempts=_MAX_THROTTLED_ATTEMPTS, retry_after=after if after is not None else 1.0)
        if response.status in (502, 503, 504) and retry_safe:
            raise Retryable(failure, attempts=_MAX_ATTEMPTS)
        raise failure

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """Raises: what aiohttp raises. KubeError: it is too large, or has no end."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > _MAX_BODY_BYTES:
                response.close()
                raise KubeError(f"cluster {self.name}: {self.server} sent over {_MAX_BODY_BYTES >> 20} MiB at once")
        return b"".join(chunks)

    def _decoded(self, payload: bytes, method: str, path: str) -> Any:
        try:
            return orjson.loads(payload)
        except orjson.JSONDecodeError:
            # from None: the decoder's error contains the whole response, including secrets.
            raise KubeError(
                f"cluster {self.name}: {method} {path}: {self.server} sent something that is not JSON: "
                "check that the URL is the API server's, and for proxies in between"
            ) from None

    def _response_error(
        self, status: int, payload: bytes, method: str, path: str, sent: bytes | None = None
    ) -> KubeError:
        if status == 401:
            return KubeError(
                f"cluster {self.name}: {self.server} does not accept the credentials of {self._session.config.origin}: "
                "log in again, or renew the token",
                status=401,
                reason="Unauthorized",
            )
        return response_error(status, payload, method=method, path=path, sent=sent)

    def _connection_error(self, error: Exception) -> KubeError:
        return connection_error(error, cluster=self.name, server=self.server, proxy=self._session.config.proxy)
