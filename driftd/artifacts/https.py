"""Reading from one https server, within limits: a login goes to that server alone, wherever it sends on to."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from driftd import __version__
from driftd.artifacts.source import HttpsLogin
from driftd.git.source import BasicAuth, BearerAuth
from driftd.model.errors import GitError, SourceUnreachable
from driftd.process.environment_proxy import environment_proxy
from driftd.process.private_file import private_file

_MAX_REDIRECTS = 5
_CHUNK = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whole. `url` is where it came from in the end."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class HttpsReader:
    """Reads by GET. What it is trusted with is sent to `origin` only; `title` is what is read, for errors."""

    def __init__(self, session: aiohttp.ClientSession, origin: str, login: HttpsLogin, title: str) -> None:
        self._session = session
        self._origin = URL(origin).origin()
        self._login = login
        self._title = title

    async def get(self, url: str, limit: int, *, accept: str = "*/*", authorization: str | None = None) -> Answer:
        """The answer to a request, at most `limit` bytes. Redirects are followed, by https only.

        `authorization` is sent to the origin alone, and in its place by default the login's own, if there is one.
        Raises: SourceUnreachable.
        """
        own = authorization if authorization is not None else self.authorization
        address = self._address(url)
        for _ in range(_MAX_REDIRECTS + 1):
            headers = {"Accept": accept}
            if own and address.origin() == self._origin:
                headers["Authorization"] = own
            answer = await self._answer(address, headers, limit)
            location = answer.headers.get("Location", "")
            if answer.status not in _REDIRECTS or not location:
                return answer
            address = self._address(urljoin(str(address), location))
        raise self._unreachable("the server sends on again and again")

    async def token(self, url: str, limit: int, *, with_login: bool) -> Answer:
        """The answer of a server that gives out tokens; a redirect is none. Raises: SourceUnreachable."""
        headers = {"Authorization": self.authorization} if with_login and self.authorization else {}
        return await self._answer(self._address(url), headers, limit)

    @property
    def authorization(self) -> str | None:
        """The header's value for the login, if it has one for https."""
        match self._login.auth:
            case BasicAuth(username, password):
                return "Basic " + base64.b64encode(f"{username.read()}:{password.read()}".encode()).decode()
            case BearerAuth(token):
                return f"Bearer {token.read()}"
            case _:
                return None

    def refused(self, answer: Answer) -> GitError:
        """The error for an answer that is not what was asked for."""
        if answer.status in (401, 403, 404) and self._login.why_none:
            return self._unreachable(f"the server answers {answer.status} ({self._login.why_none})")
        return self._unreachable(f"the server answers {answer.status}")

    async def _answer(self, url: URL, headers: Mapping[str, str], limit: int) -> Answer:
        try:
            async with self._session.get(
                url, headers=headers, proxy=self._proxy(url), allow_redirects=False
            ) as response:
                chunks, size = [], 0
                async for chunk in response.content.iter_chunked(_CHUNK):
                    size += len(chunk)
                    if size > limit:
                        raise self._unreachable(f"the server sends more than {limit >> 20} MiB")
                    chunks.append(chunk)
                return Answer(response.status, str(url), response.headers, b"".join(chunks))
        except aiohttp.ClientConnectorCertificateError as error:
            raise self._unreachable(f"the server's certificate is not trusted: {error.certificate_error}") from None
        except (aiohttp.ClientError, OSError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__  # the text may quote headers
            raise self._unreachable(f"the server cannot be reached: {reason}") from None

    def _address(self, url: str) -> URL:
        """An address as the client will read it, so that there is one understanding of which server it names."""
        try:
            address = URL(url)
            address.origin()
        except ValueError:
            raise self._unreachable("the server names an address that cannot be read") from None
        if address.scheme != "https" or address.user is not None or address.password is not None:
            raise self._unreachable("the server names an address that is not https, or has a login in it")
        return address

    def _proxy(self, url: URL) -> str | None:
        return self._login.proxy.read() if self._login.proxy is not None else environment_proxy(str(url))

    def _unreachable(self, reason: str) -> SourceUnreachable:
        return SourceUnreachable(f"{self._title}: {reason}")


@asynccontextmanager
async def https_reader(origin: str, login: HttpsLogin, title: str) -> AsyncIterator[HttpsReader]:
    """A reader with connections of its own."""
    try:
        context = _tls(login)
    except (ssl.SSLError, OSError, ValueError):
        raise GitError(f"{title}: the certificate that its deployer has for the server cannot be read") from None
    async with aiohttp.ClientSession(
        headers={"User-Agent": f"driftd/{__version__}", "Accept-Encoding": "identity"},
        connector=aiohttp.TCPConnector(ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=30),
    ) as session:
        yield HttpsReader(session, origin, login, title)


def _tls(login: HttpsLogin) -> ssl.SSLContext:
    context = ssl.create_default_context()
    held = login.held
    if held is not None and held.ca is not None:
        context.load_verify_locations(cadata=held.ca)
    if held is not None and held.client_certificate is not None and held.client_key is not None:
        with ExitStack() as stack:
            certificate, key = (
                stack.enter_context(private_file(text)) for text in (held.client_certificate, held.client_key)
            )
            context.load_cert_chain(certificate, key)
    return context
