"""What the daemon does about its own memory once all is loaded."""

from __future__ import annotations

import ctypes
import gc


def settle_down() -> None:
    """Collects what loading has left, keeps the rest out of later collections, and gives free memory back.

    Most of what is there now stays: no collection has to walk it again. Python frees what was only needed to load it,
    and the C library keeps that for later, a tenth of the whole, until it is told.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others give memory back by themselves
    if trim is not None:
        trim(0)
