"""Lazy loading of the system's certificate authorities, by the first connection that needs them.

aiohttp creates two SSL contexts with all of them on import, for connections without a context of their own. Loading
them takes as long as comparing some hundred objects, and the servers of `driftd check` have their own authorities.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()


class _LazyContext(ssl.SSLContext):
    """A context without authorities, which loads them for its first connection."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self._loaded().wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return self._loaded().wrap_socket(*args, **kwargs)

    def _loaded(self) -> ssl.SSLContext:
        super(ssl.SSLContext, self).set_default_verify_paths()  # the original, also while `lazy_ca` has replaced it
        self.__class__ = ssl.SSLContext  # type: ignore[assignment]
        return self


@contextmanager
def lazy_ca() -> Iterator[None]:
    """SSL contexts created inside, in any thread, load the system's authorities for their first connection.

    One thread at a time: a second one waits.
    """

    def defer(context: ssl.SSLContext) -> None:
        context.__class__ = _LazyContext

    with _lock:
        ssl.SSLContext.set_default_verify_paths = defer  # type: ignore[assignment]
        try:
            yield
        finally:
            del ssl.SSLContext.set_default_verify_paths
