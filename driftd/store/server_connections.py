"""The connections to a database server, which may go silent without closing them: a failover, a firewall, a proxy."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from sqlalchemy import Engine, event

TIMEOUTS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Of libpq: in seconds, the last one in milliseconds. Its own defaults are those of the system, which are hours."""


class ServerConnections:
    """The open connections of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._open: WeakSet[Any] = WeakSet()
        event.listen(engine, "connect", lambda connection, _record: self._open.add(connection))

    def hang_up(self) -> None:
        """Ends them all, also for the threads that wait for an answer: their calls fail."""
        for connection in list(self._open):
            with suppress(OSError, AttributeError, ValueError):  # it has been closed meanwhile
                descriptor = os.dup(connection.fileno())
                with socket.socket(fileno=descriptor) as duplicate:
                    duplicate.shutdown(socket.SHUT_RDWR)
