"""HTTP POST of a delivery, and which responses are permanent failures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from driftd.model.backoff import parse_retry_after
from driftd.model.errors import NotifyError
from driftd.process.environment_proxy import environment_proxy

TIMEOUT = 10.0
"""Seconds for one request, from connecting to the headers of the response."""

MAX_RETRY_AFTER = 600.0
"""Seconds; a longer Retry-After is cut to this: a channel is never silenced for longer by one answer."""

_BODY_TIMEOUT = 3.0
"""Seconds for the body of a response, after its headers."""

_PERMANENT_STATUSES = frozenset({400, 410, 413, 415, 422})
"""Those that say something of this body, or that its receiver is gone for good. Any other may pass for the same body: a
rotated key, a receiver that is being deployed, a rate limit, the page of a proxy (405 for each POST, 451, …)."""

_MAX_WORD_BYTES = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. `body` is its start; `complete` says whether that is all of it: it came in time, and is not long.

    `retry_after` is in seconds, between 0 and `MAX_RETRY_AFTER`.
    """

    status: int
    retry_after: float | None
    body: bytes
    complete: bool


class TooLarge(NotifyError):
    """The receiver does not take a body of this size."""


class HttpPoster:
    """A session for POST requests without redirects: a signed body or a token goes to no other address."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, target: str, max_bytes: int = 0
    ) -> Answer:
        """Deliver a body. The status line decides: no more than `max_bytes` of what follows it are waited for.

        Errors contain `target`, the channel's name, and not the URL, which may be secret.
        Raises: TooLarge. NotifyError: no response, or any other than 2xx.
        """
        answer = await self.exchange(url, body, headers, target=target, max_bytes=max_bytes)
        status = answer.status
        if 200 <= status < 300:
            return answer
        text = answer.body.decode(errors="replace").strip()
        # Slack's webhooks answer with one word ("invalid_blocks"); anything longer is left out.
        word = f" ({text})" if text.replace("_", "").isalpha() and text.isascii() and len(text) < 50 else ""
        permanent = status in _PERMANENT_STATUSES
        kind = TooLarge if status == 413 else NotifyError
        raise kind(f"{target}: HTTP {status}{word}", retry_after=answer.retry_after, permanent=permanent)

    async def exchange(
        self, url: str, body: bytes, headers: Mapping[str, str], *, target: str, max_bytes: int
    ) -> Answer:
        """Send a body, and read at most `max_bytes` of what is answered with 2xx, or a word of any other answer.

        Raises: NotifyError: no response, or a redirect.
        """
        try:
            response = await self._open().post(
                url, data=body, headers=headers, allow_redirects=False, proxy=environment_proxy(url)
            )
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise NotifyError(f"{target}: its address is not a URL") from None  # the original error contains it
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise NotifyError(f"{target}: {_describe(e)}") from None  # a chained error would show the URL
        except ValueError:
            what = "its address or secret has a character in it that no request can have (a line break, say)"
            raise NotifyError(f"{target}: {what}") from None  # as above
        status = response.status
        try:
            start = await _read_start(response, max_bytes if 200 <= status < 300 else _MAX_WORD_BYTES)
            complete = response.content.at_eof()
        finally:
            response.close()  # not released: that would wait for the end of a body that may have none
        if 300 <= status < 400:
            raise NotifyError(f"{target}: HTTP {status}: redirects are not followed: configure the final address")
        retry_after = parse_retry_after(response.headers.get("Retry-After"), MAX_RETRY_AFTER)
        return Answer(status, retry_after, start, complete)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        """The session, created on first use. It takes no login from a `.netrc`, and so no proxy by itself."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                # Messages are rare: a connection that was kept could be closed at the moment of the next one.
                connector=aiohttp.TCPConnector(force_close=True),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,  # a small body could become a large one
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _read_start(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """At most `limit` bytes of a body: what comes of it within `_BODY_TIMEOUT`."""
    start = bytearray()
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with asyncio.timeout(_BODY_TIMEOUT):
            while len(start) < limit and (chunk := await response.content.read(limit - len(start))):
                start += chunk
    return bytes(start)


def _describe(error: BaseException) -> str:
    """The text for a connection error, without the URL."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host name is not known"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate is not to be trusted"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or 'refused'}"
    return f"the connection broke ({type(error).__name__})"
