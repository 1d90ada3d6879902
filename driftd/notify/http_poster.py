"""HTTP POST of a delivery, and which responses are permanent failures."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from driftd.model.backoff import parse_retry_after
from driftd.model.errors import NotifyError

TIMEOUT = 10.0
"""Seconds for one request, from connecting to the end of the response."""

# Failures that may pass for the same notification (a rotated key, a receiver that is being deployed, a rate
# limit). With any other 4xx the receiver rejects this body.
_RETRYABLE_STATUSES = frozenset({401, 403, 404, 407, 408, 409, 421, 423, 425, 429})

_MAX_ANSWER_BYTES = 200


class HttpPoster:
    """A session for POST requests without redirects: a signed body goes to no other address."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, target: str) -> None:
        """Deliver a body. Errors contain `target`, the channel's name, and not the URL, which may be secret.

        Raises: NotifyError: no response, or any other than 2xx.
        """
        try:
            async with self.session().post(url, data=body, headers=headers, allow_redirects=False) as response:
                status, retry_after = response.status, parse_retry_after(response.headers.get("Retry-After"))
                answer = (await response.content.read(_MAX_ANSWER_BYTES)).decode(errors="replace").strip()
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise NotifyError(f"{target}: its address is not a URL") from None  # the original error contains it
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise NotifyError(f"{target}: {describe(e)}") from None  # a chained error would show the URL
        if 200 <= status < 300:
            return
        # Slack's webhooks answer with one word ("invalid_blocks"); anything longer is left out.
        word = f" ({answer})" if answer.replace("_", "").isalpha() and answer.isascii() and len(answer) < 50 else ""
        if 300 <= status < 400:
            raise NotifyError(f"{target}: HTTP {status}: redirects are not followed: configure the final address")
        permanent = 400 <= status < 500 and status not in _RETRYABLE_STATUSES
        raise NotifyError(f"{target}: HTTP {status}{word}", retry_after=retry_after, permanent=permanent)

    def session(self) -> aiohttp.ClientSession:
        """The session, created on first use, with the proxies of the environment."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), trust_env=True)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def describe(error: BaseException) -> str:
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
