"""The system's certificate authorities, read once a connection wants them and not before.

aiohttp makes two contexts with all of them while it is imported, for connections that bring no context along. Reading
them takes as long as comparing some hundred objects, and what `driftd check` connects to has authorities of its own.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_turn = threading.Lock()


class _Unread(ssl.SSLContext):
    """A context without its authorities. With the first connection it becomes one that has them."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self._read().wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return self._read().wrap_socket(*args, **kwargs)

    def _read(self) -> ssl.SSLContext:
        super(ssl.SSLContext, self).set_default_verify_paths()  # whatever other threads put off meanwhile
        self.__class__ = ssl.SSLContext  # type: ignore[assignment]
        return self


@contextmanager
def lazy_ca() -> Iterator[None]:
    """Contexts for the system's authorities, if made meanwhile by whoever, read them for their first connection.

    One thread at a time: another one waits until it is over.
    """

    def later(context: ssl.SSLContext) -> None:
        context.__class__ = _Unread

    with _turn:
        ssl.SSLContext.set_default_verify_paths = later  # type: ignore[assignment]
        try:
            yield
        finally:
            del ssl.SSLContext.set_default_verify_paths
