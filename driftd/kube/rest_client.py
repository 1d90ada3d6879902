"""One API server: raw requests, with every failure as one of driftd's errors."""

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
from driftd.kube.errors import is_broken_connection, refusal, unreachable
from driftd.kube.kubeconfig import ClusterAccess
from driftd.kube.rest_config import LoginSource
from driftd.kube.retry import Retryable, retry_after, retrying
from driftd.kube.session import Session
from driftd.model.errors import KubeError

__all__ = ["Cluster", "ClusterAccess"]

_CONNECT = 10.0
"""Seconds for a TCP and TLS handshake."""

_BROKEN_TRIES, _BUSY_TRIES = 3, 6
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class Cluster:
    """One API server. Made by `connect`; safe to use from many tasks of one event loop."""

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
        """Reads the configuration and prepares the login. The server itself is first asked by `request`.

        `concurrency` bounds requests under way, watches not counted.

        Raises: ConfigError: the kubeconfig is missing or broken. KubeError: there are no credentials to be had.
        """
        session = Session(LoginSource(access, os.environ if environ is None else environ), user_agent)
        await session.open()
        return cls(access.name, session, concurrency)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._session.login.server

    @property
    def namespace(self) -> str:
        """The namespace that the kubeconfig's context or the pod names: "default" where there is none."""
        return self._session.login.namespace

    def __repr__(self) -> str:
        return f"Cluster({self.name!r}, {self.server!r})"

    async def close(self) -> None:
        """Closes every connection, watches too."""
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
        timeout: float = 30.0,  # noqa: ASYNC109  of each attempt, waits for a slot and between attempts apart
        idempotent: bool | None = None,
        decode: bool = True,
        warnings: list[str] | None = None,
    ) -> Any:
        """Sends one request and returns its decoded JSON (its bytes without `decode`).

        429, and 5xx with a Retry-After, are sent again after that time; a connection that broke, and any other 5xx of
        a server that is short of something, only where the request is `idempotent` (by default: GET and HEAD).
        `timeout` is in seconds and for each attempt. `warnings` receives what the server warned of.

        Raises: KubeError: the server refused (Forbidden, NotFound, Conflict, Invalid, Gone by its status) or what it
            sent is not JSON. ClusterUnreachable: no answer.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": accept}
        data: bytes | None = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = body if isinstance(body, bytes) else orjson.dumps(body)
        repeatable = method in ("GET", "HEAD") if idempotent is None else idempotent
        try:
            async for attempt in retrying():
                with attempt:
                    async with self._slots:
                        payload = await self._once(method, path, target, headers, data, timeout, repeatable, warnings)
        except Retryable as again:
            raise again.error from again.__cause__
        return self._decoded(payload, method, path) if decode else payload

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], silence: float, accept: str = "application/json"
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """The body of a GET that lasts, as it arrives. `silence`: seconds without a byte after which it is given up.

        Raises: as `request`, also while the body is read; nothing is tried again (see `KubeError.retry_after`).
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=silence)
        headers = {"Accept": accept}
        target = f"{path}?{urlencode(query)}"
        try:
            async with self._session.exchange("GET", target, headers, None, timeout) as response:
                if response.status >= 300:
                    refused = self._refused(response.status, await response.read(), "GET", path)
                    refused.retry_after = retry_after(response.headers.get("Retry-After"))
                    raise refused
                yield response.content
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    async def _once(
        self,
        method: str,
        path: str,
        target: str,
        headers: Mapping[str, str],
        data: bytes | None,
        limit: float,
        repeatable: bool,
        warnings: list[str] | None,
    ) -> bytes:
        limits = aiohttp.ClientTimeout(total=limit, sock_connect=min(_CONNECT, limit))
        try:
            async with self._session.exchange(method, target, headers, data, limits) as response:
                payload = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = self._unreachable(error)
            if repeatable and is_broken_connection(error):
                raise Retryable(failure, tries=_BROKEN_TRIES) from error
            raise failure from error
        if response.status < 300:
            if warnings is not None:
                warnings.extend(_WARNING.findall(", ".join(response.headers.getall("Warning", ()))))
            return payload
        refused = self._refused(response.status, payload, method, path)
        after = refused.retry_after = retry_after(response.headers.get("Retry-After"))
        if response.status == 429 or (response.status >= 500 and after is not None):
            raise Retryable(refused, tries=_BUSY_TRIES, after=after if after is not None else 1.0)
        if response.status in (502, 503, 504) and repeatable:
            raise Retryable(refused, tries=_BROKEN_TRIES)
        raise refused

    def _decoded(self, payload: bytes, method: str, path: str) -> Any:
        try:
            return orjson.loads(payload)
        except orjson.JSONDecodeError:
            # from None: the decoder's error carries the whole answer, secrets and all.
            raise KubeError(
                f"cluster {self.name}: {method} {path}: {self.server} sent something that is not JSON: "
                "check that the URL is the API server's, and for proxies in between"
            ) from None

    def _refused(self, status: int, payload: bytes, method: str, path: str) -> KubeError:
        if status == 401:
            return KubeError(
                f"cluster {self.name}: {self.server} does not accept the credentials of {self._session.login.origin}: "
                "log in again, or renew the token",
                status=401,
                reason="Unauthorized",
            )
        return refusal(status, payload, method=method, path=path)

    def _unreachable(self, error: Exception) -> KubeError:
        return unreachable(error, cluster=self.name, server=self.server, proxy=self._session.login.proxy)
