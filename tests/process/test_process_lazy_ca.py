"""The system's certificate authorities count for whoever wants them, and cost only those."""

from __future__ import annotations

import asyncio
import http.client
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from driftd.process.lazy_ca import lazy_ca
from tests.support.certificates import Authority

Connect = Callable[[int, ssl.SSLContext], Awaitable[int]]


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """An HTTPS server whose authority is all that this system trusts."""
    authority = Authority(tmp_path)
    pair = authority.server("server", ["localhost"])
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def _unread() -> ssl.SSLContext:
    with lazy_ca():
        return ssl.create_default_context()


async def _by_aiohttp(port: int, context: ssl.SSLContext) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"https://localhost:{port}", ssl=context) as answer:
        return answer.status


async def _by_socket(port: int, context: ssl.SSLContext) -> int:
    def status() -> int:
        connection = http.client.HTTPSConnection("localhost", port, context=context)
        connection.request("GET", "/")
        found = connection.getresponse().status
        connection.close()
        return found

    return await asyncio.to_thread(status)


@pytest.mark.parametrize("connect", [_by_aiohttp, _by_socket])
async def test_authorities_are_read_for_the_first_connection(port: int, connect: Connect) -> None:
    """Until then there are none; and from then on it is a context like any other."""
    context = _unread()
    assert context.cert_store_stats()["x509_ca"] == 0
    for _ in range(2):
        assert await connect(port, context) == 404
        assert context.cert_store_stats()["x509_ca"] == 1
    assert type(context) is ssl.SSLContext


@pytest.mark.parametrize("connect", [_by_aiohttp, _by_socket])
async def test_a_stranger_is_not_trusted(port: int, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anybody by the wrong name: all that a default context checks is checked."""
    context = _unread()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.verify_flags == ssl.create_default_context().verify_flags
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises((aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        await connect(port, context)


def test_contexts_of_other_kinds_are_made_as_ever(tmp_path: Path) -> None:
    """Those with authorities of their own, and those of servers; and all of them, afterwards."""
    certificate = Authority(tmp_path).certificate
    with lazy_ca():
        own = ssl.create_default_context(cafile=str(certificate))
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    assert (type(own), type(server)) == (ssl.SSLContext, ssl.SSLContext)
    assert own.cert_store_stats()["x509_ca"] == 1
    assert type(ssl.create_default_context()) is ssl.SSLContext


def test_two_threads_that_put_it_off_do_not_meet() -> None:
    """The second one waits for the first, and both leave things as they were."""
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with lazy_ca():
            inside.set()
            leave.wait(10)

    with ThreadPoolExecutor(2) as pool:
        begun = pool.submit(first)
        assert inside.wait(10)
        second = pool.submit(_unread)
        assert not second.done()
        leave.set()
        begun.result(10)
        assert second.result(10).cert_store_stats()["x509_ca"] == 0
    assert type(ssl.create_default_context()) is ssl.SSLContext


def test_a_check_reads_no_authorities_to_start(tmp_path: Path) -> None:
    """What it connects to has its own. aiohttp keeps a context that verifies, and one that does not."""
    program = """
from driftd.cli.live_side import import_clusters
from driftd.cli.output import Format
import_clusters(Format.JSON)
from aiohttp import connector
kept = [connector._SSL_CONTEXT_VERIFIED, connector._SSL_CONTEXT_UNVERIFIED]
print([context.cert_store_stats()["x509_ca"] for context in kept])
import ssl
print(ssl.create_default_context().cert_store_stats()["x509_ca"])
"""
    environment = {**os.environ, "SSL_CERT_FILE": str(Authority(tmp_path).certificate), "SSL_CERT_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.split("\n")[:2] == ["[0, 0]", "1"]
