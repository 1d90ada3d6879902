"""The system's certificate authorities, read once a connection wants them and not before.

aiohttp makes a context with all of them while it is imported, for connections that bring no context along. Reading them
takes as long as comparing some hundred objects, and what `driftd check` connects to has authorities of its own.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Unread(ssl.SSLContext):
    """A context without its authorities. With the first connection it becomes one that has them."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self._read().wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return self._read().wrap_socket(*args, **kwargs)

    def _read(self) -> ssl.SSLContext:
        self.load_default_certs()
        self.__class__ = ssl.SSLContext  # type: ignore[assignment]
        return self


@contextmanager
def read_when_wanted() -> Iterator[None]:
    """Contexts for the system's authorities, if made meanwhile by whoever, read them for their first connection."""
    create = ssl.create_default_context

    def unread(purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, **own: Any) -> ssl.SSLContext:
        if purpose is not ssl.Purpose.SERVER_AUTH or any(own.values()):
            return create(purpose, **own)
        context = create(purpose, capath=os.devnull)
        context.__class__ = _Unread
        return context

    ssl.create_default_context = unread
    try:
        yield
    finally:
        ssl.create_default_context = create
