"""The HTTP transport to one API server, with credentials that are renewed when they expire or are rejected."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import aiohttp
import structlog
from multidict import CIMultiDict
from yarl import URL

from driftd.kube.rest_config import RestConfig, RestConfigLoader, TlsConfig
from driftd.model.errors import DriftdError, KubeError
from driftd.process.environment_proxy import environment_proxy

_READ_BUFFER_BYTES = 2**18
"""A watch event may be megabytes long: aiohttp's default of 64 KB would pause the reader again and again."""

_LARGE_BODY_BYTES = 2**20
"""Size above which aiohttp wants a body as a file, to send it in chunks."""

_MIN_RENEWAL_SECONDS = 10.0
"""Minimum seconds between two renewals: after one that failed, and after a 401 for credentials that are as new."""

log = structlog.get_logger()


class _Transport:
    """An aiohttp session with its TLS configuration. A retired one is closed when no request uses it any more."""

    def __init__(self, tls: TlsConfig, session: aiohttp.ClientSession) -> None:
        self.tls = tls
        self.session = session
        self.in_flight = 0
        self.retired = False

    async def release(self) -> None:
        self.in_flight -= 1
        await self.close_if_idle()

    async def close_if_idle(self) -> None:
        if self.retired and not self.in_flight:
            await self.session.close()


class Session:
    """Sends raw requests with the configured headers, and reloads the configuration when credentials need it."""

    def __init__(self, loader: RestConfigLoader, user_agent: str) -> None:
        self._loader = loader
        self._user_agent = user_agent
        self._renewing = asyncio.Lock()
        self._transport: _Transport | None = None
        self._config: RestConfig | None = None
        self._renewed_at = -_MIN_RENEWAL_SECONDS
        self._renewal_retry_at = 0.0

    @property
    def config(self) -> RestConfig:
        if self._config is None:
            raise KubeError("not connected yet")
        return self._config

    async def open(self) -> None:
        """Loads the configuration; no request is sent.

        Raises: ConfigError, KubeError: it is not usable.
        """
        await self._load_config()

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.retired = True
            self._transport.in_flight = 0
            await self._transport.close_if_idle()

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        path_and_query: str,
        headers: Mapping[str, str],
        data: bytes | None,
        timeouts: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request and its response of any status; after a 401 it is repeated once with renewed credentials.

        After a failed TLS handshake, too: the server's authority may have been rotated, and the kubeconfig with it.

        Raises: what aiohttp raises; ConfigError, KubeError: credentials could not be renewed.
        """
        await self._renew_if_due()
        config, transport = self.config, self._acquire()
        try:
            answer = await self._answer(transport, config, method, path_and_query, headers, data, timeouts)
            if isinstance(answer, aiohttp.ClientSSLError) or answer.status == 401:
                if isinstance(answer, aiohttp.ClientResponse):
                    await answer.read()  # returns the connection to the pool
                if await self._renew_rejected(config):
                    renewed = self._acquire()
                    await transport.release()
                    config, transport = self.config, renewed
                    answer = await self._answer(transport, config, method, path_and_query, headers, data, timeouts)
            if isinstance(answer, aiohttp.ClientSSLError):
                raise answer
            async with answer:
                yield answer
        finally:
            await transport.release()

    async def _answer(self, *arguments: Any) -> aiohttp.ClientResponse | aiohttp.ClientSSLError:
        """The response, or why there is no connection that can be trusted."""
        try:
            return await self._send(*arguments)
        except aiohttp.ClientSSLError as error:
            return error

    def _acquire(self) -> _Transport:
        if self._transport is None or self._transport.session.closed:
            raise KubeError(f"the connection to {self.config.server} was closed")
        self._transport.in_flight += 1
        return self._transport

    @staticmethod
    async def _send(
        transport: _Transport,
        config: RestConfig,
        method: str,
        path_and_query: str,
        headers: Mapping[str, str],
        data: bytes | None,
        timeouts: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        all_headers = CIMultiDict(config.headers)
        all_headers.extend(headers)
        options: dict[str, Any] = {}
        if config.tls.server_name and config.server.startswith("https:"):
            options["server_hostname"] = config.tls.server_name
        return await transport.session.request(
            method,
            URL(config.server + path_and_query, encoded=True),
            headers=all_headers,
            data=BytesIO(data) if data is not None and len(data) > _LARGE_BODY_BYTES else data,
            timeout=timeouts,
            proxy=config.proxy or environment_proxy(config.server),
            allow_redirects=False,  # an API server has no reason to send our credentials elsewhere
            **options,
        )

    async def _renew_if_due(self) -> None:
        """Renews credentials before they expire. If that fails, the old ones are used until the server rejects them."""
        config = self.config
        if time.monotonic() < max(config.renew_at, self._renewal_retry_at):
            return
        async with self._renewing:
            if self._config is not config:
                return
            try:
                await self._load_config()
            except DriftdError as error:
                log.warning("login not renewed", server=config.server, error=str(error))
            if self.config.renew_at <= time.monotonic():  # as before, or expired already: by a wrong clock all have
                self._renewal_retry_at = time.monotonic() + _MIN_RENEWAL_SECONDS

    async def _renew_rejected(self, rejected: RestConfig) -> bool:
        """Whether there are other credentials now than the rejected ones."""
        async with self._renewing:
            if self._config is not rejected:
                return True
            if time.monotonic() - self._renewed_at < _MIN_RENEWAL_SECONDS:
                return False  # just renewed: running the plugin again for every request would not help
            await self._load_config()
            return True

    async def _load_config(self) -> None:
        config = await self._loader.load()
        transport = self._transport
        if transport is None or transport.tls != config.tls:
            self._transport = await self._new_transport(config)
            if transport is not None:
                transport.retired = True
                await transport.close_if_idle()
        self._config = config
        self._renewed_at = time.monotonic()

    async def _new_transport(self, config: RestConfig) -> _Transport:
        try:
            context = await asyncio.to_thread(config.tls.context)
        except (OSError, ValueError) as error:
            raise KubeError(
                f"{config.origin}: its certificates cannot be used ({getattr(error, 'reason', None) or error})"
            ) from error
        headers = {"User-Agent": self._user_agent}
        if not config.compress:
            headers["Accept-Encoding"] = "identity"
        session = aiohttp.ClientSession(
            # No limit: `Cluster` limits requests, and watches are not limited.
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            headers=headers,
            read_bufsize=_READ_BUFFER_BYTES,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return _Transport(config.tls, session)
