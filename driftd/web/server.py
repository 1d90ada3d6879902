"""Serves an application by uvicorn, inside the daemon's event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from driftd.model.errors import DriftdError
from driftd.process.files import check_file
from driftd.web.limits import BACKLOG, LimitedListener, LimitedProtocol, OncePerSecond

STOP_SECONDS = 3
"""Seconds that open requests have to end when the server stops."""

logging.getLogger("uvicorn.error").addFilter(OncePerSecond())  # it has a line for every request that is none


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `port` is the one assigned where 0 was requested."""

    host: str
    port: int
    task: asyncio.Task[None]

    @property
    def ended(self) -> bool:
        """Whether it serves no more, although nobody has stopped it."""
        return self.task.done()

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The server's certificate and key, as PEM files."""

    cert_file: Path
    key_file: Path


class _Uvicorn(uvicorn.Server):
    """A uvicorn server that leaves signals to the daemon, and sets `listening` once it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(app: Starlette, host: str, port: int, tls: Certificate | None = None) -> AsyncIterator[Server]:
    """Serves `app` on `host` and `port` (0: any free one) while the context is open, then stops gracefully.

    Uses TLS where a certificate is given.
    Raises: DriftdError: the address cannot be bound, or the certificate cannot be loaded.
    """
    context = serving_context(tls) if tls else None
    listener = _bind(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        timeout_keep_alive=30,
        http=LimitedProtocol,
        ws="none",
        backlog=BACKLOG,
        ssl_context_factory=(lambda _config, _default: context) if context else None,
    )
    server = _Uvicorn(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="web")
    try:
        listening = asyncio.create_task(server.listening.wait())
        await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            await task
            raise DriftdError(f"the web server on {host}:{port} stopped before it had started")
        yield Server(host, listener.getsockname()[1], task)
    finally:
        server.should_exit = True
        try:
            await asyncio.wait_for(asyncio.shield(task), STOP_SECONDS + 2)
        except TimeoutError:
            server.force_exit = True
            await task
        finally:
            listener.close()


def serving_context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        check_file(certificate.cert_file)
        check_file(certificate.key_file)
        context.load_cert_chain(certificate.cert_file, certificate.key_file)
    except (OSError, ssl.SSLError) as error:
        raise DriftdError(
            f"the certificate {certificate.cert_file} with the key {certificate.key_file} (web.audit) is of no use: "
            f"{error.strerror or error}"
        ) from error
    return context


def _bind(host: str, port: int) -> LimitedListener:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = LimitedListener(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.set_inheritable(False)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from error
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> DriftdError:
    reason = error.strerror or str(error)
    return DriftdError(f"cannot listen on {host}:{port} (web.listen): {reason}")
