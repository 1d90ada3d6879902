"""Loading much at once, without the garbage collector's help and without keeping others waiting."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS_PER_YIELD = 64
"""So many objects (a few milliseconds) between two moments in which other tasks may run."""


class _Holders:
    count = 0
    was_enabled = False


@contextmanager
def gc_paused() -> Iterator[None]:
    """No cyclic collection inside, however many loads overlap.

    Decoded JSON has no cycles, yet every few thousand new dicts make the collector walk all of those that are there
    already: 3 to 5 times the time of decoding 10,000 objects. Reference counting goes on as ever.
    """
    if not _Holders.count:
        _Holders.was_enabled = gc.isenabled()
        gc.disable()
    _Holders.count += 1
    try:
        yield
    finally:
        _Holders.count -= 1
        if not _Holders.count and _Holders.was_enabled:
            gc.enable()
