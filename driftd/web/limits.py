"""Bounds on what clients may hold of a server: connections, the time of a request, lines in the log.

The servers share a process with everything else: its file descriptors, its event loop and its log.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from time import monotonic
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 128
"""Connections of one server from which on a new one ends the one that has been idle for longest."""

BACKLOG = 64
"""Connections that the kernel keeps for a server, and that are accepted at once."""

_MAX_SOCKETS = 256
"""Sockets of one server, including those whose TLS handshake has not ended; further ones are closed at once."""

_HEADER_SECONDS = 10.0
"""Seconds for the headers of a request, from the connection or from its first byte."""

_REQUEST_SECONDS = 60.0
"""Seconds from the headers of a request to the end of its response."""


class LimitedListener(socket.socket):
    """A listening socket that has at most `_MAX_SOCKETS` open connections."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connections = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. Raises: BlockingIOError: there is none, or too many are open."""
        accepted, address = super().accept()
        connection = _CountedSocket(self, accepted.detach())
        if self.connections > _MAX_SOCKETS:
            connection.close()
            raise BlockingIOError
        return connection, address


class _CountedSocket(socket.socket):
    def __init__(self, listener: LimitedListener, descriptor: int) -> None:
        super().__init__(listener.family, listener.type, listener.proto, fileno=descriptor)
        self._listener: LimitedListener | None = listener
        listener.connections += 1

    def close(self) -> None:
        if self._listener is not None:
            self._listener.connections -= 1
            self._listener = None
        super().close()


class LimitedProtocol(H11Protocol):
    """A connection that ends when a request takes too long, or when it is idle and there are too many."""

    _timer: asyncio.TimerHandle | None = None
    idle_since = 0.0
    """The time of the monotonic clock of the connection, or of the end of its last request."""

    @property
    def has_request(self) -> bool:
        """Whether a request has come that is not answered completely."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base class
        super().connection_made(transport)
        self.idle_since = monotonic()
        self._end_after(_HEADER_SECONDS)
        if len(self.connections) > MAX_CONNECTIONS:
            self._end_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._timer is None:
            self._end_after(_HEADER_SECONDS)
        super().data_received(data)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and self.has_request:
            self._end_after(_REQUEST_SECONDS)

    def on_response_complete(self) -> None:
        self._stop_timer()  # from now on it is uvicorn's, until a further request begins
        self.idle_since = monotonic()
        if self.conn.their_state is h11.SEND_BODY:  # answered before its end, which is still to come
            self._end_after(_HEADER_SECONDS)
        super().on_response_complete()

    def _end_idle(self) -> None:
        """Ends the connection that has been idle for longest, at worst this one, unless enough are ending already."""
        others = [one for one in self.connections if isinstance(one, LimitedProtocol)]
        remaining = [one for one in others if not one.transport.is_closing()]
        if len(remaining) > MAX_CONNECTIONS:
            idle = [one for one in remaining if not one.has_request]
            min(idle, key=lambda one: one.idle_since).transport.abort()

    def _end_after(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class OncePerSecond(logging.Filter):
    """Lets each message of a logger pass once a second, with the number of those that were held back before."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        message = str(record.msg)
        now = monotonic()
        if now - self._last.get(message, -1.0) < 1.0:
            self._held_back[message] = self._held_back.get(message, 0) + 1
            return False
        self._last[message] = now
        held_back = self._held_back.pop(message, 0)
        if held_back:
            record.msg = f"{message.rstrip()} ({held_back} more like this one)"
        return True
