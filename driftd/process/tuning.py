"""What the daemon does about its own memory."""

from __future__ import annotations

import ctypes
import gc
from asyncio.sslproto import SSLProtocol

_COLLECT = (2_000, 10, 200)
"""After so many new objects, so many of the former, and so many of these: the young, the older, everything."""


_TLS_BUFFER = 2**16
"""Bytes: four TLS records."""


def limit_tls_buffers() -> None:
    """Gives each TLS connection a smaller buffer than asyncio's 256 KiB: there is one for each watch, and it lasts."""
    SSLProtocol.max_size = _TLS_BUFFER


def tune_gc() -> None:
    """Has the cyclic collector look less often, above all at everything: with 10,000 objects that takes 0.2 s.

    Nearly everything here is freed by its reference count, and what has cycles (a failed task) is gone while young.
    """
    gc.set_threshold(*_COLLECT)


def freeze_heap() -> None:
    """Collects what loading has left, keeps the rest out of later collections, and gives free memory back.

    Most of what is there now stays: no collection has to walk it again. Python frees what was only needed to load it,
    and the C library keeps that for later, a tenth of the whole, until it is told.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others give memory back by themselves
    if trim is not None:
        trim(0)
