"""TLS connections of the daemon are small."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol

import pytest

from driftd.process.tls import limit_tls_buffers


async def test_a_new_connection_has_a_buffer_of_64_kib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's has 256 KiB."""
    monkeypatch.setattr(SSLProtocol, "max_size", SSLProtocol.max_size)
    limit_tls_buffers()
    loop = asyncio.get_running_loop()
    connection = SSLProtocol(loop, asyncio.Protocol(), ssl.create_default_context(), None, server_hostname="localhost")
    assert len(connection.get_buffer(1)) == 2**16
