"""TLS connections of asyncio."""

from __future__ import annotations

from asyncio.sslproto import SSLProtocol

_BUFFER_BYTES = 2**16
"""Four TLS records."""


def limit_tls_buffers() -> None:
    """Gives each TLS connection a smaller buffer than asyncio's 256 KiB: every watch has one for its lifetime."""
    SSLProtocol.max_size = _BUFFER_BYTES
