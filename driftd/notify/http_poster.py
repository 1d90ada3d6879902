"""One HTTP POST, and what its answer means for a delivery."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from driftd.model.errors import NotifyError

TIMEOUT = 10.0
"""Seconds for one request, from connecting to the last byte of the answer."""

# What a person can put right while the notification stays the same is tried again (a rotated key, a receiver that is
# being deployed, a rate limit); any other 4xx is the receiver's word on this very body.
_WORTH_ANOTHER_TRY = frozenset({401, 403, 404, 407, 408, 409, 421, 423, 425, 429})

_ANSWER_READ = 200


class HttpPoster:
    """A session for POST requests that follows no redirect: what is signed for one address goes to no other."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, target: str) -> None:
        """Deliver a body. `to` names the channel in errors; the address stays out of them, it may hold a secret.

        Raises: NotifyError: no answer, or any other than 2xx.
        """
        try:
            async with self.session().post(url, data=body, headers=headers, allow_redirects=False) as response:
                status, retry_after = response.status, parse_retry_after(response.headers.get("Retry-After"))
                answer = (await response.content.read(_ANSWER_READ)).decode(errors="replace").strip()
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise NotifyError(f"{target}: its address is not a URL") from None  # the original error quotes it
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise NotifyError(f"{target}: {describe(e)}") from None  # chained, a traceback would show the address
        if 200 <= status < 300:
            return
        # Slack's webhooks answer with one word ("invalid_blocks"); a page of HTML is nobody's news.
        word = f" ({answer})" if answer.replace("_", "").isalpha() and answer.isascii() and len(answer) < 50 else ""
        if 300 <= status < 400:
            raise NotifyError(f"{target}: HTTP {status}: redirects are not followed: configure the final address")
        permanent = 400 <= status < 500 and status not in _WORTH_ANOTHER_TRY
        raise NotifyError(f"{target}: HTTP {status}{word}", retry_after=retry_after, permanent=permanent)

    def session(self) -> aiohttp.ClientSession:
        """The session, made at its first use, that honours the usual proxy variables."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), trust_env=True)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def parse_retry_after(header: str | None) -> float | None:
    """Seconds, from a number of them or a date (RFC 9110, 10.2.3); None for anything else."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def describe(error: BaseException) -> str:
    """What went wrong with a connection, without the address."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host name is not known"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate is not to be trusted"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or 'refused'}"
    return f"the connection broke ({type(error).__name__})"
