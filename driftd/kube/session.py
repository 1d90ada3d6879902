"""An HTTP session with one API server under the current login, renewed as the login is."""

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

from driftd.kube.rest_config import Login, LoginSource, Tls
from driftd.model.errors import DriftdError, KubeError

_READ_BUFFER = 2**18
"""Bytes. A watch's line may be megabytes long: with aiohttp's default of 64 KB its reader would stop and go."""

_LARGE_BODY = 2**20
"""Bytes above which aiohttp wants a body as a file, to send it in pieces."""

_PAUSE = 10.0
"""Seconds before a login that could not be renewed is tried again without need, or after a 401 is renewed once more."""

log = structlog.get_logger()


class _Line:
    """One aiohttp session. A retired one is closed once nothing uses it any more."""

    def __init__(self, tls: Tls, session: aiohttp.ClientSession) -> None:
        self.tls = tls
        self.session = session
        self.users = 0
        self.retired = False

    async def leave(self) -> None:
        self.users -= 1
        await self.close_if_unused()

    async def close_if_unused(self) -> None:
        if self.retired and not self.users:
            await self.session.close()


class Session:
    """Sends raw requests with the login's headers; gets a new login when the old one expires or is refused."""

    def __init__(self, source: LoginSource, user_agent: str) -> None:
        self._source = source
        self._user_agent = user_agent
        self._renewing = asyncio.Lock()
        self._line: _Line | None = None
        self._login: Login | None = None
        self._renewed_at = 0.0
        self._retry_at = 0.0

    @property
    def login(self) -> Login:
        if self._login is None:
            raise KubeError("not connected yet")
        return self._login

    async def open(self) -> None:
        """Makes the first login; no request is sent.

        Raises: ConfigError, KubeError: there is no usable login.
        """
        await self._log_in()

    async def close(self) -> None:
        if self._line is not None:
            self._line.retired = True
            self._line.users = 0
            await self._line.close_if_unused()

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        path_and_query: str,
        headers: Mapping[str, str],
        data: bytes | None,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request and its answer, whatever its status; a 401 is answered once with a new login.

        Raises: what aiohttp raises; ConfigError, KubeError: a new login was needed and could not be had.
        """
        await self._renew_if_due()
        login, line = self.login, self._use()
        try:
            response = await self._send(line, login, method, path_and_query, headers, data, limits)
            if response.status == 401:
                await response.read()  # gives the connection back, whatever becomes of the new login
                if await self._renew_refused(login):
                    renewed = self._use()
                    await line.leave()
                    login, line = self.login, renewed
                    response = await self._send(line, login, method, path_and_query, headers, data, limits)
            async with response:
                yield response
        finally:
            await line.leave()

    def _use(self) -> _Line:
        if self._line is None or self._line.session.closed:
            raise KubeError(f"the connection to {self.login.server} was closed")
        self._line.users += 1
        return self._line

    @staticmethod
    async def _send(
        line: _Line,
        login: Login,
        method: str,
        path_and_query: str,
        headers: Mapping[str, str],
        data: bytes | None,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        everything = CIMultiDict(login.headers)
        everything.extend(headers)
        options: dict[str, Any] = {}
        if login.tls.server_name and login.server.startswith("https:"):
            options["server_hostname"] = login.tls.server_name
        return await line.session.request(
            method,
            URL(login.server + path_and_query, encoded=True),
            headers=everything,
            data=BytesIO(data) if data is not None and len(data) > _LARGE_BODY else data,
            timeout=limits,
            proxy=login.proxy,
            allow_redirects=False,  # an API server has no reason to send our credentials elsewhere
            **options,
        )

    async def _renew_if_due(self) -> None:
        """Renews in good time. Should that fail, the old login serves on until the server refuses it."""
        login = self.login
        if time.time() < max(login.renew_at, self._retry_at):
            return
        async with self._renewing:
            if self._login is not login:
                return
            try:
                await self._log_in()
            except DriftdError as error:
                self._retry_at = time.time() + _PAUSE
                log.warning("login not renewed", server=login.server, error=str(error))

    async def _renew_refused(self, refused: Login) -> bool:
        """True when there is another login than the one that was refused."""
        async with self._renewing:
            if self._login is not refused:
                return True
            if time.time() - self._renewed_at < _PAUSE:
                return False  # it is as new as can be: asking the plugin with every request would not help
            await self._log_in()
            return True

    async def _log_in(self) -> None:
        login = await self._source.log_in()
        line = self._line
        if line is None or line.tls != login.tls:
            self._line = await self._dial(login)
            if line is not None:
                line.retired = True
                await line.close_if_unused()
        self._login = login
        self._renewed_at = time.time()

    async def _dial(self, login: Login) -> _Line:
        try:
            context = await asyncio.to_thread(login.tls.context)
        except (OSError, ValueError) as error:
            raise KubeError(
                f"{login.origin}: its certificates cannot be used ({getattr(error, 'reason', None) or error})"
            ) from error
        headers = {"User-Agent": self._user_agent}
        if not login.compress:
            headers["Accept-Encoding"] = "identity"
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context, limit=0
            ),  # requests are counted by their caller, watches are not
            headers=headers,
            trust_env=True,
            read_bufsize=_READ_BUFFER,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return _Line(login.tls, session)
